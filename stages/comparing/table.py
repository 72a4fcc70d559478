"""The table of a comparison: rows of runs, and how they differ.

Rows are sorted by a metric out of fold or on the validation split: the one that was requested, or that the decision
rules of all runs were selected by; else macro-F1, or the mean absolute error if the labels of every run are ordinal.
The test split chooses nothing, not even the order of this table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from data.errors import CallError
from data.text_format import join_names
from heads.evaluation.metrics import ConfidenceInterval, Metric, Scorecard, find_metric, ranking_metric
from heads.evaluation.selection_optimism import SelectionOptimism
from stages.comparing.checks import Check, check_runs
from stages.comparing.choice import MARGIN, Choice, Cost, choose_run
from stages.comparing.entries import Entry, Seeds, group_seeds, mean_interval
from stages.comparing.notes import (
    describe_exposure,
    describe_inputs,
    describe_marks,
    describe_optimism,
    describe_partial,
    describe_runs,
    describe_seeds,
)
from stages.comparing.significance import Significance, compare_with_best
from stages.fitting import runs
from stages.fitting.predictions import Predictions


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

    @classmethod
    def mean(cls, metrics: Sequence["HierarchicalMetrics | None"]) -> "HierarchicalMetrics | None":
        """The mean over several seeds; None if one has none."""
        known = [each for each in metrics if each is not None]
        if not known or len(known) < len(metrics):
            return None
        means: dict[str, Any] = {"level_documents": known[0].level_documents}
        for name in (each.name for each in fields(cls) if each.name not in means):
            values = [getattr(one, name) for one in known]
            is_of_levels = name == "level_accuracy"
            means[name] = (
                tuple(map(mean_interval, zip(*values, strict=True))) if is_of_levels else mean_interval(values)
            )
        return cls(**means)


@dataclass(frozen=True)
class ComparisonRow:
    """One run in the table, or several that differ in their seed only.

    inputs: the views that the head read, or the number of base runs of a stacking ensemble.
    out_of_fold: the metric that runs are ranked by, or None for a run that is validated on the validation split.
    validation: this metric on the validation split, or None. The other metrics are of the test split, None without one.
    absolute_error, quadratic_kappa: of ordinal labels, else None.
    validated, tested: if the labels have a taxonomy, the metrics of the documents that `out_of_fold` or `validation` is
        of, and of the test split; else None.
    difference, test_difference: how much better this run is than the first one by the ranking metric, on the documents
        that rank and on the test split, paired by document; None for the first run, and if both were not scored on
        common documents.
    p_value: of `difference`, by paired approximate randomization; adjusted_p_value: adjusted for all comparisons.
    mcnemar_p_value: of the difference in accuracy.
    equivalence: the probability that the run and the first one differ by at most the margin.
    not_worse: the probability that the run is not worse than the first one by more than the margin.
    seeds: if the row is several runs, these; `run` and what is no metric and no cost are of the first of them, and
        the others are means.
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
    mcnemar_p_value: float | None = None
    equivalence: float | None = None
    not_worse: float | None = None
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


def compare(
    selected: Sequence[runs.Run],
    notes: Sequence[str] = (),
    metric: Metric | None = None,
    *,
    margin: float = MARGIN,
    cost: Cost = "predict",
) -> Comparison:
    """Compare runs, the best out-of-fold metric first.

    Args:
        selected: the runs.
        notes: of `select_runs`, on the runs that it left out.
        metric: what ranks the runs, which all of them must have (`choose_metric`); None for `choose_metric`'s default.
        margin: how much worse than the best a cheaper run may be, in units of the metric.
        cost: what a cheaper run saves.

    Returns:
        The comparison.
    """
    metric = metric or choose_metric(selected)
    entries = group_seeds(selected, metric)
    entries, partial = _divide(entries, metric)
    comparable = [entry for entry in entries if _has_same_documents(entry.first, entries[0].first)]
    entries += partial
    predictions = {run.name: run.predictions() for entry in entries for run in entry.runs}
    found = compare_with_best(comparable, predictions, metric, margin) if len(comparable) > 1 else Significance()
    ranked = [run for entry in entries for run in entry.runs]
    optimism = [] if found.optimism is None else [describe_optimism(found.optimism, entries[0], metric)]
    return Comparison(
        rows=tuple(_row(entry, metric, found, predictions) for entry in entries),
        ranking_metric=metric.name,
        notes=(
            *optimism,
            *describe_partial([entry.first for entry in partial], metric),
            *describe_runs(ranked),
            *describe_exposure(ranked, predictions),
            *notes,
        ),
        choice=choose_run(comparable, found.comparisons, metric, margin, cost),
        optimism=found.optimism,
        checks=check_runs(
            [entry.first for entry in comparable],
            predictions,
            {name: paired.difference for name, paired in found.comparisons.items()},
            metric,
            margin,
        ),
    )


