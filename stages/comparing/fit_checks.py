"""Checks of how a run was fitted: against its training documents, over its folds, of its search and of its views."""

import numpy as np

from data.ranges import MAX_SEED
from data.text_format import join_words
from featurestore import store_number
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.document_measures import is_right
from heads.evaluation.metrics import Metric
from heads.evaluation.paired_counts import PairedCounts
from heads.evaluation.proportions import share_interval
from stages.comparing.choice import MARGIN
from stages.comparing.data_checks import Advice
from stages.comparing.entries import fold_values
from stages.comparing.repeat_command import can_be_searched, reads_features, repeat_command
from stages.fitting import runs
from stages.fitting.diagnostics import TABULAR, FitDiagnostics
from stages.fitting.predictions import Predictions
from stages.fitting.searched_range import SearchedRange

__all__ = ["check_edges", "check_fit", "check_folds", "check_views"]

LEVEL = 0.05  # of false alarms, of all runs together


def check_fit(run: runs.Run, best: runs.Run, difference: ConfidenceInterval | None) -> Advice | None:
    """Whether a run that is worse than the best one fits its training documents too closely, or not closely enough.

    A gap between training and out-of-fold accuracy is normal. It is overfitting if it is larger than that of a better
    run, and fitting training documents worse than a better run does is underfitting; both beyond chance, and of both
    what accounts for more of the difference out of fold. A run whose kappa may be 0 out of fold is checked alone.

    Args:
        run: the run.
        best: the first run of the table.
        difference: how much better `run` is than `best`, with its confidence interval; None if it is not known.

    Returns:
        What was found, or None.
    """
    own, better = (FitDiagnostics.from_json(each.record.diagnostics).training for each in (run, best))
    if own is not None and (kappa := run.ranking_scorecard.kappa) is not None and kappa.low <= 0:
        return _describe_chance(run, own, kappa)
    if own is None or better is None or difference is None or difference.high >= 0:
        return None
    values = f"{own.first_accuracy:.1%} of its training documents and {own.second_accuracy:.1%} out of fold"
    others = f"{best.name}, which is better, {better.first_accuracy:.1%} and {better.second_accuracy:.1%}"
    overfits = own.difference.low > max(better.difference.high, 0)
    underfits = _training_interval(own).high < _training_interval(better).low
    if overfits and underfits:
        overfits = own.difference.value - better.difference.value > better.first_accuracy - own.first_accuracy
    if not overfits and not underfits:
        return None
    finding, aim = ("It overfits", "stronger regularization") if overfits else ("It underfits", "more capacity")
    return Advice(finding, f": it gets {values} right, {others}.", _search_step(run, best, aim))


def _describe_chance(run: runs.Run, counts: PairedCounts, kappa: ConfidenceInterval) -> Advice:
    """That a run is not better than chance."""
    knows = counts.difference.low > 0
    search = f", then search the head: `{repeat_command(run, 'sweep')}`" if can_be_searched(run) else ""
    return Advice(
        "It overfits" if knows else "It underfits",
        f": out of fold it is no better than chance (kappa {kappa.low:.3f} to "
        f"{kappa.high:.3f}), and it gets {counts.first_accuracy:.1%} of its training documents right.",
        f"Check that labels belong to their texts{search}.",
    )


def _search_step(run: runs.Run, best: runs.Run, aim: str) -> str:
    if run.record.parent or not can_be_searched(run):
        return f"Take {best.name}."
    return f"Search {aim}: `{repeat_command(run, 'sweep')}`."


def _training_interval(counts: PairedCounts) -> ConfidenceInterval:
    return share_interval(counts.both + counts.only_first, counts.documents)


