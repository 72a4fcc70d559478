"""Comparison of runs: the table, and what the report page shows of each run.

Rows are sorted by a metric out of fold or on the validation split: the one that was requested, or that the decision
rules of all runs were selected by; else macro-F1, or the mean absolute error if the labels of every run are ordinal.
The test split chooses nothing, not even the order of this table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.atomic_write import open_atomically
from data.errors import FileMissing, RunDamaged
from data.splits import Split
from data.text_format import join_names, join_words, plural
from heads.evaluation.metrics import ConfidenceInterval, Metric, Scorecard, find_metric, ranking_metric
from heads.evaluation.paired import paired_differences
from stages.fitting import runs
from stages.fitting.predictions import Predictions
from stages.report.run_view import RunView

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
class ComparisonRow:
    """One run in the table.

    inputs: the views that the head read, or the number of base runs of a stacking ensemble.
    out_of_fold: the metric that runs are ranked by, or None for a run that is validated on the validation split.
    validation: this metric on the validation split, or None. The other metrics are of the test split, None without one.
    absolute_error, quadratic_kappa: of ordinal labels, else None.
    validated, tested: if the labels have a taxonomy, the metrics of the documents that `out_of_fold` or `validation` is
        of, and of the test split; else None.
    out_of_fold_difference, validation_difference, test_difference: how much better this run is than the first one by
        the ranking metric, paired by document; None for the first run, and if both were not scored on common documents.
    marks: what distinguishes the metrics from those of most runs, in a few words each.
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
    validated: HierarchicalMetrics | None = None
    tested: HierarchicalMetrics | None = None


@dataclass(frozen=True)
class Comparison:
    """Rows, the best out-of-fold metric first, and what a reader must know before comparing them."""

    rows: tuple[ComparisonRow, ...]
    ranking_metric: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return asdict(self)


def select_runs(
    names: Sequence[str],
    folder: Path,
    notify: Callable[[str], None] = lambda _: None,
) -> list[runs.Run]:
    """The named runs, or all runs in a folder that can be read.

    Args:
        names: of runs in `folder`, or their paths; none for all runs in `folder`.
        folder: the folder of the runs.
        notify: called with a sentence on each run that is left out because it cannot be read.

    Returns:
        The runs, at least one.

    Raises:
        FileMissing: if there is no run, and what `runs.load` raises for a run that was named.
        RunDamaged: if no run can be read.
    """
    if names:
        return [find_run(name, folder) for name in names]
    left_out: list[str] = []
    found = runs.runs_in(folder, "scorecard", "decision", "predictions", "scores", notify=left_out.append)
    if not found and left_out:
        raise RunDamaged(f"{folder} holds no run that can be read. {left_out[0]}")
    if not found:
        raise FileMissing(f"{folder} holds no run. Make one with `embedonce fit-head linear`.")
    for sentence in left_out:
        notify(sentence)
    return found


def find_run(name: str, folder: Path) -> runs.Run:
    """The run of that name in `folder`, or at that path."""
    path = folder / name
    return runs.load(Path(name) if Path(name).is_dir() and not path.is_dir() else path)


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
    return Comparison(rows, metric.name, (*_notes(ranked), *_exposure_notes(ranked, predictions), *notes))


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
    return found[0]


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
    fields = ("corpus", "documents_hash", "labels", "kind", "taxonomy")
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
        inputs=_describe_inputs(record),
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
        marks=tuple(_marks(run)),
        validated=HierarchicalMetrics.of(run.ranking_scorecard),
        tested=HierarchicalMetrics.of(test),
    )


def _marks(run: runs.Run) -> Iterator[str]:
    if run.record.scored_level is not None:
        yield f"level {run.record.scored_level}"
    if run.record.unscored:
        documents = run.ranking_scorecard.documents
        yield f"out of fold on {documents:,} of {documents + run.record.unscored:,}"
    if run.record.test_texts:
        yield "encoder read test texts"


def _describe_inputs(record: runs.Record) -> str:
    """What a run reads, in short; a note on a stacking ensemble names its runs."""
    if record.base_runs:
        return f"scores of {len(record.base_runs)} runs"
    return ", ".join((*record.inputs, *(label.rpartition(":")[0] for label in record.tabular)))


