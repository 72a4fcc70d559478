"""A random sample of a corpus: the same share of each split and label, and the same documents on every machine.

Documents are ordered by hashes of their texts. So a sample depends neither on the order of the source nor on random
numbers of a library, a larger sample contains the smaller ones, and most of it stays when the corpus grows. This holds
for given splits (one that is drawn depends on the order), and without groups that are too large for a sample.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents, Labels, SampleOf
from data.errors import CallError
from data.packed import CategoricalColumn
from data.splits import Split
from data.text_format import plural
from data.text_hashes import KEY_BYTES, text_digest

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]


def sample_name(corpus: Corpus, size: int | None) -> str:
    """The name of the sample of a corpus that has `size` documents; the corpus's own name if that are all of them."""
    return corpus.name if size is None or size >= len(corpus.documents) else f"{corpus.name}-sample{size}"


def sample_size(name: str, corpus: str) -> int:
    """The documents that were requested of a corpus for its sample of this name, as `sample_name` made it."""
    return int(name.removeprefix(f"{corpus}-sample"))


def draw_sample(corpus: Corpus, size: int, seed: int, groups: Sequence[str | None]) -> Corpus:
    """Draw a sample of a corpus, as a corpus with a name of its own and a note.

    Args:
        corpus: documents with splits.
        size: the documents to draw; of a corpus with no more than that, all are returned.
        seed: another seed draws other documents.
        groups: of each document, None for no group. A group is drawn as a whole, so there may be fewer documents.

    Raises:
        CallError: every group has more documents than `size`.
    """
    documents = Documents.from_documents(corpus.documents)
    total = len(documents)
    if size >= total:
        note = f"--sample {size} takes all documents: the source has {total:,}"
        return replace(corpus, notes=(note, *corpus.notes))
    rows = sample_rows(documents, size, seed, groups)
    note = (
        f"a sample of {len(rows):,} of {total:,} documents, drawn by split and label; `embed` without --sample "
        "encodes the others, too"
    )
    return replace(
        corpus,
        name=sample_name(corpus, size),
        documents=documents.take(rows),
        notes=(note, *corpus.notes),
        tabular=None if corpus.tabular is None else corpus.tabular[rows],
        sample_of=SampleOf(corpus.name, total),
    )


def sample_rows(documents: Documents, size: int, seed: int, groups: Sequence[str | None]) -> Integers:
    """The rows of a sample, increasing: int64 (at most `size`,).

    Within a split, each label is sampled at even distances from a random start (systematic sampling, Cochran 1977,
    Sampling Techniques, chapter 8); a document with several labels counts for its rarest one. Until each label has a
    training document, every second one is drawn for a label without one, the most frequent label first: so no label of
    training is lost if there are two training documents per label. Arguments and errors are those of `draw_sample`.
    """
    labels = _LabelNumbers.of(documents.labels)
    units = _make_units(documents, labels.rarest, seed, groups)
    fits = units.size <= size
    if not fits.any():
        raise CallError(
            f"--sample {size} is too small: groups stay whole, and the smallest has "
            f'{plural(int(units.size.min()), "document")}. Sample at least that many, or ignore groups with --group "".'
        )
    order = _order_units(units, fits, _find_first_units(labels, units, fits))
    is_drawn = np.zeros(len(units.size), dtype=bool)
    is_drawn[order[np.cumsum(units.size[order]) <= size]] = True
    return np.flatnonzero(is_drawn[units.of_row])


@dataclass(frozen=True)
class _LabelNumbers:
    """The labels of documents as numbers, 0 for the most frequent one.

    column: the labels of each document. numbers: of the labels in each of its categories. rarest: int64 (documents,),
    the number of the rarest label; "unlabeled" and "no label applies" have numbers here, and not in `numbers`.
    """

    column: CategoricalColumn[Labels]
    numbers: list[list[int]]
    rarest: Integers

    @classmethod
    def of(cls, labels: Sequence[Labels]) -> "_LabelNumbers":
        """Number the labels of documents; equal frequencies are ordered by name."""
        column = CategoricalColumn.of(labels)
        counts: Counter[tuple[str, ...] | None] = Counter()
        documents = np.bincount(column.codes, minlength=len(column.categories)).tolist()
        for category, count in zip(column.categories, documents, strict=True):
            counts.update(dict.fromkeys(_strata(category), count))
        names = sorted(counts, key=lambda name: (-counts[name], name is not None, name or ()))
        number_of = {name: number for number, name in enumerate(names)}
        strata = [[number_of[name] for name in _strata(category)] for category in column.categories]
        rarest = np.array([max(numbers) for numbers in strata], dtype=np.int64)
        numbers = [each if category else [] for each, category in zip(strata, column.categories, strict=True)]
        return cls(column, numbers, rarest[column.codes])


def _strata(labels: Labels) -> list[tuple[str, ...] | None]:
    """Each label by itself; the empty tuple if no label applies, None for an unlabeled document."""
    return [(label,) for label in labels] if labels else [labels]


