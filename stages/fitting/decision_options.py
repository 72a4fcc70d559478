"""How a run's decision rule is chosen, as far as the user decides."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from data.target import Target
from heads.evaluation.decisions import Decision, default_decision, tune_decision
from heads.evaluation.decisions.objectives import check_objective, default_objective

__all__ = ["DecisionOptions"]


@dataclass(frozen=True, kw_only=True)
class DecisionOptions:
    """What a rule is chosen for.

    Attributes:
        objective: one of `heads.evaluation.decisions.objectives.OBJECTIVES`; None for the default of the labels.
        labels_only: whether nodes of a taxonomy that are no label are never predicted.
    """

    objective: str | None = None
    labels_only: bool = False

    def for_target(self, target: Target) -> "DecisionOptions":
        """The same with the default of these labels. Raises CallError for an objective that does not fit them."""
        objective = self.objective or default_objective(target)
        check_objective(objective, target)
        return replace(self, objective=objective)

    def identity(self, target: Target) -> dict[str, Any]:
        """What a hash of the result depends on; {} for the objective of labels without a taxonomy."""
        resolved = self.for_target(target)
        if resolved.objective is None or (resolved.objective == "macro-f1" and not target.is_ordinal):
            return {}
        return {"objective": resolved.objective, "labels_only": self.labels_only}

    def decide(self, scores: NDArray[Any], target: Target) -> Decision:
        """Decide by the rule without a fitted parameter. scores: of the documents of `target`."""
        resolved = self.for_target(target)
        return default_decision(
            scores,
            target.y,
            ordinal=target.is_ordinal,
            hierarchy=target.hierarchy,
            objective=resolved.objective,
            labels_only=self.labels_only,
        )

    def tune(
        self, scores: NDArray[Any], target: Target, groups: Sequence[Hashable] | NDArray[Any] | None, seed: int
    ) -> Decision:
        """Select a rule.

        Args:
            scores: of the documents of `target`.
            target: the labels.
            groups: as in `tune_decision`.
            seed: of the folds.

        Returns:
            The decision.
        """
        resolved = self.for_target(target)
        return tune_decision(
            scores,
            target.y,
            groups,
            seed,
            ordinal=target.is_ordinal,
            hierarchy=target.hierarchy,
            objective=resolved.objective,
            labels_only=self.labels_only,
        )
