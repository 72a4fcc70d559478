"""The range in which a sweep searched a hyperparameter, next to the value that it chose."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any, Literal, Self

from heads.core.hyperparameters import Hyperparameter

__all__ = ["SearchedRange"]

EDGE = 0.025  # share of a range at either end: a value that is drawn at random is outside in 5 % of sweeps
STEP = 0.25  # of a range, from its end to the value beyond it


@dataclass(frozen=True)
class SearchedRange:
    """A number that a sweep chose between `low` and `high`, by its logarithm where `is_log`.

    below, above: values to try beyond the ends; None where the hyperparameter itself has its limit.
    """

    name: str
    value: float
    low: float
    high: float
    is_log: bool
    below: float | None
    above: float | None

    @classmethod
    def of(cls, hyperparameter: Hyperparameter, value: Any, name: str) -> Self | None:
        """The range of a hyperparameter and its value; None for one that is chosen among words. name: for `--set`."""
        search = hyperparameter.search
        if search is None or search.low is None or search.high is None:
            return None
        bounds = search.low, search.high
        step = (log(bounds[1] / bounds[0]) if search.log else bounds[1] - bounds[0]) * STEP
        beyond = [
            exp(log(end) + way * step) if search.log else end + way * step
            for end, way in zip(bounds, (-1, 1), strict=True)
        ]
        below, above = (_allowed(hyperparameter, candidate) for candidate in beyond)
        return cls(name, value, *bounds, search.log, below, above)

    @property
    def edge(self) -> Literal["", "low", "high"]:
        """Which end the value is at: in the outer 2.5 % of the range; "" if at none, or if nothing is beyond."""
        low, high, value = (log(each) if self.is_log else each for each in (self.low, self.high, self.value))
        position = (value - low) / (high - low)
        if position <= EDGE and self.below is not None:
            return "low"
        return "high" if position >= 1 - EDGE and self.above is not None else ""

    @property
    def beyond(self) -> float | None:
        """A value beyond the end that the chosen one is at; None if it is at none."""
        return {"low": self.below, "high": self.above, "": None}[self.edge]

    def format_beyond(self) -> str:
        """That value as `--set` takes it; "" if there is none."""
        value = self.beyond
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The range that `to_json` returned."""
        return cls(**content)


def _allowed(hyperparameter: Hyperparameter, value: float) -> float | None:
    """The value with two digits, or None if the hyperparameter does not take it."""
    rounded = round(value) if hyperparameter.whole else float(f"{value:.2g}")
    is_outside = hyperparameter.search is not None and rounded not in hyperparameter.search
    is_allowed = hyperparameter.range is None or rounded in hyperparameter.range
    return rounded if is_outside and is_allowed else None
