"""The size of the next item of a worker, from the rates that were measured.

An item takes about 20 seconds, so that little is lost with a worker and little time goes into items themselves. Towards
the end items become smaller (guided self-scheduling: Polychronopoulos & Kuck 1987), so that workers of different speeds
finish together.
"""

from dataclasses import dataclass, field

ITEM_SECONDS = 20.0
# the shortest item, as a share of the longest: each commits a shard, and shards should not be tiny
SHORTEST_SHARE = 1 / 8
# an item takes at most this share of the time that all workers together still need
GUIDED_SHARE = 1 / 2
# how much larger than its last item the next one of a worker may be: the first ones are too slow, as a GPU warms up
GROWTH = 4.0
# the weight of a worker's last item in its rate
_WEIGHT = 0.5


@dataclass
class ItemSizes:
    """Sizes in any unit of work, such as characters.

    first: the size of the first item, while no rate is known. seconds: of a full item.
    """

    first: float
    seconds: float = ITEM_SECONDS
    _rates: dict[str, float] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    @property
    def total_rate(self) -> float:
        """The work per second of all workers that have done an item."""
        return sum(self._rates.values())

    def record(self, worker: str, size: float, seconds: float) -> None:
        """Learn from an item that a worker has done."""
        rate = size / max(seconds, 1e-9)
        known = self._rates.get(worker, rate)
        self._rates[worker] = _WEIGHT * rate + (1 - _WEIGHT) * known
        self._last[worker] = size

    def forget(self, worker: str) -> None:
        """Forget a worker that was lost."""
        self._rates.pop(worker, None)
        self._last.pop(worker, None)

    def next_size(self, worker: str, remaining: float) -> float:
        """The size of the next item of `worker`. remaining: the work that no worker has."""
        if not self._rates:
            return self.first
        seconds = min(GUIDED_SHARE * remaining / self.total_rate, self.seconds)
        seconds = max(seconds, SHORTEST_SHARE * self.seconds)
        if worker not in self._rates:  # as slow as the slowest, and its first item also warms it up
            return min(self._rates.values()) * seconds / 2
        return min(self._rates[worker] * seconds, GROWTH * self._last[worker])
