"""Rules that compare the probabilities of nodes with a fitted threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from heads.evaluation.decisions.hierarchical import NodeRule
from heads.evaluation.decisions.node_values import Codes, ExpectedValues, Floats, Masses, document_blocks
from heads.evaluation.decisions.rules import Scores


@dataclass(frozen=True, kw_only=True)
class ThresholdRule(NodeRule):
    """The node with the highest rank, which depends on a value of the node, on its depth and on a threshold."""

    threshold: float

    def values(self, masses: Masses) -> Floats:
        """(candidates, documents), what the threshold is compared with, times the total mass."""
        raise NotImplementedError

    def rank(self, values: Floats, depths: Floats, threshold: float) -> Floats:
        """The ranks of values, of which the highest is predicted."""
        raise NotImplementedError

    def choose(self, masses: Masses) -> Codes:
        """The candidate of each document, int64 (documents,)."""
        values = self._normalized(masses)
        depths = self.candidates.sizes[:, None].astype(values.dtype)
        return np.asarray(self.rank(values, depths, self.threshold).argmax(axis=0))

    def decide_each(self, scores: Scores, thresholds: Sequence[float]) -> Codes:
        """The decisions of rules with other thresholds, int64 (thresholds, documents).

        Only the node with the highest value of each depth can win, whatever the threshold.
        """
        depths = np.unique(self.candidates.sizes)
        best = np.empty((len(depths), len(scores)), dtype=np.int64)
        highest = np.empty(best.shape, dtype=scores.dtype)
        for rows in document_blocks(scores.shape):
            values = self._normalized(self.candidates.masses(self.probabilities(scores[rows])))
            for place, depth in enumerate(depths):
                members = np.flatnonzero(self.candidates.sizes == depth)
                best[place, rows] = members[values[members].argmax(axis=0)]
                highest[place, rows] = np.take_along_axis(values, best[place, None, rows], axis=0)[0]
        codes = np.stack([self.codes(chosen, scores) for chosen in best])
        of_depth = depths[:, None].astype(scores.dtype)
        chosen = np.stack([self.rank(highest, of_depth, threshold).argmax(axis=0) for threshold in thresholds])
        return np.asarray(np.take_along_axis(codes, chosen, axis=0))

    def _normalized(self, masses: Masses) -> Floats:
        return np.asarray(self.values(masses) / np.where(masses.total > 0, masses.total, 1))


@dataclass(frozen=True, kw_only=True)
class ConfidenceThreshold(ThresholdRule):
    """The deepest node whose probability is above `threshold`; of equally deep ones the most probable.

    If no node is that probable, it is the most probable node. This heuristic is exact for no metric.
    """

    family: ClassVar[str] = "confidence threshold"

    def values(self, masses: Masses) -> Floats:
        """The probability of each candidate."""
        return self.candidates.node_masses(masses)

    def rank(self, values: Floats, depths: Floats, threshold: float) -> Floats:
        """By depth above the threshold, then by probability."""
        return np.where(values > values.dtype.type(threshold), depths + values / 2, values - 1)


@dataclass(frozen=True, kw_only=True)
class BestPathMass(ThresholdRule):
    """The node with the highest sum, over itself and the nodes above it, of probability minus `threshold`.

    This decodes the micro hF1 of many documents, 2 S / (T + M), with the sums S of common, T of true and M of predicted
    nodes. It is above F if 2 S - F (T + M) > 0, which is a sum over documents: the best F is reached if each document
    maximizes its expected s - F / 2 m, to which each node adds its probability minus F / 2 (Dinkelbach 1967, On
    nonlinear fractional programming; Ye et al. 2012, Optimizing F-measures). The threshold is fitted, because F is not
    known, and makes up for errors of the probabilities as well. With 1/2 it is the lowest expected distance.
    """

    family: ClassVar[str] = "path above a threshold"

    @cached_property
    def _sums(self) -> ExpectedValues:
        return self.candidates.weigh(lambda truth, _: np.ones(len(truth)), lambda truth, _: np.zeros(len(truth)))

    def values(self, masses: Masses) -> Floats:
        """The sum of the probabilities of a candidate and the nodes above it."""
        return self._sums.of(masses)

    def rank(self, values: Floats, depths: Floats, threshold: float) -> Floats:
        """The sum minus the threshold of each node."""
        return values - values.dtype.type(threshold) * depths
