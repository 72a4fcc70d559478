"""What the decision rule of a run changed on its scored documents, and the rule families that were compared for it."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.metrics import ConfidenceInterval
from stages.report.line_chart import Axis, common_axis
from stages.report.precision_recall import replace_nonfinite
from stages.report.run_view import RunView

__all__ = ["RuleEffect", "RuleFamilies", "measure_rule_effect", "rule_families"]


@dataclass(frozen=True)
class RuleEffect:
    """How the rule differs from the default decision on the same probabilities.

    Attributes:
        decisions: number of decisions: one per decided document; multi-label: one per pair of document and label.
        changed: decisions that the rule made differently.
        corrected: changed decisions that are right only with the rule.
        broken: changed decisions that are right only without the rule.
        undecided: number of documents that are left undecided.
    """

    decisions: int
    changed: int
    corrected: int
    broken: int
    undecided: int = 0

    @property
    def still_wrong(self) -> int:
        """Documents that have another wrong label because of the rule."""
        return self.changed - self.corrected - self.broken


def measure_rule_effect(run: RunView) -> RuleEffect:
    """Compare with the most probable label; multi-label: with every label of a probability above 0.5."""
    if run.is_multilabel:
        default = np.nan_to_num(run.probabilities, nan=0.0) > 0.5
    else:
        default = replace_nonfinite(run.probabilities).argmax(axis=1)
    decided = np.ones_like(run.predicted, dtype=bool) if run.is_multilabel else run.predicted >= 0
    changed = (default != run.predicted) & decided
    return RuleEffect(
        decisions=int(decided.sum()),
        changed=int(changed.sum()),
        corrected=int((changed & (run.predicted == run.truth)).sum()),
        broken=int((changed & (default == run.truth)).sum()),
        undecided=int((~decided).sum()),
    )


@dataclass(frozen=True)
class RuleFamilies:
    """The rule families that were compared.

    Attributes:
        comparisons: one per family, from the most constrained to the most flexible.
        sentences: one per family.
        remarks: sentences that belong to no family.
        axis: the common axis of all values.
    """

    comparisons: tuple[RuleComparison, ...]
    sentences: tuple[str, ...]
    remarks: tuple[str, ...]
    axis: Axis

    @property
    def metric(self) -> str:
        """Name of the metric that selected the rule."""
        return self.comparisons[0].metric

    @property
    def selected(self) -> RuleComparison:
        """The family whose rule the run uses."""
        return [comparison for comparison in self.comparisons if comparison.selected][-1]


def rule_families(run: RunView) -> RuleFamilies | None:
    """The comparison that `run.evidence` holds, or None without one."""
    if "evidence" not in run.evidence:
        return None
    evidence = Evidence.from_json(run.evidence["evidence"])
    values = [
        ConfidenceInterval(comparison.cross_fitted, comparison.cross_fitted, comparison.in_sample)
        for comparison in evidence.comparisons
    ]
    return RuleFamilies(evidence.comparisons, evidence.family_sentences, evidence.remarks, common_axis(values))