def check_folds(run: runs.Run, predictions: Predictions, metric: Metric, tests: int) -> Advice | None:
    """Whether folds differ by more than chance: a chi-squared test of the numbers of right documents per fold.

    Args:
        run: the run.
        predictions: out of fold.
        metric: what is shown for each fold.
        tests: how many runs are tested; the level of 5 % is divided by it.

    Returns:
        What was found, or None.
    """
    folds = run.folds()
    if folds is None or len(folds) != len(predictions.ids):
        return None
    if predictions.predicted.ndim == 1:  # a document that is left undecided is not wrong
        decided = np.flatnonzero(predictions.predicted >= 0)
        predictions, folds = predictions[decided], folds[decided]
    right = is_right(predictions.truth, predictions.predicted)
    last = int(folds.max(initial=0))
    table = np.array([np.bincount(folds[rows], minlength=last + 1) for rows in (right, ~right)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return None
    from scipy.stats import chi2_contingency

    p_value = float(chi2_contingency(table, correction=False).pvalue)
    if p_value > LEVEL / tests:
        return None
    values = fold_values(predictions, folds, metric, run.record)
    return Advice(
        "It is unstable",
        f": {metric.name} is {', '.join(f'{value:.3f}' for value in values)} on its {len(values)} folds, "
        f"and such differences of accuracy are rare by chance (p = {p_value:.1g}).",
        f"{_with_another_seed(run)}: if the same documents stay hard, they are not independent, and need a group "
        "column.",
    )


def _with_another_seed(run: runs.Run) -> str:
    if run.record.base_runs:
        return "Fit its base runs and it with another --seed"
    if not reads_features(run):
        return "Fine-tune with another --seed"
    seed = run.record.seed - 1 if run.record.seed == MAX_SEED else run.record.seed + 1
    return f"Fit it with another seed, `{repeat_command(run, 'fit-head', seed=seed)}`"


def check_edges(run: runs.Run) -> Advice | None:
    """Whether a sweep chose a value in the outer 2.5 % of its range: the best value may be beyond it."""
    ranges = [SearchedRange.from_json(content) for content in run.record.search]
    at_edge = [each for each in ranges if each.beyond is not None]
    if not at_edge:
        return None
    described = [f"{each.name} = {each.value:g} of {each.low:g} to {each.high:g}" for each in at_edge]
    settings = {each.name: each.format_beyond() for each in at_edge}
    return Advice(
        "A sweep chose a value at the edge of its range",
        f" ({join_words(described)}): a better one may be beyond it.",
        f"Try one beyond: `{repeat_command(run, 'fit-head', settings=settings)}`.",
    )


def check_views(run: runs.Run, margin: float = MARGIN) -> Advice | None:
    """Whether one view accounts for nearly all of the score: without the others, accuracy falls by less than a margin.

    Args:
        run: the run.
        margin: the largest difference that does not matter; the upper end of the confidence interval must be below it.

    Returns:
        What was found, or None.
    """
    views = FitDiagnostics.from_json(run.record.diagnostics).views
    if views.without is None or views.without.difference.low <= 0:
        return None
    view, counts = min(views.alone.items(), key=lambda item: item[1].difference.high)
    if counts.difference.high > margin:
        return None
    others = join_words([other for other in views.alone if other != view])
    return Advice(
        f"{view} alone accounts for the score",
        f": without {others}, it gets {counts.second_accuracy:.1%} of {counts.documents:,} held-out documents right, "
        f"and {counts.first_accuracy:.1%} with all.",
        _views_step(run, view),
    )


def _views_step(run: runs.Run, view: str) -> str:
    if view == TABULAR:
        command = repeat_command(run, "fit-head", flags=("--no-tabular",))
        return f"Make sure that the columns are known before the label is, and see what the text is worth: `{command}`."
    if view == "token_ids":
        return f"Fit a head that reads tokens alone: `{repeat_command(run, 'fit-head', head='tfidf')}`."
    if number := store_number(view):
        return f"Fit a head on the store {run.record.store.split(' + ')[number - 1]} alone."
    if not isinstance(run.record.hyperparameters.get("pooling", ""), str):  # the head chooses views
        return f"Fit a smaller head on it: `{repeat_command(run, 'fit-head', settings={'pooling': view})}`."
    return f"Keep it alone in the next store, which is then smaller: embed with --keep {view}."
