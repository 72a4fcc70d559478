"""How a run's decision rule is chosen, as far as the user decides."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from data.errors import CallError, UnknownName, suggest_name
from data.target import Target
from heads.evaluation.decisions import Decision, default_decision, tune_decision
from heads.evaluation.decisions.objective_request import (
    ObjectiveRequest,
    check_objective,
    default_objective,
)
from heads.evaluation.decisions.objectives import HIERARCHICAL_OBJECTIVES
from heads.evaluation.decisions.problem import Selection
from heads.evaluation.metrics import Metric
from stages.fitting.cost_matrix import CostMatrix

__all__ = ["CostMatrix", "DecisionOptions"]

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class DecisionOptions:
    """What a rule is chosen for.

    Attributes:
        objective: one of `heads.evaluation.decisions.objective_request.OBJECTIVES`; None for the default of the labels.
        labels_only: whether nodes of a taxonomy that are no label are never predicted.
        beta: of macro-fbeta and micro-fbeta: by how much recall counts more than precision.
        costs: of cost: what each confusion costs.
        at: of recall-at-precision and precision-at-recall: the lowest precision or recall.
        label: of these two: the label that they are for; None for all labels.
        per_label: of these two: whether each label must reach it, not all of them together.
    """

    objective: str | None = None
    labels_only: bool = False
    beta: float | None = None
    costs: CostMatrix | None = None
    at: float | None = None
    label: str | None = None
    per_label: bool = False

    def for_target(self, target: Target) -> "DecisionOptions":
        """The same with the default of these labels. Raises EmbedOnceError for what does not fit them."""
        objective = self.objective or default_objective(target)
        resolved = replace(self, objective=objective)
        request = resolved._request(target)
        check_objective(request, target)
        if self.labels_only and (objective not in HIERARCHICAL_OBJECTIVES or target.y.ndim == 2):
            raise CallError(
                "--labels-only is for one label per document and an objective of a taxonomy "
                f"({', '.join(HIERARCHICAL_OBJECTIVES)}): others predict labels alone, or all nodes. Leave it out."
            )
        return resolved

    def identity(self, target: Target) -> dict[str, Any]:
        """What a hash of the result depends on; {} for the objective of labels without a taxonomy."""
        resolved = self.for_target(target)
        if resolved.objective is None or (resolved.objective == "macro-f1" and not target.is_ordinal):
            return {}
        parameters = {"beta": self.beta, "at": self.at, "label": self.label, "per_label": self.per_label or None}
        costs = {} if self.costs is None else {"costs": self.costs.identity()}
        given = {name: value for name, value in parameters.items() if value is not None}
        return {"objective": resolved.objective, "labels_only": self.labels_only, **given, **costs}

    def value(self, target: Target, predicted: NDArray[Any]) -> float:
        """What predictions, of which none is left undecided, are worth by the metric that a rule is chosen for."""
        selection = self._selection(target)
        return float(selection.objective.metric.value(selection.count(target.y, predicted, len(target.labels))))

    def metric(self, target: Target) -> Metric:
        """The metric that a rule is chosen for."""
        return self._selection(target).objective.metric

    def _selection(self, target: Target) -> Selection:
        return self._call(Selection.of, target, target.y)

    def _call(self, function: Callable[..., Result], target: Target, *arguments: Any) -> Result:
        """Call a function that selects by the objective, with what it needs to know about labels."""
        return function(
            *arguments,
            hierarchy=target.hierarchy,
            objective=self.for_target(target)._request(target),
            ordinal=target.is_ordinal,
            labels_only=self.labels_only,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The options that `to_json` returned; those of {} have the defaults."""
        options = cls(**content)
        return options if options.costs is None else replace(options, costs=CostMatrix.from_json(content["costs"]))

    def decide(self, scores: NDArray[Any], target: Target) -> Decision:
        """Decide by the rule without a fitted parameter. scores: of the documents of `target`."""
        return self._call(default_decision, target, scores, target.y)

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
        return self._call(tune_decision, target, scores, target.y, groups, seed)

    def _request(self, target: Target) -> ObjectiveRequest:
        """The same in columns of the scores. Raises EmbedOnceError for a name that is no label."""
        if self.label is not None and self.label not in target.labels:
            raise UnknownName(
                f"--for-label {self.label}: there is no such label.{suggest_name(self.label, target.labels)}"
            )
        return ObjectiveRequest(
            name=self.objective,
            beta=self.beta,
            costs=None if self.costs is None else self.costs.of(target.labels),
            at=self.at,
            label=None if self.label is None else target.labels.index(self.label),
            label_name=self.label or "",
            per_label=self.per_label,
        )
