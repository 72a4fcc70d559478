"""Which run to take: the cheapest one that is not worse than the best by more than a margin."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from heads.evaluation.metrics import ConfidenceInterval

__all__ = ["COSTS", "MARGIN", "Choice", "Cost"]

Cost: TypeAlias = Literal["predict", "fit", "size"]
COSTS: tuple[Cost, ...] = ("predict", "fit", "size")
MARGIN = 0.005


@dataclass(frozen=True)
class Choice:
    """The run to take, and the numbers that are the reasons for it.

    Attributes:
        sentence: says which run to take and why.
        run: its name.
        best: the name of the best run by the ranking metric.
        metric: the name of this metric.
        margin: how much worse than the best a cheaper run may be.
        cost: what "cheap" means: milliseconds per predicted document, seconds of the fit, or parameters.
        value: the metric of the run. best_value: that of the best.
        difference: how much better the run is than the best one; None if it is the best.
        not_worse: the probability that the run is not worse than the best by more than the margin.
        run_cost: of the run. best_cost: of the best.
        candidates: the runs within the margin, the cheapest first.
    """

    sentence: str
    run: str
    best: str
    metric: str
    margin: float
    cost: Cost
    value: float
    best_value: float
    difference: ConfidenceInterval | None
    not_worse: float
    run_cost: float
    best_cost: float
    candidates: tuple[str, ...]
