"""Automatic checks of runs: what a user would want to know, and what to do next.

A check is reported only if it is more than chance: its threshold is an end of a confidence interval, or a test's level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import MACRO_F1, Metric
from stages.comparing.choice import MARGIN
from stages.comparing.data_checks import (
    Advice,
    check_baseline,
    check_calibration,
    check_duplicates,
    check_groups,
    check_rare_labels,
    find_baseline,
    missing_baseline,
)
from stages.comparing.fit_checks import check_edges, check_fit, check_folds, check_views
from stages.fitting import runs
from stages.fitting.predictions import Predictions

__all__ = ["Check", "check_runs"]


@dataclass(frozen=True)
class Check:
    """What the check `name` found: one sentence, and what to do next.

    run: the name of the run, "" for all runs on the documents.
    finding: how the sentence begins; it is the same for runs with the same fault.
    """

    run: str
    name: str
    finding: str
    sentence: str
    next_step: str


def check_runs(
    selected: Sequence[runs.Run],
    predictions: Mapping[str, Predictions],
    differences: Mapping[str, ConfidenceInterval],
    metric: Metric,
    margin: float = MARGIN,
) -> tuple[Check, ...]:
    """Check runs on the same documents.

    Args:
        selected: the runs, the best first.
        predictions: of each run, by name.
        differences: how much better each run is than the first one, by name; the first one has none.
        metric: what ranks the runs.
        margin: the largest difference that does not matter.

    Returns:
        What was found: first of the documents, then of each run in turn.
    """
    of_labels = MACRO_F1 if metric.needs == "probabilities" else metric
    first, baseline = selected[0], find_baseline(selected, metric)
    known = {run.name: _scored(run, predictions[run.name]) for run in selected}
    groups = check_groups(first, known[first.name])
    found = [
        _check("", "rare labels", check_rare_labels(first, of_labels)),
        _check("", "duplicates", check_duplicates(first)),
        _check("", "groups", groups),
        _check("", "baseline", missing_baseline(first) if baseline is None else None),
    ]
    if baseline is not None:
        of_baseline = known.get(baseline.name) or _scored(baseline, baseline.predictions())
        paired = differences if baseline.name == first.name else {}
    origins = [run.record.parent or run.name for run in selected]
    for row, run in enumerate(selected):
        scored = known[run.name]
        if baseline is not None:
            against = check_baseline(run, baseline, (scored, of_baseline), metric, paired.get(run.name))
            found.append(_check(run.name, "baseline", against))
        found.append(_check(run.name, "fit", check_fit(run, first, differences.get(run.name))))
        if origins[row] not in origins[:row]:  # these are about a head, which all decisions on its scores share
            if groups is None:  # else folds differ by their groups
                found.append(_check(run.name, "folds", check_folds(run, scored, of_labels, len({*origins}))))
            found += [
                _check(run.name, "search", check_edges(run)),
                _check(run.name, "views", check_views(run, margin)),
            ]
        found.append(_check(run.name, "calibration", check_calibration(run, scored, margin)))
    return tuple(check for check in found if check is not None)


def _scored(run: runs.Run, predictions: Predictions) -> Predictions:
    """The predictions that rank a run."""
    return predictions.of(run.record.ranking_split)


def _check(run: str, name: str, advice: Advice | None) -> Check | None:
    return None if advice is None else Check(run, name, advice.finding, advice.sentence, advice.next_step)
