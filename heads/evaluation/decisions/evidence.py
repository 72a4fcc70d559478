"""What each family of decision rules gained, in-sample and cross-fitted, as numbers and as sentences."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from heads.evaluation.decisions.search import MIN_DOCUMENTS
from heads.evaluation.metrics import MACRO_F1, METRICS


@dataclass(frozen=True)
class RuleComparison:
    """One family of rules compared with the family selected before it.

    Attributes:
        family: name of the family.
        baseline: name of the family selected before it; None for the first family.
        in_sample: `metric` on the documents that the rule was fitted to.
        cross_fitted: `metric` on documents that the rule was not fitted to, mean of the repeats.
        in_sample_gain: improvement of the in-sample value over the baseline; positive is better for every metric.
        cross_fitted_gain: improvement of the cross-fitted value over the baseline; positive is better.
        standard_error: standard error of the cross-fitted gain, over documents.
        selected: whether the family replaced the baseline.
        metric: name of the metric.
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

    @property
    def sentence(self) -> str:
        """The comparison in one sentence; metrics that are better if higher are given in points (hundredths)."""
        rule = f'The rule "{self.family}"'
        if self.baseline is None:
            return f"{rule} has no fitted parameter; its {self.metric} is {self.cross_fitted:.3f} out of fold."
        selected = "it was selected" if self.selected else "it was not selected"
        if any(metric.name == self.metric and metric.sign < 0 for metric in METRICS.values()):
            change = f"{abs(self.cross_fitted_gain):.3f}"
            verb = "raises" if self.cross_fitted_gain < 0 and change != "0.000" else "lowers"
            return f"{rule} {verb} the {self.metric} by {change} ± {self.standard_error:.3f} out of fold; {selected}."
        return (
            f"{rule} changes the {self.metric} by {_points(self.in_sample_gain)} points in-sample and by "
            f"{_points(self.cross_fitted_gain)} ± {100 * self.standard_error:.1f} points out of fold; {selected}."
        )


def _points(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # adding 0.0 turns -0.0 into 0.0


@dataclass(frozen=True)
class Evidence:
    """Why a rule was selected.

    Attributes:
        documents: number of documents that the families were compared on.
        folds: number of cross-fitting folds; 0 if nothing was tuned.
        repeats: number of times that the folds were drawn.
        fallback_labels: number of labels with too few documents for a value of their own.
        comparisons: one comparison per family, from the most constrained to the most flexible.
    """

    documents: int
    folds: int
    repeats: int
    fallback_labels: int
    comparisons: tuple[RuleComparison, ...]

    @property
    def metric(self) -> str:
        """The name of the metric that selected the rule."""
        return self.comparisons[0].metric

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence per family, and one about labels that use the common value."""
        sentences = tuple(comparison.sentence for comparison in self.comparisons)
        if not self.fallback_labels:
            return sentences
        labels, use = ("1 label", "uses") if self.fallback_labels == 1 else (f"{self.fallback_labels} labels", "use")
        reason = f"with fewer than {MIN_DOCUMENTS} documents cannot be tuned separately and {use} the common value"
        return (*sentences, f"{labels} {reason}.")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, and the sentences."""
        return {**asdict(self), "sentences": list(self.sentences)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `to_json` returned."""
        values = {name: value for name, value in content.items() if name != "sentences"}
        evidence = cls(**values)
        return replace(
            evidence, comparisons=tuple(RuleComparison(**comparison) for comparison in values["comparisons"])
        )
