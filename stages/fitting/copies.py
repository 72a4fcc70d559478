"""Augmented copies of training documents: a corpus in the same store, whose group column names the origins.

A cell of that column is the id of a document, or "ID@KEY" with the first digits of the key of its text, by which a copy
of an older text is recognized; or a JSON list of these, if a copy has words of several documents. Such a copy is fitted
on only together with all of them.
"""

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from data.splits import Split
from data.text_format import plural
from featurestore import Bags, CorpusTable, FeatureSource

__all__ = ["ORIGIN_COLUMN", "Copies", "Origin", "format_origins", "load_copies", "parse_origins"]

ORIGIN_COLUMN = "copy_of"  # the group column of a file of copies
KEY_DIGITS = 16
_WITH_KEY = re.compile(rf"(.*)@([0-9a-f]{{{KEY_DIGITS}}})", re.DOTALL)


class Origin(NamedTuple):
    """A document that a copy has words of. key: the first digits of its text's key; "" if that is not known."""

    id: str
    key: str = ""


def format_origins(origins: Sequence[Origin]) -> str:
    """The cell that `parse_origins` reads."""
    cells = [f"{origin.id}@{origin.key[:KEY_DIGITS]}" if origin.key else origin.id for origin in origins]
    return cells[0] if len(cells) == 1 else json.dumps(cells, ensure_ascii=False)


def parse_origins(cell: str) -> list[Origin]:
    """The origins that a cell names, the document that was copied first."""
    try:
        names = json.loads(cell) if cell.startswith("[") else [cell]
    except ValueError:
        names = [cell]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        names = [cell]
    matches = ((name, _WITH_KEY.fullmatch(name)) for name in names)
    return [Origin(*match.groups()) if match else Origin(name) for name, match in matches]


