"""What the page shows of a run: a value that `stages/compare.py` fills from a run on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.metrics import Scorecard

__all__ = ["RunView"]


@dataclass(frozen=True)
class RunView:
    """One run: its name and costs, its figures, and what it said of the test split.

    truth, predicted: int64 (documents,) codes into `labels`, or bool (documents, labels) for several labels.
    probabilities: float32 (documents, labels); NaN and -inf stand for "never seen" and rank last.
    predict_milliseconds: for one document. evidence: the decision as JSON, with what each family of rules brought.
    """

    name: str
    head: str
    store: str
    reads: str
    rule: str
    parameters: int
    fit_seconds: float
    predict_milliseconds: float
    out_of_fold: Scorecard
    test: Scorecard
    labels: tuple[str, ...]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[Any]
    notes: tuple[str, ...]
    evidence: Mapping[str, Any]

    @property
    def ordered(self) -> bool:
        """Whether the labels stand from the lowest to the highest."""
        return self.test.absolute_error is not None

    @property
    def named_truth(self) -> NDArray[Any]:
        """`truth` as label strings, the same in whatever order the labels stand; of several labels as it is."""
        return self.truth if self.multilabel else np.array(self.labels, dtype=object)[self.truth]

    @property
    def multilabel(self) -> bool:
        """Whether a document may have several labels."""
        return self.truth.ndim == 2
