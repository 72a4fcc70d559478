"""Planted signals that only some heads can learn, in addition to those of heads/planted_signals.py."""

import numpy as np
from numpy.typing import NDArray

from heads.planted_signals import Planted, make_bags
from heads.testing import training_of

# of networks in the contract for heads: sixty steps are enough for its signals
QUICK = training_of(lr=0.02, epochs=4, min_steps=15, device="cpu")


def order_signal(documents: int = 200, dim: int = 6, chunks: tuple[int, int] = (3, 6), seed: int = 0) -> Planted:
    """ "ab" has marker a before marker b, "ba" the reverse: the mean and the maximum of chunks know nothing of it."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % 2)
    rows = []
    for code, length in zip(codes, rng.integers(chunks[0], chunks[1] + 1, size=documents), strict=True):
        row = 0.3 * rng.normal(size=(length, dim))
        first, second = np.sort(rng.choice(length, size=2, replace=False))
        row[first, code] += 3
        row[second, 1 - code] += 3
        rows.append(row)
    return Planted(make_bags(rows), np.array(["ab", "ba"], dtype=object)[codes])


def single_position_signal(
    documents: int = 120, classes: int = 3, dim: int = 6, chunks: tuple[int, int] = (3, 6), seed: int = 0
) -> tuple[Planted, NDArray[np.int64]]:
    """One chunk of each document lies 8 along the axis of its label, the others near 0; and which chunk that is."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % classes)
    rows, places = [], []
    for code, length in zip(codes, rng.integers(chunks[0], chunks[1] + 1, size=documents), strict=True):
        row = 0.3 * rng.normal(size=(length, dim))
        places.append(int(rng.integers(length)))
        row[places[-1], code] += 8
        rows.append(row)
    return Planted(make_bags(rows), np.array([f"label-{code}" for code in codes], dtype=object)), np.array(places)


def tree_signal(documents: int = 160, seed: int = 0) -> Planted:
    """Two branches of two and three labels: axis 0 tells the branch, further axes the label within the branch only."""
    rng = np.random.default_rng(seed)
    labels = ("rec.sport", "rec.autos", "sci.space", "sci.med", "sci.crypt")
    codes = rng.permutation(np.arange(documents) % len(labels))
    signs = np.array([[4, 3, 0, 0], [4, -3, 0, 0], [-4, 0, 3, 0], [-4, 0, -3, 0], [-4, 0, 0, 4]])
    vectors = rng.normal(size=(documents, 1, 4)) + signs[codes][:, None, :]
    tree = {label: (label.split(".")[0], label) for label in labels}
    return Planted(make_bags(list(vectors)), np.array(labels, dtype=object)[codes], tree)
