"""What came out of a sweep: its trials, the best of them, and which parameters mattered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Outcome", "Trial"]


@dataclass(frozen=True)
class Trial:
    """One setting of the searched parameters. number: from 1 on. score: None where it was given up half-way."""

    number: int
    values: Mapping[str, Any]
    score: float | None
    seconds: float
    process: str


@dataclass(frozen=True)
class Outcome:
    """A head's sweep.

    trials: in the order in which they were begun, at least one of them scored. importance: of each parameter that was
    searched, summing to 1; empty where too few trials were scored to tell. run: of the best parameters, None where none
    was fitted.
    """

    head: str
    store: str
    corpus: str
    metric: str
    study: str
    trials: tuple[Trial, ...]
    defaults: Mapping[str, Any]
    importance: Mapping[str, float]
    notes: tuple[str, ...]
    run: str | None = None

    @property
    def best(self) -> Trial:
        """The trial of the highest score, the earlier one of two."""
        return self.history[-1]

    @property
    def default(self) -> Trial | None:
        """The trial of the head as it is where nobody asks for anything else, if it was scored."""
        return next((each for each in self.trials if each.values == self.defaults and each.score is not None), None)

    @property
    def history(self) -> tuple[Trial, ...]:
        """The trials that were better than all before them."""
        found: list[Trial] = []
        for each in self.trials:
            if each.score is not None and (not found or each.score > (found[-1].score or 0)):
                found.append(each)
        return tuple(found)

    @property
    def given_up(self) -> int:
        """How many trials were stopped before they had a score."""
        return sum(each.score is None for each in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        best = {"best": asdict(self.best), "history": [each.number for each in self.history]}
        return {**asdict(self), **best, "default": asdict(self.default) if self.default else None}
