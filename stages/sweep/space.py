"""What a sweep searches: the ranges that a head declares beside its parameters, less those that were set by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import Any

from featurestore import FeatureSource
from heads.core.head import Head
from heads.core.hyperparameters import Hyperparameter, hyperparameters_of, with_explicit_defaults
from heads.registry import full_name
from stages.fitting import runs
from stages.fitting.plan import FitPlan
from stages.fitting.task import Task

__all__ = ["SearchSpace"]

FORMAT = 1


@dataclass(frozen=True)
class SearchSpace:
    """What is searched, and what a trial is scored by.

    plan: of the run; its head has the parameters that are fixed, whose full names are `fixed`.
    metric: of `stages.curve.METRICS`. scored: of the plan's folds, how many a trial is scored on, the first ones.
    """

    plan: FitPlan
    fixed: frozenset[str] = frozenset()
    metric: str = "macro_f1"
    scored_folds: int = 1

    @classmethod
    def of(cls, plan: FitPlan, names: Sequence[str] = (), metric: str = "macro_f1", scored: int = 1) -> "SearchSpace":
        """names: of parameters that were set by hand, as `--set` takes them: lr for training__lr."""
        return cls(plan, frozenset(full_name(plan.head.name, name) for name in names), metric, scored)

    @cached_property
    def searched(self) -> dict[str, Hyperparameter]:
        """The parameters that a trial draws, by full name; empty for a head that declares none."""
        every = hyperparameters_of(type(self.plan.head))
        return {each.name: each for each in every if each.search is not None and each.name not in self.fixed}

    @property
    def defaults(self) -> dict[str, Any]:
        """What the head has where nobody asks for anything else: the first trial."""
        return {name: each.default for name, each in self.searched.items()}

    @property
    def size(self) -> float:
        """How many different trials there are; infinite where a number is drawn from a range."""
        return prod(len(each.search.choices) or inf for each in self.searched.values() if each.search is not None)

    def head(self, values: Mapping[str, Any]) -> Head:
        """The head with these parameters, unfitted."""
        return with_explicit_defaults(self.plan.head).set_params(**values)  # type: ignore[no-any-return]  # scikit-learn has no types

    def identity(self, store: FeatureSource, found: Task) -> str:
        """Eight hex digits that differ where a trial's score or the ranges could."""
        ranges = {name: str(each.search) for name, each in self.searched.items()}
        asked = {"metric": self.metric, "scored": self.scored_folds, "searched": ranges}
        return runs.short_hash({"format": FORMAT, "plan": self.plan.identity(store, found), **asked})
