"""What a sweep searches, and what a trial's score is.

The ranges are those that a head declares beside its parameters (`heads.parameters.Search`); what is set by hand is
left out. A score counts hits over all folds together and makes one figure of them, which for F1 has less bias than a
mean over folds (Forman & Scholz 2010, "Apples-to-Apples in Cross-Validation Studies", section 3); that mean and its
standard error are kept beside it. Decisions are those without tuning: argmax, or 0.5 for several labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from featurestore import FeatureStore
from heads.base import Head
from heads.counts import Counts
from heads.parameters import Parameter, parameters_of
from heads.registry import full_name
from stages import runs
from stages.fit_head import Plan
from stages.task import Task

__all__ = ["METRICS", "Metric", "Score", "Space"]

Metric: TypeAlias = Literal["macro-f1", "accuracy"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Space:
    """What is searched: a head as asked, and which of its parameters stay as they are.

    plan: of a trial; its head has the parameters that are fixed. fixed: their full names.
    """

    plan: Plan
    fixed: frozenset[str] = frozenset()
    metric: Metric = "macro-f1"

    @classmethod
    def of(cls, plan: Plan, names: Sequence[str] = (), metric: Metric = "macro-f1") -> "Space":
        """names: of parameters that were set by hand, as `--set` takes them: lr for training__lr."""
        return cls(plan, frozenset(full_name(plan.head.name, name) for name in names), metric)

    @cached_property
    def searched(self) -> dict[str, Parameter]:
        """The parameters that a trial draws, by full name; empty for a head that declares none."""
        every = parameters_of(type(self.plan.head))
        return {each.name: each for each in every if each.search is not None and each.name not in self.fixed}

    @property
    def defaults(self) -> dict[str, Any]:
        """What the head has where nobody asks for anything else: the first trial."""
        return {name: each.default for name, each in self.searched.items()}

    def head(self, values: Mapping[str, Any]) -> Head:
        """The head with these parameters, unfitted."""
        head: Head = clone(self.plan.head)
        for each in parameters_of(type(head), deep=False):
            if each.nested is not None and getattr(head, each.name) is None:
                head.set_params(**{each.name: each.nested()})
        return head.set_params(**values)  # type: ignore[no-any-return]  # scikit-learn has no types

    def identity(self, store: FeatureStore, found: Task) -> str:
        """Eight hex digits that differ where a trial's score or the ranges could."""
        ranges = {name: str(each.search) for name, each in self.searched.items()}
        return runs.identity({"plan": self.plan.identity(store, found), "metric": self.metric, "searched": ranges})


@dataclass
class Score:
    """The figure of the folds that were scored so far, and that of each."""

    truth: NDArray[Any]
    labels: int
    metric: Metric
    of_folds: list[float] = field(default_factory=list)
    _counts: list[Counts] = field(default_factory=list)

    def add(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Score one more fold: its rows of `truth`, and float32 (rows, labels)."""
        decided = scores > 0 if self.truth.ndim == 2 else scores.argmax(axis=1)
        counts = Counts.of(self.truth[rows], decided, self.labels)
        self._counts.append(counts)
        self.of_folds.append(_figure(counts, self.metric))

    @property
    def value(self) -> float:
        """The figure of all documents scored so far."""
        first, *others = self._counts
        for other in others:
            first = replace(
                first,
                hits=first.hits + other.hits,
                predicted=first.predicted + other.predicted,
                support=first.support + other.support,
                exact=first.exact + other.exact,
                documents=first.documents + other.documents,
            )
        return _figure(first, self.metric)

    @property
    def mean(self) -> float:
        """The mean of the folds."""
        return float(np.mean(self.of_folds))

    @property
    def standard_error(self) -> float:
        """Of that mean: deviation over folds / sqrt(folds). Folds share training documents, so it is a low estimate."""
        return float(np.std(self.of_folds, ddof=1) / np.sqrt(len(self.of_folds))) if len(self.of_folds) > 1 else 0.0


def _figure(counts: Counts, metric: Metric) -> float:
    return float(counts.macro_f1 if metric == "macro-f1" else counts.accuracy)
