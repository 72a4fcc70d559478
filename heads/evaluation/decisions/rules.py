"""Decision rules: frozen values that turn scores into labels, stored as JSON and read back exactly.

scores: float (documents, labels) in the columns of a run's labels: logits or log-probabilities for single-label
targets, logits for multi-label ones. A column of -inf is a label that the head has not seen; no rule predicts it. Rules
compute in float64.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Parents, parents_first
from heads.evaluation.decisions.optimizers.search import best_columns
from heads.evaluation.score_matrix import row_blocks

Scores = NDArray[np.floating[Any]]


class DecisionRule:
    """A map from scores to labels; `family` is its name for a reader and in JSON."""

    family: ClassVar[str]
    is_multilabel: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The family, and what else a reader needs to tell the rule from others of its family."""
        return self.family

    def decide(self, scores: Scores) -> NDArray[Any]:
        """int64 (documents,) columns, or bool (documents, labels) for multi-label targets."""
        raise NotImplementedError

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns: its column i is column `order[i]` of this one."""
        del order
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain values for `rule_json.rule_from_json`."""
        return {"family": self.family, **asdict(self)}  # type: ignore[call-overload]  # every rule is a dataclass


@dataclass(frozen=True)
class Argmax(DecisionRule):
    """The label with the highest score."""

    family: ClassVar[str] = "argmax"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return np.asarray(scores.argmax(axis=1))


@dataclass(frozen=True)
class LogitAdjustment(DecisionRule):
    """The label with the highest score after subtracting `strength` times the log of its training share.

    Menon et al. 2021, Long-tail learning via logit adjustment (arXiv 2007.07314), equation 9. A positive strength
    favors rare labels; a head trained with balanced class weights already does so, and may need a negative one.
    """

    strength: float
    log_prior: tuple[float, ...]
    family: ClassVar[str] = "logit adjustment"

    @property
    def name(self) -> str:
        """The family, and whether all of the share is taken away, as without a fitted strength."""
        return f"{self.family} of strength 1" if self.strength == 1.0 else self.family

    @property
    def offsets(self) -> NDArray[np.float64]:
        """The offset added to each column, float64 (labels,)."""
        return -self.strength * np.array(self.log_prior)

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return best_columns(scores, _columns(self.offsets, scores))[0]

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        return replace(self, log_prior=tuple(self.log_prior[column] for column in order))


@dataclass(frozen=True)
class PerLabelOffsets(DecisionRule):
    """The label with the highest score after adding one offset per label."""

    offsets: tuple[float, ...]
    family: ClassVar[str] = "per-label offsets"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return best_columns(scores, _columns(self.offsets, scores))[0]

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        return replace(self, offsets=tuple(self.offsets[column] for column in order))


@dataclass(frozen=True)
class WeightedMedian(DecisionRule):
    """The lowest ordinal label whose cumulative probability is at least one half.

    The median of a distribution has the lowest expected absolute error (Berger 1985, Statistical Decision Theory and
    Bayesian Analysis, section 2.4.2).
    """

    family: ClassVar[str] = "weighted median"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        cumulative = seen_probabilities(scores)[0].cumsum(axis=1)
        return np.asarray((cumulative >= cumulative[:, -1:] / 2).argmax(axis=1))


@dataclass(frozen=True)
class ThresholdRule(DecisionRule):
    """Labels of multi-label targets whose logit is above a threshold.

    parents: of labels that are the nodes of a hierarchy. Each then has the highest logit of itself and the labels below
        it, because it is true if one of them is, and each label above a predicted one is predicted.
    """

    is_multilabel: ClassVar[bool] = True
    parents: Parents = field(default=(), kw_only=True)

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        return with_parents(raised_scores(scores, self.parents) > self._thresholds(scores), self.parents)

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        return replace(self, parents=reorder_parents(self.parents, order) if self.parents else ())

    def _thresholds(self, scores: Scores) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class FixedThreshold(ThresholdRule):
    """Every label whose probability is above 0.5, so whose logit is above 0."""

    family: ClassVar[str] = "threshold 0.5"

    def _thresholds(self, scores: Scores) -> Any:
        del scores
        return 0