def _notes(ranked: Sequence[runs.Run]) -> list[str]:
    notes, documents = [], {(run.record.corpus, run.record.documents_hash) for run in ranked}
    if len(documents) > 1:
        notes.append(
            f"These runs were scored on {len(documents)} different sets of documents: metrics on one set cannot be "
            "compared with those on another."
        )
    if len({run.record.scored_level for run in ranked}) > 1:
        notes.append(
            "These runs are scored at different levels of the taxonomy (--scored-level): their metrics are of "
            "different labels and cannot be compared."
        )
    notes += _coverage_notes(ranked)
    if len({run.record.validate_on for run in ranked}) > 1:
        notes.append(
            "Some of these runs are validated out of fold and others on the validation split: these two metrics are of "
            "different documents and cannot be compared."
        )
    notes += [
        f"{', '.join(names)}: fitted with augmented copies ({copies})." for copies, names in _copies(ranked).items()
    ]
    if len(ranked) > 1 and (stacks := [run.name for run in ranked if run.record.base_runs]):
        notes.append(
            f"The out-of-fold metrics of {', '.join(stacks)} are slightly too high compared with runs that are no "
            "stacking ensemble; see the notes on the run."
        )
    return notes


def _exposure_notes(ranked: Sequence[runs.Run], predictions: Mapping[str, Predictions]) -> list[str]:
    """Sentences on runs whose encoders learned from labels of training documents, or from texts of test documents."""
    notes, scored = [], {tuple(predictions[name].of(Split.TRAIN).ids) for name in predictions}
    if len(scored - {()}) > 1:
        notes.append(
            "Some of these runs were scored out of fold on fewer documents, because an encoder learned from the labels "
            "of the others: their out-of-fold metrics are of different documents, and differences to the first are "
            "measured on the documents that both have in common."
        )
    if names := [run.name for run in ranked if run.record.test_texts]:
        notes.append(
            f"The encoder of {', '.join(names)} learned from texts of test documents, without labels: such test "
            "metrics cannot be compared with those of encoders that did not."
        )
    return notes


def _copies(ranked: Sequence[runs.Run]) -> dict[str, list[str]]:
    """The runs that were fitted with augmented copies, by their number and corpus."""
    names: dict[str, list[str]] = {}
    for run in ranked:
        described = [f"{count:,} of {corpus}" for corpus, count in run.record.copies.items()]
        if described:
            names.setdefault(join_words(described), []).append(run.name)
    return names


def _coverage_notes(ranked: Sequence[runs.Run]) -> list[str]:
    """A sentence on the labels that the test macro-F1 leaves out, if there are any."""
    names: dict[str, list[str]] = {}
    for run in ranked:
        labels, test = len(run.record.labels), run.scorecards.get("test")
        if test and test.averaged_labels < labels:
            names.setdefault(f"{test.averaged_labels:,} of {labels:,}", []).append(run.name)
    if not names:
        return []
    shares = [f"{share} ({join_names(runs, quoted=False)})" for share, runs in names.items()]
    described = next(iter(names)) if len(names) == 1 else join_words(shares)
    return [
        f"The test macro-F1 is the mean of {described} labels: the others have no test document and were not predicted."
    ]


def make_run_views(selected: Sequence[runs.Run]) -> list[RunView]:
    """What the report page shows of each run."""
    return [_make_run_view(run) for run in selected]


def _make_run_view(run: runs.Run) -> RunView:
    record, scored = run.record, run.predictions().of(run.scored_split)
    return RunView(
        name=run.name,
        head=record.head,
        store=record.store,
        reads=_describe_inputs(record),
        rule=run.decision.rule.family,
        parameters=record.parameter_count,
        training=_describe_training(record.training),
        fit_seconds=record.seconds["fit"],
        predict_milliseconds=record.predict_milliseconds,
        out_of_fold=run.ranking_scorecard,
        has_folds=record.validate_on == "folds",
        test=run.scorecards.get("test"),
        labels=tuple(run.record.labels),
        truth=scored.truth,
        predicted=scored.predicted,
        probabilities=scored.probabilities,
        notes=run.record.notes,
        evidence=run.decision.to_json(),
        marks=tuple(_marks(run)),
        hierarchy=record.hierarchy,
    )


def _describe_training(training: Mapping[str, Any]) -> str:
    """What a rule may have chosen, as "20 epochs, 2,040 batches of 64 documents, float32"."""
    if not training:
        return ""
    batches = f"{plural(training['steps'], 'batch', 'batches')} of {plural(training['batch_size'], 'document')}"
    return f"{plural(training['epochs'], 'epoch')}, {batches}, {training['precision']}"


def write_report(selected: Sequence[runs.Run], path: Path, metric: Metric | None = None) -> None:
    """Write one self-contained HTML page that shows the runs; an older page of that name is replaced.

    Args:
        selected: the runs.
        path: of the page.
        metric: what ranks the runs, as in `compare`.

    Raises:
        StorageFailed: it cannot be written.
    """
    from stages.report import render_page

    page = render_page(make_run_views(selected), metric or choose_metric(selected))
    with open_atomically(path, next_step=", or name another file.") as file:
        file.write(page.encode())
