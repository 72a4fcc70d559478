"""What each family of rules brought, where it was fitted and where it was not, in numbers and in sentences."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from heads.evaluation.decisions.search import FEW
from heads.evaluation.metrics import MACRO_F1


@dataclass(frozen=True)
class Trial:
    """One family against the one that was in place, by the `metric` that is named; a gain is to the better.

    apparent: decided on the documents that the rule was fitted to. crossfitted: on documents that it was not fitted to,
    the mean of the repeats. gain, standard_error: of the cross-fitted difference, over documents.
    """

    family: str
    against: str | None  # the family in place; none for the first
    apparent: float
    crossfitted: float
    apparent_gain: float
    gain: float
    standard_error: float
    taken: bool
    metric: str = MACRO_F1.name

    @property
    def sentence(self) -> str:
        """What happened, for a person: gains of macro-F1 in points, which are hundredths of it."""
        name = self.family[0].upper() + self.family[1:]
        if self.against is None:
            return f"{name}, for which nothing is fitted, has a {self.metric} of {self.crossfitted:.3f} out of fold."
        taken = "taken" if self.taken else "not taken"
        if self.metric != MACRO_F1.name:
            moved = f"{abs(self.gain):.3f}"
            verb = "raises" if self.gain < 0 and moved != "0.000" else "lowers"
            return f"{name} {verb} the {self.metric} by {moved} ± {self.standard_error:.3f} out of fold: {taken}."
        return (
            f"{name} {_gains(self.apparent_gain)} where it was fitted and "
            f"{100 * self.gain:.1f} ± {100 * self.standard_error:.1f} where it was not: {taken}."
        )


def _gains(difference: float) -> str:
    points = f"{abs(100 * difference):.1f}"
    return f"{'loses' if difference < 0 and points != '0.0' else 'gains'} {points} points"


@dataclass(frozen=True)
class Evidence:
    """Why a rule was chosen. fell_back: labels with too few documents for a value of their own."""

    documents: int
    folds: int
    repeats: int
    fell_back: int
    trials: tuple[Trial, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What happened to each family, and to labels that fell back."""
        told = tuple(trial.sentence for trial in self.trials)
        if not self.fell_back:
            return told
        labels = "1 label" if self.fell_back == 1 else f"{self.fell_back} labels"
        return (*told, f"{labels} of fewer than {FEW} documents cannot be tuned alone: the common value holds there.")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `from_json` takes them, and the sentences."""
        return {**asdict(self), "sentences": list(self.sentences)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `to_json` gave."""
        values = {name: value for name, value in content.items() if name != "sentences"}
        evidence = cls(**values)
        return replace(evidence, trials=tuple(Trial(**trial) for trial in values["trials"]))