@dataclass(frozen=True)
class SingleThreshold(ThresholdRule):
    """Every label whose logit is above `threshold`."""

    threshold: float
    family: ClassVar[str] = "single threshold"

    def _thresholds(self, scores: Scores) -> Any:
        del scores
        return np.float64(self.threshold)  # NumPy would round a Python float to the dtype of the scores


@dataclass(frozen=True)
class PerLabelThresholds(ThresholdRule):
    """Every label whose logit is above the threshold of that label."""

    thresholds: tuple[float, ...]
    family: ClassVar[str] = "per-label thresholds"

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        return replace(super().reordered(order), thresholds=tuple(self.thresholds[column] for column in order))

    def _thresholds(self, scores: Scores) -> Any:
        return _columns(self.thresholds, scores)


@dataclass(frozen=True)
class BestExpectedSet(ThresholdRule):
    """The set of labels, closed under `parents`, with the highest 2 (sum of probabilities) / (m + expected labels).

    This is the hF1 of m predicted labels if the number of true ones is replaced by its expectation, because logits do
    not tell how labels occur together. No probability rises from a label to one below it, so that the m most probable
    labels are the best closed set of m labels, and adding the most probable one to the set, one by one, finds the best.
    """

    family: ClassVar[str] = "greedy closure"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        from scipy.special import expit

        chosen = np.zeros(scores.shape, dtype=bool)
        for rows in row_blocks(scores.shape):
            probabilities = expit(raised_scores(scores[rows], self.parents).astype(np.float64))
            highest = -np.sort(-probabilities, axis=1)
            sizes = np.arange(1, scores.shape[1] + 1)
            values = np.cumsum(highest, axis=1) / (sizes + probabilities.sum(axis=1, keepdims=True))
            lowest = np.take_along_axis(highest, values.argmax(axis=1)[:, None], axis=1)
            chosen[rows] = (probabilities >= lowest) & (probabilities > 0)
        return with_parents(chosen, self.parents)


def _columns(values: Sequence[float] | NDArray[np.float64], scores: Scores) -> NDArray[np.float64]:
    if len(values) != scores.shape[1]:
        raise ValueError(f"the rule is for {len(values)} labels, but the scores have {scores.shape[1]} columns")
    return np.asarray(values, dtype=np.float64)


def seen_probabilities(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The softmax of each row, and which labels the head has not seen: (documents, labels) each.

    A row of -inf alone has probabilities of 0, and none of its labels counts as unseen.
    """
    exact = scores.astype(np.float64)
    highest = exact.max(axis=1, keepdims=True)
    is_known = np.isfinite(highest)
    probabilities = np.exp(exact - np.where(is_known, highest, 0.0))
    probabilities /= np.where(is_known, probabilities.sum(axis=1, keepdims=True), 1.0)
    return probabilities, np.isneginf(exact) & is_known


def raised_scores(scores: Scores, parents: Parents) -> Scores:
    """The highest score of each label and those below it: (documents, labels). parents: of each label; () for none."""
    raised = scores.copy() if parents else scores
    for label in parents_first(parents)[::-1]:
        for parent in parents[label]:
            np.maximum(raised[:, parent], raised[:, label], out=raised[:, parent])
    return raised


def with_parents(predicted: NDArray[np.bool_], parents: Parents) -> NDArray[np.bool_]:
    """The predicted labels with those above them, bool (documents, labels); an array that is not used elsewhere."""
    for label in parents_first(parents)[::-1]:
        for parent in parents[label]:
            predicted[:, parent] |= predicted[:, label]
    return predicted


def reorder_parents(parents: Parents, order: Sequence[int] | NDArray[np.int64]) -> Parents:
    """The parents of reordered nodes. order: the code of each label that becomes 0, 1, ...; other nodes keep theirs."""
    old = [*map(int, order), *range(len(order), len(parents))]
    new = dict(zip(old, range(len(old)), strict=True))
    return tuple(tuple(new[parent] for parent in parents[code]) for code in old)
