"""Documents whose labels follow from a signal that was put there, so that a test knows what a head must find.

Every document is a bag of a few chunk vectors; cls, mean, max, segments and tokens hold the same vectors, and token ids
say them in words, so that a head of any kind reads them. What a reader of averages can and cannot know is said with
each signal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags, Ragged

VIEWS = ("cls", "mean", "max", "segments", "tokens")


@dataclass(frozen=True, eq=False)
class Planted:
    """Documents, their labels (object (documents,), or bool (documents, labels)), and the tree that they lie in."""

    bags: Bags
    y: NDArray[Any]
    tree: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Planted":
        return replace(self, bags=self.bags[rows], y=self.y[rows])

    def halves(self) -> tuple["Planted", "Planted"]:
        """Every other document to learn from, the rest to ask about."""
        return self[np.arange(0, len(self), 2)], self[np.arange(1, len(self), 2)]


def bags_of(rows: Sequence[NDArray[Any]], views: Sequence[str] = VIEWS) -> Bags:
    """Bags of the given chunk vectors, the same in each of `views`; token_ids say them in words.

    A chunk has a token for each number of its vector: which axis, and between which two whole numbers from -8 to 8.
    """
    vectors = [np.asarray(row, dtype=np.float32) for row in rows]
    ids = [_in_words(row) for row in vectors]
    return Bags({**{view: Ragged.from_rows(vectors) for view in views}, "token_ids": Ragged.from_rows(ids)})


def _in_words(row: NDArray[np.float32]) -> NDArray[np.int32]:
    steps = np.clip(np.floor(row), -8, 7) + 8
    return np.asarray(16 * np.arange(row.shape[1]) + steps, dtype=np.int32).ravel()


def _lengths(rng: np.random.Generator, documents: int, chunks: tuple[int, int]) -> NDArray[np.int64]:
    return rng.integers(chunks[0], chunks[1] + 1, size=documents)


def in_the_mean(
    documents: int = 90, classes: int = 3, dim: int = 6, chunks: tuple[int, int] = (1, 4), seed: int = 0
) -> Planted:
    """A label moves the mean of a document's chunks along an axis of its own, by 3 standard deviations of a chunk."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % classes)
    rows = [
        rng.normal(size=(length, dim)) + 3 * np.eye(dim)[code]
        for code, length in zip(codes, _lengths(rng, documents, chunks), strict=True)
    ]
    return Planted(bags_of(rows), _names(classes)[codes])


def in_the_order(documents: int = 200, dim: int = 6, chunks: tuple[int, int] = (3, 6), seed: int = 0) -> Planted:
    """ "ab" has marker a before marker b, "ba" the reverse: the mean and the maximum of chunks know nothing of it."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % 2)
    rows = []
    for code, length in zip(codes, _lengths(rng, documents, chunks), strict=True):
        row = 0.3 * rng.normal(size=(length, dim))
        first, second = np.sort(rng.choice(length, size=2, replace=False))
        row[first, code] += 3
        row[second, 1 - code] += 3
        rows.append(row)
    return Planted(bags_of(rows), np.array(["ab", "ba"], dtype=object)[codes])


def in_one_place(
    documents: int = 120, classes: int = 3, dim: int = 6, chunks: tuple[int, int] = (3, 6), seed: int = 0
) -> tuple[Planted, NDArray[np.int64]]:
    """One chunk of each document lies 8 along the axis of its label, the others near 0; and which chunk that is."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % classes)
    rows, places = [], []
    for code, length in zip(codes, _lengths(rng, documents, chunks), strict=True):
        row = 0.3 * rng.normal(size=(length, dim))
        places.append(int(rng.integers(length)))
        row[places[-1], code] += 8
        rows.append(row)
    return Planted(bags_of(rows), _names(classes)[codes]), np.array(places)


def a_rare_class(documents: int = 1640, every: int = 41, dim: int = 3, seed: int = 0) -> Planted:
    """One document in `every` is "rare", 2 standard deviations away from "common" along the first axis.

    Bayes' rule takes a document for rare where 2 x - 2 > ln(every - 1), so x > 2.84, where 0.20 of the rare ones lie;
    with equal priors where x > 1, and there 0.84 of them do.
    """
    rng = np.random.default_rng(seed)
    rare = rng.permutation(np.arange(documents) % every == 0)
    vectors = rng.normal(size=(documents, 1, dim))
    vectors[rare, :, 0] += 2
    return Planted(bags_of(list(vectors)), np.where(rare, "rare", "common").astype(object))


def in_a_tree(documents: int = 160, seed: int = 0) -> Planted:
    """Two branches of two and three labels: axis 0 tells the branch, further axes the label within the branch only."""
    rng = np.random.default_rng(seed)
    labels = ("rec.sport", "rec.autos", "sci.space", "sci.med", "sci.crypt")
    codes = rng.permutation(np.arange(documents) % len(labels))
    signs = np.array([[4, 3, 0, 0], [4, -3, 0, 0], [-4, 0, 3, 0], [-4, 0, -3, 0], [-4, 0, 0, 4]])
    vectors = rng.normal(size=(documents, 1, 4)) + signs[codes][:, None, :]
    tree = {label: (label.split(".")[0], label) for label in labels}
    return Planted(bags_of(list(vectors)), np.array(labels, dtype=object)[codes], tree)


def multilabel_problem(documents: int = 120, labels: int = 3, dim: int = 6, seed: int = 0) -> Planted:
    """Each label is present or absent by itself and moves an axis of its own by 4 standard deviations."""
    rng = np.random.default_rng(seed)
    y = rng.random(size=(documents, labels)) < 0.4
    rows = [rng.normal(size=(1, dim)) + 4 * (row @ np.eye(labels, dim)) for row in y]
    return Planted(bags_of(rows), y)


def shuffled(planted: Planted, seed: int = 0) -> Planted:
    """The same documents with labels that say nothing about them."""
    return replace(planted, y=np.random.default_rng(seed).permutation(planted.y))


def _names(classes: int) -> NDArray[Any]:
    return np.array([f"label-{code}" for code in range(classes)], dtype=object)
