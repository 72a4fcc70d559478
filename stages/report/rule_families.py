"""The families of decision rules that were tried, on a scale of their own."""

from dataclasses import dataclass

from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.metrics import ConfidenceInterval
from stages.report.axis import Axis, common_axis
from stages.report.run_view import RunView

__all__ = ["Trials", "trials"]


@dataclass(frozen=True)
class Trials:
    """Each family, from rigid to free, with its sentence; the sentences that are of none; the scale of all."""

    each: tuple[RuleComparison, ...]
    remarks: tuple[str, ...]
    scale: Axis

    @property
    def metric(self) -> str:
        """What they were chosen by."""
        return self.each[0].metric

    @property
    def chosen(self) -> RuleComparison:
        """The family whose rule the run uses: the freest one that was taken."""
        return [one for one in self.each if one.selected][-1]


def trials(view: RunView) -> Trials | None:
    """What `view.evidence` says, or None where it says nothing."""
    if "evidence" not in view.evidence:
        return None
    evidence = Evidence.from_json(view.evidence["evidence"])
    bounds = [ConfidenceInterval(one.cross_fitted, one.cross_fitted, one.in_sample) for one in evidence.comparisons]
    remarks = evidence.sentences[len(evidence.comparisons) :]
    return Trials(evidence.comparisons, remarks, common_axis(bounds))
