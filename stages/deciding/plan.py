"""What is decided and how: everything that decides the result of `decide`, together with the parent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data.target import Target
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
    """

    rule: DecisionOptions = field(default_factory=DecisionOptions)
    tune: bool = True

    def for_target(self, target: Target) -> "DecisionPlan":
        """The same with the defaults of these labels. Raises CallError for an option that does not fit them."""
        return replace(self, rule=self.rule.for_target(target))

    def identity(self, target: Target) -> Mapping[str, Any]:
        """What the name of the run depends on, in addition to the parent; {} for the defaults."""
        return {**self.rule.identity(target), **({} if self.tune else {"tune": False})}

    def decide(self, inputs: DecisionInputs) -> Decision:
        """Choose the decision on scores of documents that the head was not fitted on, one part after the other."""
        if self.tune:
            return self.rule.tune(inputs.scores, inputs.target, inputs.groups, inputs.seed)
        return self.rule.decide(inputs.scores, inputs.target)
