"""The decision rule of a cost matrix: the label with the lowest expected cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.rules import DecisionRule, Scores
from heads.evaluation.score_matrix import row_blocks


@dataclass(frozen=True)
class LowestExpectedCost(DecisionRule):
    """The label with the lowest expected cost under the softmax of the scores, the first among ties.

    No other decision has a lower expected cost (Elkan 2001, The Foundations of Cost-Sensitive Learning, section 1.1).
    A label with a score of -inf, which the head has not seen, is not predicted.

    Attributes:
        costs: of each true label (rows) if a label (columns) is predicted.
        temperature: what scores are divided by.
    """

    costs: tuple[tuple[float, ...], ...]
    temperature: float = 1.0
    family: ClassVar[str] = "lowest expected cost"

    @classmethod
    def of(cls, costs: NDArray[np.float64], temperature: float = 1.0) -> Self:
        """The rule of costs (true labels, predicted labels)."""
        return cls(tuple(map(tuple, costs.tolist())), temperature)

    @property
    def name(self) -> str:
        """The family, and whether it has a temperature."""
        return self.family if self.temperature == 1.0 else f"{self.family} with temperature"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        costs = np.array(self.costs)
        if costs.shape[0] != scores.shape[1]:
            raise ValueError(f"the rule is for {len(costs)} labels, but the scores have {scores.shape[1]} columns")
        predicted = np.empty(len(scores), dtype=np.int64)
        for rows in row_blocks(scores.shape):
            exact = scores[rows].astype(np.float64) / self.temperature
            highest = exact.max(axis=1, keepdims=True)
            probabilities = np.exp(exact - np.where(np.isfinite(highest), highest, 0.0))
            probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
            expected = np.where(np.isneginf(exact) & np.isfinite(highest), np.inf, probabilities @ costs)
            predicted[rows] = expected.argmin(axis=1)
        return predicted

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        costs: Any = np.array(self.costs)[np.ix_(np.asarray(order), np.asarray(order))]
        return replace(self, costs=tuple(map(tuple, costs.tolist())))
