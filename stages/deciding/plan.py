"""What is decided and how: everything that decides the result of `decide`, together with the parent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data.target import Target
from heads.evaluation.calibration import Calibration, CalibrationMethod, fit_calibration
from heads.evaluation.decisions import Decision
from stages.deciding.inputs import DecisionInputs
from stages.fitting.decision_options import DecisionOptions

__all__ = ["DecisionPlan"]


@dataclass(frozen=True, kw_only=True)
class DecisionPlan:
    """What is decided and how.

    Attributes:
        rule: what the decision rule is chosen for.
        tune: whether a rule is chosen on the scores; else the one without a fitted parameter decides.
        calibration: how scores become probabilities, as in `FitPlan`; None for the calibration of the parent.
    """

    rule: DecisionOptions = field(default_factory=DecisionOptions)
    tune: bool = True
    calibration: CalibrationMethod | None = None

    def for_target(self, target: Target) -> "DecisionPlan":
        """The same with the defaults of these labels. Raises CallError for an option that does not fit them."""
        return replace(self, rule=self.rule.for_target(target))

    def identity(self, target: Target) -> Mapping[str, Any]:
        """What the name of the run depends on, in addition to the parent; {} for the defaults."""
        calibration = {} if self.calibration is None else {"calibration": self.calibration}
        return {**self.rule.identity(target), **({} if self.tune else {"tune": False}), **calibration}

    def decide(self, inputs: DecisionInputs) -> Decision:
        """Choose the decision on scores of documents that the head was not fitted on, one part after the other."""
        return replace(self._choose_rule(inputs), calibration=self._calibrate(inputs))

    def _choose_rule(self, inputs: DecisionInputs) -> Decision:
        if self.tune:
            return self.rule.tune(inputs.scores, inputs.target, inputs.groups, inputs.seed)
        return self.rule.decide(inputs.scores, inputs.target)

    def _calibrate(self, inputs: DecisionInputs) -> Calibration:
        if self.calibration is None:
            return inputs.calibration
        return fit_calibration(
            inputs.scores,
            inputs.target.y,
            inputs.groups,
            inputs.seed,
            method=self.calibration,
            hierarchy=inputs.target.hierarchy,
        )
