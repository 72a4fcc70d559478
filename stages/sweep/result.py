"""The result of a sweep: its trials, the best of them, and which hyperparameters mattered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

__all__ = ["SweepResult", "SweepTrial"]


@dataclass(frozen=True)
class SweepTrial:
    """One combination of the searched hyperparameters.

    number: from 1 on. score: None if the trial was pruned, that is, stopped early. process: host and process id.
    """

    number: int
    values: Mapping[str, Any]
    score: float | None
    seconds: float
    process: str


@dataclass(frozen=True)
class SweepResult:
    """The sweep of one head.

    study: the path of the SQLite file.
    trials: in the order in which they were started, at least one of them scored.
    defaults: the default values of the searched hyperparameters.
    importance: of each searched hyperparameter, summing to 1; empty if too few trials were scored to tell.
    run: the name of the run with the best hyperparameters, None if none was fitted.
    names: of the searched hyperparameters as for `--set`, by full name; a full name stands for itself if it has none.
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
    names: Mapping[str, str] = field(default_factory=dict)

    def shown_name(self, name: str) -> str:
        """The name of a searched hyperparameter for a reader: lr for training__optimization__lr."""
        return self.names.get(name, name)

    @property
    def best(self) -> SweepTrial:
        """The trial with the highest score, the earliest of equal ones."""
        return self.improvements[-1]

    @property
    def default_trial(self) -> SweepTrial | None:
        """The trial of the head's defaults, if it was scored."""
        scored = (trial for trial in self.trials if trial.score is not None)
        return next((trial for trial in scored if trial.values == self.defaults), None)

    @property
    def improvements(self) -> tuple[SweepTrial, ...]:
        """The trials that were better than all earlier ones."""
        better: list[SweepTrial] = []
        highest = -inf
        for trial in self.trials:
            if trial.score is not None and trial.score > highest:
                highest = trial.score
                better.append(trial)
        return tuple(better)

    @property
    def pruned_count(self) -> int:
        """How many trials were pruned."""
        return sum(trial.score is None for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            **asdict(self),
            "best": asdict(self.best),
            "improvements": [trial.number for trial in self.improvements],
            "default_trial": asdict(self.default_trial) if self.default_trial else None,
        }
