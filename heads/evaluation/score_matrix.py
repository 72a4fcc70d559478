"""A head's scores in the columns of a run's labels, and the probabilities that they stand for."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import EmbedOnceError


class FittedHead(Protocol):
    """What scoring needs of a fitted head."""

    @property
    def classes_(self) -> Any:
        """Labels as strings, or the numbers of the target's columns for several labels."""

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Scores (documents, classes)."""


def align_scores(
    scores: NDArray[Any], classes: Sequence[Any] | NDArray[Any], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Scores (documents, classes) as float32 (documents, labels), -inf for a label that the head has never seen.

    classes: the head's `classes_`: label strings, or column numbers of the target for several labels.
    Raises EmbedOnceError when scores are not numbers, ValueError when the head has a class that is no label.
    """
    broken = int(np.isnan(scores).any(axis=1).sum())
    if broken:
        raise EmbedOnceError(
            f"The head's scores of {broken} of {len(scores)} documents are not numbers. "
            "Lower its learning rate, or look for such values in its features."
        )
    columns = {label: column for column, label in enumerate(labels)}
    try:
        places = [columns[str(name)] if isinstance(name, str) else range(len(labels))[name] for name in classes]
    except LookupError as error:
        raise ValueError(f"the head has a class that is not among the labels: {error}") from error
    result = np.full((len(scores), len(labels)), -np.inf, dtype=np.float32)
    result[:, places] = scores
    return result


def scores_to_probabilities(scores: NDArray[Any], *, multilabel: bool) -> NDArray[np.float32]:
    """Aligned scores as float32 (documents, labels): softmax over a row, or the logistic function for several labels.

    A score of -inf has probability 0.
    """
    exact = scores.astype(np.float64)
    if multilabel:
        from scipy.special import expit

        return np.asarray(expit(exact), dtype=np.float32)
    shares = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)
