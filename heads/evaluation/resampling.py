"""Bootstrap resamples of documents, as the number of times that each distinct row is drawn.

Documents are drawn with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 6).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.count_table import DistinctRows, block_sizes

__all__ = ["draw_resamples", "draw_with_left_out"]

FEW_DOCUMENTS = 4  # per row
LEFT_OUT = 0.1  # see `selection_optimism`


def draw_resamples(rows: DistinctRows, labels: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw resamples that have as many documents as the sample.

    A resample is one multinomial draw over the rows, so the cost does not grow with the documents. With few documents
    per row, to draw the documents is faster.

    Args:
        rows: the distinct documents.
        labels: number of labels, which limits the size of a block.
        resamples: how many to draw.
        seed: the same seed draws the same resamples.

    Yields:
        Blocks of resamples, (rows, resamples of the block): how often a document of each row is drawn.
    """
    random = np.random.default_rng(seed)
    for size in block_sizes(resamples, max(len(rows.first), labels)):
        yield _draw_rows(random, rows.multiplicity, size).astype(np.float64)


def _draw_rows(random: np.random.Generator, multiplicity: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How often each row is drawn in as many resamples as `size`, int64 (rows, size)."""
    documents, count = int(multiplicity.sum()), len(multiplicity)
    if documents > FEW_DOCUMENTS * count:
        return random.multinomial(documents, multiplicity / documents, size=size).T
    row_of = np.repeat(np.arange(count) * size, multiplicity)
    cells = row_of[random.integers(documents, size=(size, documents), dtype=np.int32)] + np.arange(size)[:, None]
    return np.bincount(cells.ravel(), minlength=count * size).reshape(count, size)


def draw_with_left_out(
    rows: DistinctRows, labels: int, resamples: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Divide all documents at random, into those of a sample and LEFT_OUT of them that are left out.

    Args:
        rows: the distinct documents.
        labels: number of labels, which limits the size of a block.
        resamples: how many to draw.
        seed: the same seed draws the same resamples.

    Yields:
        Blocks of samples, (rows, samples of the block) each: how many documents of each row are in it, and how many
        are left out.
    """
    random, documents = np.random.default_rng(seed), len(rows.row_of)
    starts = np.append(0, np.cumsum(rows.multiplicity)[:-1])  # documents are numbered in the order of their rows
    last = max(0, round(LEFT_OUT * documents) - 1)
    for size in block_sizes(resamples, max(len(starts), labels)):
        drawn, left_out = np.empty((2, size, len(starts)))
        for number in range(size):
            order = random.random(documents, dtype=np.float32)
            is_left_out = order <= np.partition(order, last)[last]
            left_out[number] = np.add.reduceat(is_left_out, starts, dtype=np.int64)
            drawn[number] = rows.multiplicity - left_out[number]
        yield np.ascontiguousarray(drawn.T), np.ascontiguousarray(left_out.T)
