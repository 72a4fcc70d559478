"""One common scale for every interval in the comparison, so that two bars can be held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from heads.evaluation.metrics import ConfidenceInterval

__all__ = ["Axis", "common_axis"]


@dataclass(frozen=True)
class Axis:
    """A straight axis from `low` to `high`, in tenths."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Where the value lies, 0 at the left end and 100 at the right."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Tenths from end to end, not all of them on a long axis; the right end is always one of them."""
        first, last = round(10 * self.low), round(10 * self.high)
        step = 1 if last - first <= 3 else max(2, ceil((last - first) / 5))
        return tuple(tenth / 10 for tenth in range(last, first - 1, -step))[::-1]


def common_axis(intervals: Sequence[ConfidenceInterval]) -> Axis:
    """The shortest scale of whole tenths that holds every interval and its value, and is not empty."""
    held = [bound for one in intervals for bound in (one.low, one.value, one.high)] or [0.0, 1.0]
    low = min(floor(10 * min(held) + 1e-9), 9)
    high = ceil(10 * max(held) - 1e-9)
    return Axis(low / 10, max(high, low + 1) / 10)