def _divide(entries: Sequence[Entry], metric: Metric) -> tuple[list[Entry], list[Entry]]:
    """Those with the metric of all documents, and those with that of the documents that they decide.

    If all are of the second kind, the best of these is of the first one, too.
    """
    partial = [
        entry
        for entry in entries
        if metric.ignores_undecided and entry.first.ranking_scorecard.decided_share is not None
    ]
    whole = [entry for entry in entries if entry not in partial]
    return (whole, partial) if whole else (partial[:1], partial[1:])


def _has_same_documents(run: runs.Run, other: runs.Run) -> bool:
    fields = ("documents_hash", "labels", "kind", "taxonomy")
    return all(getattr(run.record, field) == getattr(other.record, field) for field in fields)


def _row(entry: Entry, metric: Metric, found: Significance, predictions: Mapping[str, Predictions]) -> ComparisonRow:
    record, name = entry.first.record, entry.first.name
    tested = [card for run in entry.runs if (card := run.scorecards.get("test"))]
    cards = tested if len(tested) == len(entry.runs) else []
    ranking = mean_interval([metric.value(run.ranking_scorecard) for run in entry.runs])
    paired = found.comparisons.get(name)
    seeds = Seeds.of(entry, metric, predictions) if len(entry.runs) > 1 else None
    return ComparisonRow(
        run=name,
        head=record.head,
        store=record.store,
        inputs=describe_inputs(record),
        out_of_fold=ranking if record.validate_on == "folds" else None,
        validation=ranking if record.validate_on != "folds" else None,
        macro_f1=mean_interval([card.macro_f1 for card in cards]),
        micro_f1=mean_interval([card.micro_f1 for card in cards]),
        accuracy=mean_interval([card.accuracy for card in cards]),
        absolute_error=mean_interval([card.absolute_error for card in cards]),
        quadratic_kappa=mean_interval([card.quadratic_kappa for card in cards]),
        test_difference=found.test_differences.get(name),
        labels=len(record.labels),
        averaged_labels=cards[0].averaged_labels if cards else None,
        rule=entry.first.decision.rule.family,
        parameters=record.parameter_count,
        fit_seconds=float(np.mean([run.record.seconds["fit"] for run in entry.runs])),
        predict_milliseconds=entry.predict_milliseconds,
        marks=(*describe_marks(entry.first), *([describe_seeds(seeds)] if seeds else [])),
        parent=record.parent,
        decisions_scored_before=record.decisions_scored_before,
        validated=HierarchicalMetrics.mean([HierarchicalMetrics.of(run.ranking_scorecard) for run in entry.runs]),
        tested=HierarchicalMetrics.mean([HierarchicalMetrics.of(card) for card in cards]),
        difference=paired.difference if paired else None,
        p_value=paired.p_value if paired else None,
        adjusted_p_value=found.adjusted_p_values.get(name),
        mcnemar_p_value=paired.mcnemar_p_value if paired else None,
        equivalence=paired.equivalence if paired else None,
        not_worse=paired.not_worse if paired else None,
        seeds=seeds,
    )


def choose_metric(selected: Sequence[runs.Run], name: str | None = None) -> Metric:
    """The metric that ranks runs: the named one, or `ranking_metric`. Raises CallError if a run does not have it."""
    if name is None:
        return ranking_metric(
            (run.ranking_scorecard for run in selected), (run.decision.evidence.metric for run in selected)
        )
    found = [
        find_metric(name, run.record.kind, has_taxonomy=bool(run.record.taxonomy), of=f"the run {run.name}")
        for run in selected
    ]
    metric = found[0]
    if lacking := [run.name for run in selected if metric.value(run.ranking_scorecard) is None]:
        raise CallError(
            f"The {metric.name} of {join_names(lacking, quoted=False)} is not known: it needs documents with and "
            "without each label. Name another metric."
        )
    return metric