@dataclass(frozen=True)
class _Units:
    """What is drawn as a whole: a group, or a document without one.

    of_row: int64 (documents,). The others are (units,): documents, the first split and the rarest label of them, and a
    hash by which units are ordered, which no two have in common.
    """

    of_row: Integers
    size: Integers
    split: Integers
    stratum: Integers
    hash: Hashes


def _make_units(documents: Documents, strata: Integers, seed: int, groups: Sequence[str | None]) -> _Units:
    names, splits = CategoricalColumn.of(groups), CategoricalColumn.of(documents.splits)
    order, is_grouped = list(Split), names.flags(bool)
    split = np.array([order.index(Split(each or Split.TRAIN)) for each in splits.categories])[splits.codes]
    alone = len(names.categories) + np.arange(len(documents))
    _, first, of_row = np.unique(np.where(is_grouped, names.codes, alone), return_index=True, return_inverse=True)
    split_of, stratum_of = np.full(len(first), len(order)), np.zeros(len(first), dtype=np.int64)
    np.minimum.at(split_of, of_row, split)
    np.maximum.at(stratum_of, of_row, strata)
    digests = np.array([_first_bytes(text_digest(name or "")) for name in names.categories], dtype=np.uint64)
    texts = documents.hash_texts().keys.view("<u8")[:: KEY_BYTES // 8]
    base = np.where(is_grouped, digests[names.codes], texts)[first]
    occurrence = _count_occurrences(base, split_of, stratum_of, lambda unit: documents.ids[first[unit]])
    return _Units(of_row, np.bincount(of_row), split_of, stratum_of, _mix(base + _mix(occurrence + _mix(seed))))


def _count_occurrences(base: Hashes, split: Integers, stratum: Integers, id_of: Callable[[int], str]) -> Hashes:
    """How many units with the same base come before each: by split, label and id, so that rows may be in any order."""
    ordered = np.sort(base)
    is_repeated = np.isin(base, ordered[1:][ordered[1:] == ordered[:-1]])
    tie = np.zeros(len(base), dtype=np.uint64)
    for unit in np.flatnonzero(is_repeated).tolist():
        tie[unit] = _first_bytes(text_digest(id_of(unit)))
    order = np.lexsort((tie, stratum, split, base))
    occurrence = np.empty(len(base), dtype=np.uint64)
    occurrence[order] = np.arange(len(base)) - np.searchsorted(base[order], base[order])
    return occurrence


def _first_bytes(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")


def _mix(values: Any) -> Hashes:
    """Uniform numbers of 64 bits, different for different ones (the finalizer of SplitMix64, Steele et al. 2014)."""
    mixed = np.atleast_1d(np.asarray(values, dtype=np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _find_first_units(labels: _LabelNumbers, units: _Units, fits: NDArray[np.bool_]) -> list[int]:
    """The first training unit of each label by hash, the most frequent label first; each unit once."""
    by_rank = np.argsort(units.hash)
    rank, none = np.empty_like(by_rank), len(by_rank)
    rank[by_rank] = np.arange(none)
    rows = np.flatnonzero((fits & (units.split == 0))[units.of_row])
    first_of_category = np.full(len(labels.numbers), none)
    np.minimum.at(first_of_category, labels.column.codes[rows], rank[units.of_row[rows]])
    first_of_label: dict[int, int] = {}
    for numbers, first in zip(labels.numbers, first_of_category.tolist(), strict=True):
        for number in numbers if first < none else ():
            first_of_label[number] = min(first, first_of_label.get(number, none))
    return list(dict.fromkeys(int(by_rank[first]) for _, first in sorted(first_of_label.items())))


def _order_units(units: _Units, fits: NDArray[np.bool_], first: Sequence[int]) -> Integers:
    """The units in the order in which they are drawn: so that each split has its share of the documents before any."""
    slot = np.full(len(fits), 2 * len(fits))
    slot[list(first)] = 2 * np.arange(len(first))
    orders, shares = [], []
    for split in np.unique(units.split[fits]):
        order = _spread_strata(units, np.flatnonzero(fits & (units.split == split)))
        order = order[np.argsort(np.minimum(slot[order], 2 * np.arange(len(order)) + 1))]
        documents = np.cumsum(units.size[order])
        orders.append(order)
        shares.append((documents - units.size[order] / 2) / documents[-1])
    return np.concatenate(orders)[np.argsort(np.concatenate(shares), kind="stable")]


def _spread_strata(units: _Units, members: Integers) -> Integers:
    """The members in an order of which every beginning has the same share of each stratum, within one unit."""
    order = members[np.lexsort((units.hash[members], units.stratum[members]))]
    _, first, number = np.unique(units.stratum[order], return_index=True, return_inverse=True)
    size = units.size[order]
    before = np.cumsum(size) - size
    start = _mix(units.hash[order[first]])[number] / 2.0**64 * size
    position = (before - before[first][number] + start) / np.add.reduceat(size, first)[number]
    return np.asarray(order[np.lexsort((units.hash[order], position))])
