"""Metrics of runs for each value of a column: how good they are on each source, year or language."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.text_format import plural
from featurestore import Location
from heads.evaluation.metrics import Metric, Scorecard, scorecard
from stages.comparing.column_values import read_column_values
from stages.fitting.predictions import Predictions
from stages.fitting.record import SPLITS
from stages.fitting.runs import Run

__all__ = ["GroupMetrics", "GroupedMetrics", "group_metrics"]

MOST_GROUPS = 50  # with metrics of their own: the largest ones
NO_VALUE = "(no value)"
FEW = 30  # documents, of which a note says that intervals are rough


@dataclass(frozen=True)
class GroupMetrics:
    """The metrics of the documents with one value of the column.

    documents: their number; of several values if `value` says so.
    scorecards: by the name of the run.
    """

    value: str
    documents: int
    scorecards: Mapping[str, Scorecard]


@dataclass(frozen=True)
class GroupedMetrics:
    """The metrics of runs for each value of a column, the most frequent value first.

    split: of the documents: train for out of fold. metric: what ranks the runs.
    """

    column: str
    split: str
    metric: Metric
    runs: tuple[str, ...]
    groups: tuple[GroupMetrics, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: of each group and run every metric that the labels have, without those of single labels."""
        groups = [
            {
                "value": group.value,
                "documents": group.documents,
                "runs": {name: _metrics_json(card) for name, card in group.scorecards.items()},
            }
            for group in self.groups
        ]
        return {
            "column": self.column,
            "split": self.split,
            "metric": self.metric.attribute,
            "groups": groups,
            "notes": list(self.notes),
        }

    def rows(self) -> tuple[list[str], list[list[Any]]]:
        """The keys and the values of a table: a column per run, or per metric of a single run."""
        if len(self.runs) > 1:
            keys = list(self.runs)
            cells = [[self.metric.value(group.scorecards[name]) for name in keys] for group in self.groups]
        else:
            attributes = dict.fromkeys((self.metric.attribute, "macro_f1", "accuracy"))
            keys = [name for name in attributes if self.metric.level == 0 or name != self.metric.attribute]
            cells = [[getattr(group.scorecards[self.runs[0]], name) for name in keys] for group in self.groups]
        rows = [[group.value, group.documents, *of_group] for group, of_group in zip(self.groups, cells, strict=True)]
        return [self.column, "documents", *keys], rows


def _metrics_json(card: Scorecard) -> dict[str, Any]:
    values = asdict(card)
    return {name: value for name, value in values.items() if value not in (None, ()) and name != "labels"}


def group_metrics(
    selected: Sequence[Run], column: str, metric: Metric, stores: Location, split: str | None = None
) -> GroupedMetrics:
    """Compute the metrics of runs for each value of a column.

    Args:
        selected: runs on the same documents.
        column: as in `read_column_values`.
        metric: what ranks the runs.
        stores: the folder of the stores.
        split: train (out of fold), validation or test; None for the documents that rank the first run.

    Returns:
        The metrics.

    Raises:
        UnknownName: what `read_column_values` raises.
        CallError: a run was not scored on this split.
    """
    split = split or selected[0].record.ranking_split.value
    found = read_column_values(selected[0], column, stores)
    predictions = {run.name: _predictions(run, split) for run in selected}
    first = predictions[selected[0].name]
    groups = _name_groups([found.values.get(identifier, NO_VALUE) for identifier in first.ids], first.ids)
    by_run = {run.name: _scorecards(run, predictions[run.name], groups, metric) for run in selected}
    counts = {name: sum(group == name for group in groups.values()) for name in dict.fromkeys(groups.values())}
    rows = tuple(
        GroupMetrics(name, count, {run: cards[name] for run, cards in by_run.items() if name in cards})
        for name, count in sorted(counts.items(), key=lambda item: (item[0] == NO_VALUE, -item[1], item[0]))
        if all(name in cards for cards in by_run.values())
    )
    notes = (*found.notes, *_notes(rows, metric))
    return GroupedMetrics(column, split, metric, tuple(predictions), rows, notes)


def _predictions(run: Run, split: str) -> Predictions:
    rows = run.predictions().of(split)
    if not len(rows.ids):
        scored = [name.value for key, name in SPLITS.items() if key in run.scorecards]
        raise CallError(f"{run.name} has no predictions of the {split} split. Give --split {' or '.join(scored)}.")
    return rows


def _name_groups(values: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
    """The group of each document: its value, or one for all that are not among the most frequent."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    by_size = sorted(counts, key=lambda value: (-counts[value], value))
    rest = f"({plural(len(by_size) - MOST_GROUPS + 1, 'other value')})"
    kept = set(by_size if len(by_size) <= MOST_GROUPS else by_size[: MOST_GROUPS - 1])
    return {identifier: value if value in kept else rest for identifier, value in zip(ids, values, strict=True)}


def _scorecards(run: Run, predictions: Predictions, groups: Mapping[str, str], metric: Metric) -> dict[str, Scorecard]:
    """The metrics of a run for each group, by its name; those of probabilities only if they are what ranks the runs."""
    group_of = np.array([groups.get(identifier, "") for identifier in predictions.ids], dtype=object)
    cards = {}
    for name in dict.fromkeys(group for group in group_of.tolist() if group):
        cards[name] = _scorecard(run, predictions, np.flatnonzero(group_of == name), metric)
    return cards


def _scorecard(run: Run, predictions: Predictions, rows: NDArray[np.int64], metric: Metric) -> Scorecard:
    needed = predictions.probabilities[rows] if metric.needs == "probabilities" else None
    return scorecard(
        predictions.truth[rows],
        predictions.predicted[rows],
        run.record.labels,
        run.record.seed,
        ordinal=run.record.kind == "ordinal",
        hierarchy=run.record.hierarchy,
        probabilities=needed,
    )


def _notes(groups: Sequence[GroupMetrics], metric: Metric) -> list[str]:
    notes = []
    if few := sum(group.documents < FEW for group in groups):
        verb = "has" if few == 1 else "have"
        notes.append(f"{plural(few, 'group')} {verb} fewer than {FEW} documents: their intervals are rough.")
    averaged = {card.averaged_labels for group in groups for card in group.scorecards.values()}
    if metric.attribute.startswith("macro_") and len(averaged) > 1:
        notes.append(
            f"The {metric.name} of a group is the mean over its own labels, {min(averaged)} to {max(averaged)} of "
            "them, so groups with other labels differ for this reason too."
        )
    return notes
