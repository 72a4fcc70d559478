"""A head's scores in the columns of a run's labels, and the probabilities computed from them."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import EmbedOnceError

MIN_PROBABILITY = 1e-6  # a label that a head has not seen is unlikely, not impossible
BLOCK_CELLS = 2**20  # cells of a matrix that are computed in float64 at a time: 8 MB


class ScoringHead(Protocol):
    """The interface of a fitted head that scoring needs."""

    @property
    def classes_(self) -> Any:
        """Labels as strings, or column numbers of the target if it is multi-label."""

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Scores (documents, classes)."""


def align_scores(
    scores: NDArray[Any], classes: Sequence[Any] | NDArray[Any], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Put the scores of a head's classes into the columns of `labels`.

    Args:
        scores: (documents, classes).
        classes: the head's `classes_`: label strings, or column numbers of a multi-label target.
        labels: names of the columns of the result.

    Returns:
        float32 (documents, labels), -inf in the column of a label that the head has not seen.

    Raises:
        EmbedOnceError: a score is not a number.
        ValueError: a class is not among the labels.
    """
    broken = int(np.isnan(scores).any(axis=1).sum())
    if broken:
        raise EmbedOnceError(
            f"The head's scores are not numbers (NaN) for {broken} of {len(scores)} documents. "
            "Lower its learning rate, or look for NaN in its features."
        )
    columns = {label: column for column, label in enumerate(labels)}
    try:
        indices = [columns[str(name)] if isinstance(name, str) else range(len(labels))[name] for name in classes]
    except LookupError as error:
        raise ValueError(f"the head has a class that is not among the labels: {error}") from error
    aligned = np.full((len(scores), len(labels)), -np.inf, dtype=np.float32)
    aligned[:, indices] = scores
    return aligned


def scores_to_probabilities(scores: NDArray[Any], *, multilabel: bool) -> NDArray[np.float32]:
    """Probabilities of scores (documents, labels), float32: a softmax per row, or a sigmoid per label if multi-label.

    A score of -inf has probability 0.
    """
    from scipy.special import expit, softmax

    probabilities = np.empty(scores.shape, dtype=np.float32)
    for rows in row_blocks(scores.shape):
        exact = scores[rows].astype(np.float64)
        probabilities[rows] = expit(exact) if multilabel else softmax(exact, axis=1)
    return probabilities


def probabilities_to_scores(probabilities: NDArray[Any], *, multilabel: bool) -> NDArray[np.float64]:
    """Scores whose `scores_to_probabilities` are these: logarithms, or logits if multi-label; float64.

    Probabilities below MIN_PROBABILITY are raised to it, so that no score is infinite. probabilities: (..., labels).
    """
    highest = 1 - MIN_PROBABILITY if multilabel else 1
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), MIN_PROBABILITY, highest)
    return np.log(clipped) - np.log1p(-clipped) if multilabel else np.log(clipped)


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of rows that cover a matrix, each of at most BLOCK_CELLS cells or one row."""
    rows = max(1, BLOCK_CELLS // max(1, shape[1]))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))
