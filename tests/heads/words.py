"""Documents of made-up words, whose label is told by which words they have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags, Ragged
from heads.planted_signals import Planted


def ids_of(rows: Sequence[NDArray[Any]]) -> Bags:
    """Bags of token ids alone."""
    return Bags({"token_ids": Ragged.from_rows([np.asarray(row, dtype=np.int32) for row in rows])})


def texts_of(bags: Bags) -> list[str]:
    """The ids of each document as words that a vectorizer of scikit-learn reads."""
    ids = bags.view("token_ids")
    return [" ".join(map(str, ids.row(row).tolist())) for row in range(len(ids))]


def topics(documents: int = 120, labels: int = 3, own: float = 0.4, seed: int = 0) -> Planted:
    """Documents of 10 to 39 words of 60: each is with chance `own` one of the label's ten, else any."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % labels)
    rows = []
    for code in codes:
        words = rng.integers(60, size=rng.integers(10, 40))
        is_own = rng.random(len(words)) < own
        rows.append(np.where(is_own, 10 * code + rng.integers(10, size=len(words)), words))
    return Planted(ids_of(rows), np.array([f"label-{code}" for code in codes], dtype=object))
