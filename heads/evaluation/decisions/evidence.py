"""What each family of decision rules gained, in-sample and cross-fitted, as numbers and as sentences."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from heads.evaluation.decisions.optimizers.search import MIN_DOCUMENTS
from heads.evaluation.metrics import MACRO_F1


@dataclass(frozen=True)
class RuleComparison:
    """One family of rules compared with the family selected before it.

    Attributes:
        family: name of the family.
        baseline: name of the family selected before it; None for the first family.
        in_sample: `metric` on the documents that the rule was fitted to.
        cross_fitted: `metric` on documents that the rule was not fitted to, mean of the repeats; of the first one alone
            if the family was worse than the baseline there; NaN if there are too few documents for folds.
        in_sample_gain: improvement of the in-sample value over the baseline; positive is better for every metric.
        cross_fitted_gain: improvement of the cross-fitted value over the baseline; positive is better.
        standard_error: standard error of the cross-fitted gain, over documents.
        selected: whether the family replaced the baseline.
        metric: name of the metric.
        sign: -1 if lower is better.
        is_alternative: whether it was selected though the gain is within the standard error, because it is as simple
            as the baseline, and is better than the family before both by more than that.
    """

    family: str
    baseline: str | None
    in_sample: float
    cross_fitted: float
    in_sample_gain: float
    cross_fitted_gain: float
    standard_error: float
    selected: bool
    metric: str = MACRO_F1.name
    sign: int = 1
    is_alternative: bool = False

    def describe(self, first: str | None = None, replaced_by: str | None = None) -> str:
        """The comparison in one sentence.

        Args:
            first: the simplest family, which sentences need not name; None to name no baseline.
            replaced_by: the family that replaced this one, if it was selected; None if none did.

        Returns:
            The sentence; metrics that are better if higher are given in points (hundredths).
        """
        rule = f'The rule "{self.family}"'
        if self.baseline is None and math.isnan(self.cross_fitted):
            return f"{rule} has no fitted parameter; there are too few documents to measure it out of fold."
        if self.baseline is None:
            return f"{rule} has no fitted parameter; its {self.metric} is {self.cross_fitted:.3f} out of fold."
        selected = "it was selected" if self.selected else "it was not selected"
        if self.is_alternative:
            selected += f', because it is as simple as "{self.baseline}"'
        if self.selected and replaced_by is not None:
            selected += f', until "{replaced_by}" replaced it'
        against = "" if first in (None, self.baseline) else f', compared with "{self.baseline}"'
        if self.sign < 0:
            change = f"{abs(self.cross_fitted_gain):.3f}"
            verb = "raises" if self.cross_fitted_gain < 0 and change != "0.000" else "lowers"
            change += f" ± {self.standard_error:.3f}"
            return f"{rule} {verb} the {self.metric} by {change} out of fold{against}; {selected}."
        return (
            f"{rule} changes the {self.metric} by {_points(self.in_sample_gain)} points in-sample and by "
            f"{_points(self.cross_fitted_gain)} ± {100 * self.standard_error:.1f} points out of fold{against}; "
            f"{selected}."
        )


def _points(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # adding 0.0 turns -0.0 into 0.0


@dataclass(frozen=True)
class ReachedConstraint:
    """Whether the lowest precision or recall that a user requested holds on documents that the rule was not fitted to.

    Attributes:
        bounded: precision or recall.
        at: its lowest value.
        value: what it is out of fold, mean of the repeats; of each label requested, the mean over labels.
        other: the recall or precision that comes with it.
        label: the name of the label that both are of; "" for all labels.
        low, high: 95 % confidence interval of `value` if it is that of one label, or of all labels together.
        labels: number of labels with documents if each has the constraint; else 0.
        holding: number of these whose value is at least `at` out of fold.
        unreached: number of these for which no threshold reaches it with confidence; 1 for all labels together.
    """

    bounded: str
    at: float
    value: float
    other: float
    label: str = ""
    low: float = 0.0
    high: float = 1.0
    labels: int = 0
    holding: int = 0
    unreached: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was reached, and what happened if it cannot be."""
        other = "recall" if self.bounded == "precision" else "precision"
        of = f" of '{self.label}'" if self.label else ""
        if self.labels:
            reached = (
                f"{self.holding} of {self.labels} labels have a {self.bounded} of at least {self.at:g} out of fold"
            )
            first = (
                f"{reached}; their mean {self.bounded} is {self.value:.3f}, with a mean {other} of {self.other:.3f}."
            )
        else:
            interval = f"95 % confidence interval {self.low:.3f} to {self.high:.3f}"
            requested = f"the {self.bounded}{of} is {self.value:.3f} ({interval}), where {self.at:g} was requested"
            first = f"Out of fold {requested}; its {other} is {self.other:.3f}."
        if not self.unreached:
            return (first,)
        which = f"for {self.unreached} of {self.labels} labels" if self.labels else "for these scores"
        bound = "whose confidence bound is highest is used"
        return (first, f"No threshold reaches it with 95 % confidence {which}; the one {bound}.")


@dataclass(frozen=True)
class Evidence:
    """Why a rule was selected.

    Attributes:
        documents: number of documents that the families were compared on.
        folds: number of cross-fitting folds; 0 if nothing was tuned.
        repeats: number of times that the folds were drawn.
        fallback_labels: number of labels with too few documents for a value of their own.
        comparisons: one comparison per family, from the most constrained to the most flexible.
        reached: what a requested precision or recall is out of fold; None if none was requested.
    """

    documents: int
    folds: int
    repeats: int
    fallback_labels: int
    comparisons: tuple[RuleComparison, ...]
    reached: ReachedConstraint | None = None

    @property
    def selected(self) -> RuleComparison:
        """The comparison of the rule's family."""
        return [comparison for comparison in self.comparisons if comparison.selected][-1]

    @property
    def metric(self) -> str:
        """The name of the metric that selected the rule."""
        return self.comparisons[0].metric

    @property
    def family_sentences(self) -> tuple[str, ...]:
        """One sentence per family: what it changed, compared with which other, and whether it was selected."""
        first, sentences = self.comparisons[0].baseline or self.comparisons[0].family, list[str]()
        replaced_by: str | None = None
        for comparison in reversed(self.comparisons):
            sentences.append(comparison.describe(first, replaced_by))
            replaced_by = comparison.family if comparison.selected else replaced_by
        return tuple(reversed(sentences))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence per family, and what belongs to none of them (`remarks`)."""
        if self.reached is not None:  # it is selected whatever it changes
            return (self.comparisons[0].describe(), *self.remarks)
        return (*self.family_sentences, *self.remarks)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on a requested precision or recall, and on labels that use the common value."""
        sentences = () if self.reached is None else self.reached.sentences
        if not self.fallback_labels:
            return sentences
        one = self.fallback_labels == 1
        labels, use, them = ("1 label", "uses", "it") if one else (f"{self.fallback_labels} labels", "use", "them")
        few = f"with fewer than {MIN_DOCUMENTS} documents that have or lack {them}"
        return (*sentences, f"{labels} {few} cannot be tuned separately and {use} the common value.")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, and the sentences."""
        return {**asdict(self), "sentences": list(self.sentences)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `to_json` returned."""
        values = {name: value for name, value in content.items() if name != "sentences"}
        reached = values.pop("reached", None)
        return replace(
            cls(**values),
            comparisons=tuple(RuleComparison(**comparison) for comparison in values["comparisons"]),
            reached=None if reached is None else ReachedConstraint(**reached),
        )
