"""What turns scores into labels: frozen values that are kept as JSON and read back exactly.

scores: float (documents, labels) in the columns of a run's labels; single labels: logits or log-probabilities, several:
logits. A column of -inf is a label that the head has never seen: no rule gives it. Rules compute in float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


class DecisionRule:
    """Labels from scores: `decide`, and `family`, by which a rule is known to a reader and to its JSON."""

    family: ClassVar[str]

    def decide(self, scores: Scores) -> NDArray[Any]:
        """int64 (documents,) columns, or bool (documents, labels) for several labels."""
        raise NotImplementedError

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for other columns: its column i is what column `order[i]` is here."""
        del order
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `rule_from_json` takes them."""
        return {"family": self.family, **asdict(self)}  # type: ignore[call-overload]  # every rule is a dataclass


@dataclass(frozen=True)
class Argmax(DecisionRule):
    """The label of the highest score."""

    family: ClassVar[str] = "argmax"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return np.asarray(scores.argmax(axis=1))


@dataclass(frozen=True)
class LogitAdjustment(DecisionRule):
    """The highest score after `strength` times the label's log share of training documents is taken off.

    Menon et al. 2021, Long-tail learning via logit adjustment (arXiv 2007.07314), equation 9. A positive strength
    favours rare labels; a head that was trained with balanced weights has done so already and may want a negative one.
    """

    strength: float
    log_prior: tuple[float, ...]
    family: ClassVar[str] = "logit adjustment"

    @property
    def offsets(self) -> NDArray[np.float64]:
        """What is added to each column: float64 (labels,)."""
        return -self.strength * np.array(self.log_prior)

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return np.asarray((scores + _columns(self.offsets, scores)).argmax(axis=1))

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for other columns."""
        return replace(self, log_prior=tuple(self.log_prior[column] for column in order))


@dataclass(frozen=True)
class PerLabelOffsets(DecisionRule):
    """The highest score after each column's own offset is added."""

    offsets: tuple[float, ...]
    family: ClassVar[str] = "per-label offsets"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        return np.asarray((scores + _columns(self.offsets, scores)).argmax(axis=1))

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for other columns."""
        return replace(self, offsets=tuple(self.offsets[column] for column in order))


@dataclass(frozen=True)
class WeightedMedian(DecisionRule):
    """Of labels that are ordered, the first up to which at least half of the probability lies.

    The median of a distribution has the lowest expected absolute error: Berger 1985, Statistical Decision Theory and
    Bayesian Analysis, section 2.4.2.
    """

    family: ClassVar[str] = "weighted median"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        exact = scores.astype(np.float64)
        highest = exact.max(axis=1, keepdims=True)
        cumulated = np.exp(exact - np.where(np.isfinite(highest), highest, 0.0)).cumsum(axis=1)
        return np.asarray((cumulated >= cumulated[:, -1:] / 2).argmax(axis=1))


@dataclass(frozen=True)
class FixedThreshold(DecisionRule):
    """Every label whose probability is above one half: whose logit is above 0."""

    family: ClassVar[str] = "threshold 0.5"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        return np.asarray(scores > 0)


@dataclass(frozen=True)
class SingleThreshold(DecisionRule):
    """Every label whose logit is above `threshold`."""

    threshold: float
    family: ClassVar[str] = "single threshold"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        # a plain float would be rounded to the scores' type before it is compared
        return np.asarray(scores > np.float64(self.threshold))


@dataclass(frozen=True)
class PerLabelThresholds(DecisionRule):
    """Every label whose logit is above its own threshold."""

    thresholds: tuple[float, ...]
    family: ClassVar[str] = "per-label thresholds"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        return np.asarray(scores > _columns(self.thresholds, scores))

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for other columns."""
        return replace(self, thresholds=tuple(self.thresholds[column] for column in order))


_RULES: Mapping[str, type[DecisionRule]] = {
    rule.family: rule
    for rule in (
        Argmax,
        LogitAdjustment,
        PerLabelOffsets,
        WeightedMedian,
        FixedThreshold,
        SingleThreshold,
        PerLabelThresholds,
    )
}


def rule_from_json(content: Mapping[str, Any]) -> DecisionRule:
    """The rule that `to_json` gave. Raises ValueError for anything else."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    family = str(values.pop("family", None))
    try:
        return _RULES[family](**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no decision rule: {error}") from error


def _columns(values: Sequence[float] | NDArray[np.float64], scores: Scores) -> NDArray[np.float64]:
    if len(values) != scores.shape[1]:
        raise ValueError(f"the rule is for {len(values)} labels, there are scores of {scores.shape[1]}")
    return np.asarray(values, dtype=np.float64)
