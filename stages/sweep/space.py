"""What a sweep searches: the ranges that a head declares with its hyperparameters, without those that the user set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import Any

from featurestore import FeatureSource
from heads.core.head import Head
from heads.core.hyperparameters import Hyperparameter, hyperparameters_in, with_explicit_defaults
from heads.evaluation.metrics import MACRO_F1, Metric
from heads.registry import full_name, shown_names
from stages.fitting import runs
from stages.fitting.plan import FitPlan
from stages.fitting.searched_range import SearchedRange
from stages.fitting.task import Task

__all__ = ["SearchSpace"]

FORMAT = 2


@dataclass(frozen=True)
class SearchSpace:
    """What is searched, and how a trial is scored.

    plan: of the run; its head has the values of the fixed hyperparameters.
    fixed: full names of the hyperparameters that are not searched.
    metric: what is maximized; one whose sign is 1.
    scored_folds: how many of the plan's folds a trial is scored on, starting with the first.
    """

    plan: FitPlan
    fixed: frozenset[str] = frozenset()
    metric: Metric = MACRO_F1
    scored_folds: int = 1

    @classmethod
    def of(
        cls, plan: FitPlan, fixed: Sequence[str] = (), metric: Metric = MACRO_F1, scored_folds: int = 1
    ) -> "SearchSpace":
        """A space whose fixed hyperparameters have short names, as in `--set`: lr for training__optimization__lr."""
        return cls(plan, frozenset(full_name(plan.head, name) for name in fixed), metric, scored_folds)

    @cached_property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """The searched hyperparameters by full name; empty for a head that declares none."""
        declared = hyperparameters_in(self.plan.head)
        return {item.name: item for item in declared if item.search is not None and item.name not in self.fixed}

    @property
    def defaults(self) -> dict[str, Any]:
        """The head's default values: the first trial."""
        return {name: hyperparameter.default for name, hyperparameter in self.hyperparameters.items()}

    @property
    def size(self) -> float:
        """The number of different trials; infinite if a number is drawn from a range."""
        return prod(
            len(item.search.choices) or inf for item in self.hyperparameters.values() if item.search is not None
        )

    def make_head(self, values: Mapping[str, Any]) -> Head:
        """The unfitted head with these hyperparameters."""
        return with_explicit_defaults(self.plan.head).set_params(**values)  # type: ignore[no-any-return]  # with_explicit_defaults is not typed

    def searched_ranges(self, values: Mapping[str, Any]) -> list[SearchedRange]:
        """The ranges of the searched numbers, with these values."""
        names = shown_names(self.plan.head)
        ranges = (SearchedRange.of(item, values[name], names[name]) for name, item in self.hyperparameters.items())
        return [each for each in ranges if each is not None]

    def identity(self, store: FeatureSource, task: Task) -> str:
        """Eight hex digits that differ if a trial's score or the ranges could differ."""
        ranges = {name: str(hyperparameter.search) for name, hyperparameter in self.hyperparameters.items()}
        scoring = {"metric": self.metric.attribute, "scored_folds": self.scored_folds, "ranges": ranges}
        return runs.short_hash({"format": FORMAT, "plan": self.plan.identity(store, task), **scoring})
