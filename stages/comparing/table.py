"""The table of a comparison: rows of runs, and how they differ.

Rows are sorted by a metric out of fold or on the validation split: the one that was requested, or that the decision
rules of all runs were selected by; else macro-F1, or the mean absolute error if the labels of every run are ordinal.
The test split chooses nothing, not even the order of this table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric, Scorecard
from heads.evaluation.paired import paired_differences
from heads.evaluation.selection_optimism import SelectionOptimism
from stages.comparing.checks import Check
from stages.comparing.choice import Choice
from stages.comparing.notes import describe_exposure, describe_inputs, describe_marks, describe_runs
from stages.comparing.selection import choose_metric
from stages.fitting import runs
from stages.fitting.predictions import Predictions

# what predictions are scored on, and the documents of these
_SPLITS = {"out_of_fold": Split.TRAIN, "validation": Split.VALIDATION, "test": Split.TEST}


@dataclass(frozen=True)
class HierarchicalMetrics:
    """The metrics of a run whose labels have a taxonomy, as in its `Scorecard`: of labels, of levels and of paths.

    The last three are None if documents have several labels.
    """

    accuracy: ConfidenceInterval
    macro_f1: ConfidenceInterval
    level_accuracy: tuple[ConfidenceInterval, ...]
    level_documents: tuple[int, ...]
    hf1: ConfidenceInterval
    hierarchical_precision: ConfidenceInterval
    hierarchical_recall: ConfidenceInterval
    macro_hf1: ConfidenceInterval
    consistency: ConfidenceInterval
    tree_distance: ConfidenceInterval | None
    lca_f1: ConfidenceInterval | None
    wu_palmer: ConfidenceInterval | None

    @classmethod
    def of(cls, scorecard: Scorecard | None) -> "HierarchicalMetrics | None":
        """Those of a scorecard; None without one, and for labels without a taxonomy."""
        if scorecard is None or scorecard.hf1 is None:
            return None
        return cls(**{each.name: getattr(scorecard, each.name) for each in fields(cls)})


@dataclass(frozen=True)
class Seeds:
    """Several runs that differ in their seed only, as one row: the ranking metric's mean and spread over seeds.

    runs: their names, in the order of `seeds`.
    values: the metric of each of them.
    standard_deviation: of the values.
    interval: the mean with its 95 % confidence interval, corrected for training sets that overlap.
    """

    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    values: tuple[float, ...]
    standard_deviation: float
    interval: ConfidenceInterval


@dataclass(frozen=True)
class ComparisonRow:
    """One run in the table, or several that differ in their seed only.

    inputs: the views that the head read, or the number of base runs of a stacking ensemble.
    out_of_fold: the metric that runs are ranked by, or None for a run that is validated on the validation split.
    validation: this metric on the validation split, or None. The other metrics are of the test split, None without one.
    absolute_error, quadratic_kappa: of ordinal labels, else None.
    validated, tested: if the labels have a taxonomy, the metrics of the documents that `out_of_fold` or `validation` is
        of, and of the test split; else None.
    out_of_fold_difference, validation_difference, test_difference: how much better this run is than the first one by
        the ranking metric, paired by document; None for the first run, and if both were not scored on common documents.
    difference: that of the two on which runs are ranked.
    p_value: of this difference, by paired approximate randomization; adjusted_p_value: adjusted for all comparisons.
    equivalence: the probability that the run and the first one differ by less than the margin.
    seeds: if the row is several runs, these; `run` and the other fields are of the first of them.
    marks: what distinguishes the metrics from those of most runs, in a few words each.
    parent: of a decided run, the run that has its weights and scores; "" for others.
    decisions_scored_before: how many other decisions of the parent had been scored on the test split before.
    labels, averaged_labels: how many labels there are, and how many of them the test macro-F1 is the mean of.
    parameters: the number of parameters of the fitted head.
    fit_seconds: of the last fit. predict_milliseconds: per document, from features in the store.
    """

    run: str
    head: str
    store: str
    inputs: str
    out_of_fold: ConfidenceInterval | None
    validation: ConfidenceInterval | None
    macro_f1: ConfidenceInterval | None
    micro_f1: ConfidenceInterval | None
    accuracy: ConfidenceInterval | None
    absolute_error: ConfidenceInterval | None
    quadratic_kappa: ConfidenceInterval | None
    out_of_fold_difference: ConfidenceInterval | None
    validation_difference: ConfidenceInterval | None
    test_difference: ConfidenceInterval | None
    labels: int
    averaged_labels: int | None
    rule: str
    parameters: int
    fit_seconds: float
    predict_milliseconds: float
    marks: tuple[str, ...] = ()
    parent: str = ""
    decisions_scored_before: int = 0
    validated: HierarchicalMetrics | None = None
    tested: HierarchicalMetrics | None = None
    difference: ConfidenceInterval | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    equivalence: float | None = None
    seeds: Seeds | None = None


@dataclass(frozen=True)
class Comparison:
    """Rows, the best out-of-fold metric first, and what a reader must know before comparing them.

    choice: the run to take; None for a single run.
    optimism: the metric of the best run as measured, and corrected for the choice among several; None for a single run.
    checks: what automatic checks found.
    """

    rows: tuple[ComparisonRow, ...]
    ranking_metric: str
    notes: tuple[str, ...]
    choice: Choice | None = None
    optimism: SelectionOptimism | None = None
    checks: tuple[Check, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return asdict(self)


def compare(selected: Sequence[runs.Run], notes: Sequence[str] = (), metric: Metric | None = None) -> Comparison:
    """Compare runs, the best out-of-fold metric first.

    Args:
        selected: the runs.
        notes: of `select_runs`, on the runs that it left out.
        metric: what ranks the runs, which all of them must have (`choose_metric`); None for `choose_metric`'s default.

    Returns:
        The comparison.
    """
    metric = metric or choose_metric(selected)
    ranked = sorted(selected, key=lambda run: metric.signed_value(run.ranking_scorecard), reverse=True)
    comparable = [run for run in ranked if _has_same_documents(run, ranked[0])]
    predictions = {run.name: run.predictions() for run in comparable} if len(comparable) > 1 else {}
    differences = {scored: _differences(comparable, predictions, metric, scored) for scored in _SPLITS}
    rows = tuple(
        _row(run, metric, {scored: by_run.get(run.name) for scored, by_run in differences.items()}) for run in ranked
    )
    return Comparison(rows, metric.name, (*describe_runs(ranked), *describe_exposure(ranked, predictions), *notes))


def _differences(
    comparable: Sequence[runs.Run], predictions: Mapping[str, Predictions], metric: Metric, scored: str
) -> dict[str, ConfidenceInterval]:
    """By name, how much better each run is than the first one on the documents that both were scored on."""
    best, *others = comparable
    split = _SPLITS[scored]
    scored_on = {run.name: predictions[run.name].of(split) for run in others if scored in run.scorecards}
    if scored not in best.scorecards or not scored_on:
        return {}
    reference, labels, hierarchy = predictions[best.name].of(split), len(best.record.labels), best.record.hierarchy
    names_by_ids: dict[tuple[str, ...], list[str]] = {}
    for name, other in scored_on.items():
        names_by_ids.setdefault(tuple(other.ids), []).append(name)
    differences: dict[str, ConfidenceInterval] = {}
    for ids, names in names_by_ids.items():
        row_of = {identifier: row for row, identifier in enumerate(ids)}
        common = [row for row, identifier in enumerate(reference.ids) if identifier in row_of]
        rows = [row_of[reference.ids[row]] for row in common]
        if common:
            predicted = [scored_on[name].predicted[rows] for name in names]
            paired = paired_differences(
                reference.truth[common], reference.predicted[common], predicted, labels, metric, hierarchy=hierarchy
            )
            differences |= zip(names, paired, strict=True)
    return differences


def _has_same_documents(run: runs.Run, other: runs.Run) -> bool:
    fields = ("documents_hash", "labels", "kind", "taxonomy")
    return all(getattr(run.record, field) == getattr(other.record, field) for field in fields)


def _row(
    run: runs.Run,
    metric: Metric,
    differences: Mapping[str, ConfidenceInterval | None],
) -> ComparisonRow:
    record, cards, test = run.record, run.scorecards, run.scorecards.get("test")
    return ComparisonRow(
        run=run.name,
        head=record.head,
        store=record.store,
        inputs=describe_inputs(record),
        out_of_fold=metric.value(cards["out_of_fold"]) if "out_of_fold" in cards else None,
        validation=metric.value(cards["validation"]) if "validation" in cards else None,
        macro_f1=test.macro_f1 if test else None,
        micro_f1=test.micro_f1 if test else None,
        accuracy=test.accuracy if test else None,
        absolute_error=test.absolute_error if test else None,
        quadratic_kappa=test.quadratic_kappa if test else None,
        out_of_fold_difference=differences["out_of_fold"],
        validation_difference=differences["validation"],
        test_difference=differences["test"],
        labels=len(record.labels),
        averaged_labels=test.averaged_labels if test else None,
        rule=run.decision.rule.family,
        parameters=record.parameter_count,
        fit_seconds=record.seconds["fit"],
        predict_milliseconds=record.predict_milliseconds,
        marks=tuple(describe_marks(run)),
        parent=record.parent,
        decisions_scored_before=record.decisions_scored_before,
        validated=HierarchicalMetrics.of(run.ranking_scorecard),
        tested=HierarchicalMetrics.of(test),
    )
