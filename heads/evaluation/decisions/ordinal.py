"""Rules for one label a document of labels that are ordered: float64 scores in columns from the lowest label on."""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.rules import Rule, WeightedMedian


def weighted_median(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> list[Rule]:
    """The rule of the lowest absolute error where probabilities are right; nothing is fitted for it."""
    del scores, truth
    return [WeightedMedian()]
