"""Small made-up corpora with a known signal, so that a test knows what a head must find.

Every document is a bag of a few chunk vectors; cls, mean, max, segments and tokens hold the same vectors, and token ids
encode them as words, so that a head of any kind can read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.tabular import Tabular, TabularColumn
from featurestore import Bags, Ragged

__all__ = [
    "Planted",
    "make_bags",
    "mean_signal",
    "multilabel_signal",
    "rare_class_signal",
    "shuffle_labels",
    "tabular_signal",
]

VIEWS = ("cls", "mean", "max", "segments", "tokens")


@dataclass(frozen=True, eq=False)
class Planted:
    """Documents with labels, object (documents,) or bool (documents, labels), and the tree of the labels, if any."""

    bags: Bags
    y: NDArray[Any]
    tree: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Planted":
        return replace(self, bags=self.bags[rows], y=self.y[rows])

    def halves(self) -> tuple["Planted", "Planted"]:
        """Every second document for training, the others for testing."""
        return self[np.arange(0, len(self), 2)], self[np.arange(1, len(self), 2)]


def make_bags(rows: Sequence[NDArray[Any]], views: Sequence[str] = VIEWS) -> Bags:
    """Bags of the given chunk vectors, the same in each of `views`, and token ids that encode them.

    A chunk has one token per number of its vector: which axis, and between which two whole numbers from -8 to 8 it is.
    """
    vectors = [np.asarray(row, dtype=np.float32) for row in rows]
    ids = [_token_ids(row) for row in vectors]
    return Bags({**{view: Ragged.from_rows(vectors) for view in views}, "token_ids": Ragged.from_rows(ids)})


def _token_ids(row: NDArray[np.float32]) -> NDArray[np.int32]:
    levels = np.clip(np.floor(row), -8, 7) + 8
    return np.asarray(16 * np.arange(row.shape[1]) + levels, dtype=np.int32).ravel()


def mean_signal(
    documents: int = 90, classes: int = 3, dim: int = 6, chunks: tuple[int, int] = (1, 4), seed: int = 0
) -> Planted:
    """A label moves the mean of a document's chunks along an axis of its own, by 3 standard deviations of a chunk."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % classes)
    lengths = rng.integers(chunks[0], chunks[1] + 1, size=documents)
    rows = [rng.normal(size=(length, dim)) + 3 * np.eye(dim)[code] for code, length in zip(codes, lengths, strict=True)]
    return Planted(make_bags(rows), np.array([f"label-{code}" for code in codes], dtype=object))


def rare_class_signal(documents: int = 1640, every: int = 41, dim: int = 3, seed: int = 0) -> Planted:
    """One document in `every` is "rare", 2 standard deviations away from "common" along the first axis.

    Bayes' rule predicts rare if 2 x - 2 > ln(every - 1), so x > 2.84, as 0.20 of the rare ones have; with equal priors
    if x > 1, which 0.84 of them have.
    """
    rng = np.random.default_rng(seed)
    is_rare = rng.permutation(np.arange(documents) % every == 0)
    vectors = rng.normal(size=(documents, 1, dim))
    vectors[is_rare, :, 0] += 2
    return Planted(make_bags(list(vectors)), np.where(is_rare, "rare", "common").astype(object))


def multilabel_signal(documents: int = 120, labels: int = 3, dim: int = 6, seed: int = 0) -> Planted:
    """Labels are independent, and each moves an axis of its own by 4 standard deviations."""
    rng = np.random.default_rng(seed)
    y = rng.random(size=(documents, labels)) < 0.4
    rows = [rng.normal(size=(1, dim)) + 4 * (row @ np.eye(labels, dim)) for row in y]
    return Planted(make_bags(rows), y)


def tabular_signal(documents: int = 240, seed: int = 0) -> Planted:
    """Half of the label is in the text, half in tabular columns: the text alone finds at most every second document.

    "paid" tells as many standard deviations as `mean_signal` does, "country" is right in three of four documents, and
    "sent" is noise. Some numbers and countries are missing.
    """
    rng = np.random.default_rng(seed)
    words, column = rng.integers(0, 2, size=(2, documents))
    vectors = rng.normal(size=(documents, 1, 6)) + 3 * np.eye(2, 6)[words, None]
    paid = 100 + 50 * (rng.normal(size=documents) + 3 * column)
    country = np.where(rng.random(documents) < 0.75, column, rng.integers(0, 4, documents))
    missing = rng.random((2, documents)) < 0.05
    columns = (
        TabularColumn("paid", "number", np.where(missing[0], np.nan, paid)),
        TabularColumn(
            "country", "category", np.where(missing[1], -1, country).astype(np.int32), ("AT", "CH", "DE", "FR")
        ),
        TabularColumn("sent", "date", rng.integers(19_000, 20_000, documents).astype(np.float64)),
    )
    labels = [f"{('oil', 'gas')[word]}, {('small', 'large')[part]}" for word, part in zip(words, column, strict=True)]
    return Planted(replace(make_bags(list(vectors)), tabular=Tabular(columns)), np.array(labels, dtype=object))


def shuffle_labels(planted: Planted, seed: int = 0) -> Planted:
    """The same documents with permuted labels, which tell nothing about them."""
    return replace(planted, y=np.random.default_rng(seed).permutation(planted.y))
