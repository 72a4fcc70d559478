"""What is compared: configurations, each of which is one run, or several that differ in their seed only."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric
from heads.evaluation.sampled_metric import SampledMetric, UndefinedMetric
from stages.fitting.predictions import Predictions
from stages.fitting.record import Record
from stages.fitting.runs import Run, load, short_hash

__all__ = ["Entry", "Seeds", "fold_values", "group_seeds", "mean_interval"]

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
    def of(cls, entry: "Entry", metric: Metric, predictions: Mapping[str, Predictions]) -> "Seeds":
        """The spread of a metric, out of fold or on the validation split.

        Folds differ with the seed, but the documents that are fitted on overlap, so that values of several folds and
        seeds vary less than those of new documents would. The variance over all folds of all seeds is therefore
        multiplied by 1/(folds * seeds) + scored/fitted documents of a fold (Nadeau & Bengio 2003, Inference for the
        generalization error, section 3; Bouckaert & Frank 2004, Evaluating the replicability of significance tests,
        section 3, for repeated cross-validation). On the validation split every seed is scored on the same documents,
        so the interval is that of the mean over seeds.

        Args:
            entry: a configuration of several seeds.
            metric: what ranks it.
            predictions: of each of its runs, by name.

        Returns:
            The spread.
        """
        from scipy.special import stdtrit

        values = np.array([metric.value(run.ranking_scorecard).value for run in entry.runs])
        of_folds = [_fold_values(run, predictions[run.name], metric) for run in entry.runs]
        if all(len(each) > 1 for each in of_folds):
            varying, overlap = np.concatenate(of_folds), 1 / (min(map(len, of_folds)) - 1)
        else:
            varying, overlap = values, 0.0
        half = stdtrit(len(varying) - 1, 0.975) * varying.std(ddof=1) * np.sqrt(1 / len(varying) + overlap)
        return cls(
            seeds=tuple(run.record.seed for run in entry.runs),
            runs=tuple(run.name for run in entry.runs),
            values=tuple(values.tolist()),
            standard_deviation=float(values.std(ddof=1)),
            interval=ConfidenceInterval(*(float(values.mean() + part) for part in (0, -half, half))),
        )


def _fold_values(run: Run, predictions: Predictions, metric: Metric) -> NDArray[np.float64]:
    folds = run.folds()
    return np.zeros(0) if folds is None else fold_values(predictions.of(Split.TRAIN), folds, metric, run.record)


def fold_values(
    predictions: Predictions, folds: NDArray[np.int32], metric: Metric, record: Record
) -> NDArray[np.float64]:
    """A metric on the documents of each fold.

    Args:
        predictions: out of fold.
        folds: int32 (documents,) the fold of each.
        metric: the metric.
        record: of the run.

    Returns:
        float64 (folds,), without those for which a metric of probabilities is not defined.
    """
    values = list[float]()
    for fold in np.unique(folds).tolist():
        rows = predictions[np.flatnonzero(folds == fold)]
        entries = [[rows.probabilities if metric.needs == "probabilities" else rows.predicted]]
        with suppress(UndefinedMetric):
            sampled = SampledMetric.of(rows.truth, entries, len(record.labels), metric, record.hierarchy)
            values.append(metric.sign * float(sampled.values[0]))
    return np.array(values)


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

    @property
    def predict_milliseconds(self) -> float:
        """Per document, from features in the store."""
        return float(np.mean([run.record.predict_milliseconds for run in self.runs]))

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
    """The configurations of runs, the best first; of equally good ones, the one that predicts fastest.

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
    return sorted(entries, key=lambda entry: (-entry.signed_value(metric), entry.predict_milliseconds))


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