@dataclass(frozen=True, eq=False)
class Copies:
    """Copies that are fitted on together with their origins, and never scored.

    bags: their features.
    copied: int64 (copies,), the training document that each is a copy of: it has the labels, the weight and the group
        of that.
    origins: int64 (2, pairs): a copy, and a training document that it has words of.
    groups: int64 (training documents,), the groups of a task, where documents that a copy has words of are one.
    counts: corpus of copies -> how many of it are used.
    hash: of the copies and their origins.
    notes: what a reader must know about them.
    """

    bags: Bags
    copied: NDArray[np.int64]
    origins: NDArray[np.int64]
    groups: NDArray[np.int64]
    counts: dict[str, int]
    hash: str
    notes: tuple[str, ...]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The copies all of whose origins are among some training documents, int64."""
        is_outside = np.ones(len(self.groups), dtype=bool)
        is_outside[rows] = False
        copy, origin = self.origins
        return np.flatnonzero(np.bincount(copy, is_outside[origin], len(self.copied)) == 0)


def load_copies(
    store: FeatureSource,
    table: CorpusTable,
    copies: Sequence[CorpusTable],
    train_ids: Sequence[str],
    train: Bags,
    groups: NDArray[np.int64],
    layer: int | None = -1,
) -> Copies:
    """Load the copies of training documents.

    Args:
        store: the features of documents and copies.
        table: the corpus.
        copies: the corpora of copies.
        train_ids: the ids of the training documents.
        train: their features.
        groups: int64 (training documents,), their groups.
        layer: the encoder layer to read; None for every stored layer.

    Returns:
        The copies that can be used.

    Raises:
        BadData: if none of a corpus can be used, or if the store lacks the features of some.
    """
    finder = _Finder(store, table, train_ids)
    found = [finder.find(corpus) for corpus in copies]
    copied = np.array([each.origins[0] for corpus in found for each in corpus.usable], dtype=np.int64)
    pairs = enumerate(each.origins for corpus in found for each in corpus.usable)
    origins = np.array([(copy, row) for copy, rows in pairs for row in rows], dtype=np.int64).T
    keys = [each.key for corpus in found for each in corpus.usable]
    tabular = None if train.tabular is None else train.tabular[copied]
    digest = hashlib.sha256(json.dumps([keys, [train_ids[row] for row in origins[1]], origins[0].tolist()]).encode())
    return Copies(
        bags=replace(_read_features(store, keys, layer, copies), tabular=tabular),
        copied=copied,
        origins=origins,
        groups=_merge_groups(groups, copied[origins[0]], origins[1]),
        counts={corpus.name: len(found_in.usable) for corpus, found_in in zip(copies, found, strict=True)},
        hash=digest.hexdigest(),
        notes=tuple(note for corpus in found for note in corpus.notes),
    )


class _Copy(NamedTuple):
    key: str
    origins: list[int]


class _Found(NamedTuple):
    usable: list[_Copy]
    notes: list[str]


class _Finder:
    """Finds the training documents that copies were made of."""

    def __init__(self, store: FeatureSource, table: CorpusTable, train_ids: Sequence[str]) -> None:
        self._store, self._table, self._keys = store, table, set(table.keys)
        self._rows = {identifier: row for row, identifier in enumerate(table.ids)}
        self._training = {identifier: row for row, identifier in enumerate(train_ids)}

    def find(self, copies: CorpusTable) -> _Found:
        """The copies that can be used. Raises BadData if there is none."""
        usable: list[_Copy] = []
        reasons: Counter[str] = Counter()
        failed = self._store.unencodable(copies.keys)
        for row, (key, cell) in enumerate(zip(copies.keys, copies.groups, strict=True)):
            origins = self._resolve(cell)
            reason = "without finite vectors" if failed[row] else self._problem(key, origins)
            if reason:
                reasons[reason] += 1
            else:
                usable.append(_Copy(key, [self._training[origin.id] for origin in origins]))
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        if not usable:
            command = shlex.join(["embedonce", "augment", self._table.name])
            raise BadData(
                f"{copies.name} has no copy of a training document of {self._table.name}: {left_out or 'it is empty'}. "
                f"Make copies with `{command}`, or name the ids of the origins in the group column (embed with --group "
                f"{ORIGIN_COLUMN})."
            )
        documents = len({copy.origins[0] for copy in usable})
        used = (
            f"{plural(len(usable), 'augmented copy', 'augmented copies')} of {plural(documents, 'training document')} "
            f"({copies.name}): fitted on together with their origins, with the labels of these, and never scored."
        )
        return _Found(usable, [used, *([f"Copies of {copies.name} that are left out: {left_out}."] if reasons else [])])

    def _resolve(self, cell: str | None) -> list[Origin]:
        return [Origin(cell or "")] if not cell or cell in self._rows else parse_origins(cell)

    def _problem(self, key: str, origins: Sequence[Origin]) -> str:
        """Why a copy cannot be used; "" if it can."""
        rows = [self._rows.get(origin.id) for origin in origins]
        for origin, row in zip(origins, rows, strict=True):
            if row is None:
                return "of no document of the corpus"
            if self._table.splits[row] == Split.TEST:
                return "of a test document"
            if origin.id not in self._training:
                return "of a document that is left out"
            if not self._table.keys[row].startswith(origin.key):
                return "of an older text"
        return "equal to a document of the corpus" if key in self._keys else ""


def _read_features(store: FeatureSource, keys: Sequence[str], layer: int | None, copies: Sequence[CorpusTable]) -> Bags:
    try:
        return store.bags(keys, layer=layer)
    except BadData as error:
        words = (["embedonce", "embed", corpus.source, "--group", ORIGIN_COLUMN] for corpus in copies)
        sources = " and ".join(f"`{shlex.join(each)}`" for each in words)
        raise BadData(
            f"Copies lack features. {error} Into each store that lacks them, with --store: {sources}."
        ) from None


def _merge_groups(groups: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups in which documents `one` and `other` are in the same one, pair by pair."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = int(groups.max(initial=-1)) + 1
    links = coo_matrix((np.ones(len(one)), (groups[one], groups[other])), (size, size))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)[groups]
