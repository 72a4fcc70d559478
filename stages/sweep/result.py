"""What came out of a sweep: its trials, the best of them, and which parameters mattered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["SweepResult", "SweepTrial"]


@dataclass(frozen=True)
class SweepTrial:
    """One setting of the searched parameters. number: from 1 on. score: None where it was given up half-way."""

    number: int
    values: Mapping[str, Any]
    score: float | None
    seconds: float
    process: str


@dataclass(frozen=True)
class SweepResult:
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
    trials: tuple[SweepTrial, ...]
    defaults: Mapping[str, Any]
    importance: Mapping[str, float]
    notes: tuple[str, ...]
    run: str | None = None

    @property
    def best(self) -> SweepTrial:
        """The trial of the highest score, the earlier one of two."""
        return self.improvements[-1]

    @property
    def default_trial(self) -> SweepTrial | None:
        """The trial of the head as it is where nobody asks for anything else, if it was scored."""
        return next((each for each in self.trials if each.values == self.defaults and each.score is not None), None)

    @property
    def improvements(self) -> tuple[SweepTrial, ...]:
        """The trials that were better than all before them."""
        found: list[SweepTrial] = []
        for each in self.trials:
            if each.score is not None and (not found or each.score > (found[-1].score or 0)):
                found.append(each)
        return tuple(found)

    @property
    def pruned_count(self) -> int:
        """How many trials were stopped before they had a score."""
        return sum(each.score is None for each in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        best = {"best": asdict(self.best), "history": [each.number for each in self.improvements]}
        return {**asdict(self), **best, "default": asdict(self.default_trial) if self.default_trial else None}
