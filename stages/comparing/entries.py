"""What is compared: configurations, each of which is one run, or several that differ in their seed only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric
from stages.fitting.predictions import Predictions
from stages.fitting.runs import Run, load, short_hash

__all__ = ["Entry", "Seeds", "group_seeds", "mean_interval"]

# fields of a record that decide nothing, or that follow from the seed and the others
_RESULTS = {
    "seed", "hyperparameters", "inputs", "base_runs", "parameter_count", "seconds", "predict_milliseconds", "run_notes",
    "command", "created", "package_versions", "training", "diagnostics", "search", "shards", "source", "store",
    "fold_stores", "corpus_notes",
}  # fmt: skip


@dataclass(frozen=True)
class Seeds:
    """Several runs that differ in their seed only: the ranking metric's mean and spread over seeds.

    runs: their names, in the order of `seeds`.
    values: the metric of each of them.
    standard_deviation: of the values.
    interval: the mean with its 95 % confidence interval over seeds.
    """

    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    values: tuple[float, ...]
    standard_deviation: float
    interval: ConfidenceInterval

    @classmethod
    def of(cls, entry: "Entry", metric: Metric) -> "Seeds":
        """The spread of a metric, out of fold or on the validation split.

        Folds differ with the seed, but the documents that are fitted on overlap, so that out-of-fold values of several
        seeds vary less than those of new documents would. Their variance is multiplied by 1/seeds + scored/fitted
        documents instead of 1/seeds (Nadeau & Bengio 2003, Inference for the generalization error, section 3; Bouckaert
        & Frank 2004, Evaluating the replicability of significance tests, for repeated cross-validation). On the
        validation split every seed is scored on the same documents, so the interval is that of the mean over seeds.
        """
        from scipy.special import stdtrit

        values = np.array([metric.value(run.ranking_scorecard).value for run in entry.runs])
        count, deviation, folds = len(values), float(values.std(ddof=1)), entry.first.record.folds
        overlap = 1 / (folds - 1) if folds > 1 else 0.0
        half = float(stdtrit(count - 1, 0.975)) * deviation * np.sqrt(1 / count + overlap)
        mean = float(values.mean())
        return cls(
            seeds=tuple(run.record.seed for run in entry.runs),
            runs=tuple(run.name for run in entry.runs),
            values=tuple(values.tolist()),
            standard_deviation=deviation,
            interval=ConfidenceInterval(mean, float(mean - half), float(mean + half)),
        )


@dataclass(frozen=True)
class Entry:
    """A configuration: its runs, in the order of their seeds. Its metrics and costs are means over them."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run of the lowest seed, which stands for the others."""
        return self.runs[0]

    def signed_value(self, metric: Metric) -> float:
        """The ranking metric, with the sign for which higher is better."""
        return float(np.mean([metric.signed_value(run.ranking_scorecard) for run in self.runs]))

    def predictions(self, split: Split, of: Mapping[str, Predictions]) -> list[Predictions]:
        """The predictions of each run for a split; none if a run lacks it. of: all predictions by the run's name."""
        rows = [of[run.name].of(split) for run in self.runs]
        return rows if all(len(each.ids) for each in rows) else []


def mean_interval(intervals: Sequence[ConfidenceInterval | None]) -> ConfidenceInterval | None:
    """The means over seeds of the value and of both bounds, which are about documents; None if a seed has none."""
    known = [(each.value, each.low, each.high) for each in intervals if each is not None]
    if not known or len(known) < len(intervals):
        return None
    return ConfidenceInterval(*np.mean(known, axis=0).tolist()) if len(known) > 1 else intervals[0]


def group_seeds(selected: Sequence[Run], metric: Metric) -> list[Entry]:
    """The configurations of runs, the best first.

    Args:
        selected: the runs.
        metric: what ranks them.

    Returns:
        Configurations. Runs that agree in everything but have one seed differ in something that no record has: each of
        these is one of its own.
    """
    by_configuration: dict[str, list[Run]] = {}
    for run in selected:
        by_configuration.setdefault(_configuration(run), []).append(run)
    entries = []
    for members in by_configuration.values():
        ordered = sorted(members, key=lambda run: run.record.seed)
        is_one = len({run.record.seed for run in members}) == len(members)
        entries += [Entry(tuple(ordered))] if is_one else [Entry((run,)) for run in members]
    return sorted(entries, key=lambda entry: entry.signed_value(metric), reverse=True)


def _configuration(run: Run) -> str:
    """A hash of everything that decides a run's result but the seed; of the run alone if it is a decided one.

    The runs of a stacking ensemble are replaced by their configurations.
    """
    record = run.record
    if record.parent:
        return run.name
    decided = {each.name: getattr(record, each.name) for each in fields(record) if each.name not in _RESULTS}
    base_runs = [_base_configuration(run, name) for name in record.base_runs]
    parameters = {"hyperparameters": _without_seeds(record.hyperparameters), "inputs": base_runs or record.inputs}
    return short_hash(decided | parameters)


def _base_configuration(run: Run, name: str) -> str:
    folder = run.folder.parent / name
    return _configuration(load(folder)) if (folder / "run.json").is_file() else name


def _without_seeds(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters without seeds, also those of heads inside."""
    return {
        name: _without_seeds(value) if isinstance(value, Mapping) else value
        for name, value in parameters.items()
        if name != "seed"
    }
