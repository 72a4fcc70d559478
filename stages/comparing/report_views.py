"""What the report page shows of each run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.atomic_write import open_atomically
from data.text_format import plural
from featurestore import Location
from heads.evaluation.metrics import Metric
from stages.comparing.choice import run_cost
from stages.comparing.notes import describe_inputs, describe_marks
from stages.comparing.table import Comparison, ComparisonRow, choose_metric
from stages.fitting import runs
from stages.report.run_view import Finding, Findings, RunView


def make_run_views(selected: Sequence[runs.Run]) -> list[RunView]:
    """What the report page shows of each run."""
    return [_make_run_view(run) for run in selected]


def _make_run_view(run: runs.Run) -> RunView:
    record, scored = run.record, run.predictions().of(run.scored_split)
    return RunView(
        name=run.name,
        head=record.head,
        store=record.store,
        reads=describe_inputs(record),
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
        marks=tuple(describe_marks(run)),
        hierarchy=record.hierarchy,
        ids=tuple(scored.ids),
    )


def _describe_training(training: Mapping[str, Any]) -> str:
    """What a rule may have chosen, as "20 epochs, 2,040 batches of 64 documents, float32"."""
    if not training:
        return ""
    batches = f"{plural(training['steps'], 'batch', 'batches')} of {plural(training['batch_size'], 'document')}"
    return f"{plural(training['epochs'], 'epoch')}, {batches}, {training['precision']}"


def write_report(
    selected: Sequence[runs.Run],
    path: Path,
    metric: Metric | None = None,
    *,
    comparison: Comparison | None = None,
    stores: Location | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write one self-contained HTML page that shows the runs; an older page of that name is replaced.

    Args:
        selected: the runs.
        path: of the page.
        metric: what ranks the runs, as in `compare`.
        comparison: the choice and the checks to show.
        stores: folder of the stores, for texts and evidence; None to leave these out.
        report: called with the number of runs whose documents are read, and of all.

    Raises:
        StorageFailed: it cannot be written.
    """
    from stages.comparing.report_documents import add_documents
    from stages.report import render_page

    views = make_run_views(selected)
    if stores is not None:
        views = add_documents(selected, views, stores, report)
    page = render_page(views, metric or choose_metric(selected), _findings(selected, comparison))
    with open_atomically(path, next_step=", or name another file.") as file:
        file.write(page.encode())


def _findings(selected: Sequence[runs.Run], comparison: Comparison | None) -> Findings:
    if comparison is None:
        return Findings()
    choice = comparison.choice
    cost = choice.cost if choice else "predict"
    return Findings(
        choice=choice.sentence if choice else "",
        chosen=choice.run if choice else "",
        cost=cost,
        costs={run.name: run_cost(run, cost) for run in selected},
        checks=tuple(Finding(check.run, check.sentence, check.next_step) for check in comparison.checks),
        notes=comparison.notes,
        differences={run: text for row in comparison.rows if (text := _describe_row(row)) for run in _runs_of(row)},
    )


def _runs_of(row: ComparisonRow) -> tuple[str, ...]:
    return row.seeds.runs if row.seeds else (row.run,)


def _describe_row(row: ComparisonRow) -> str:
    """How a row differs from the first one, and what its seeds have in common."""
    parts = []
    if row.seeds:
        spread = f"{row.seeds.interval.value:.3f} ± {row.seeds.standard_deviation:.3f}"
        parts.append(f"{plural(len(row.seeds.seeds), 'seed')}: {spread}")
    if row.difference:
        difference = row.difference
        parts.append(f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}) to the first")
    if row.adjusted_p_value is not None:
        p_value = "< 0.001" if row.adjusted_p_value < 0.001 else f"{row.adjusted_p_value:.3f}"
        parts.append(f"adjusted p-value {p_value}")
    return ", ".join(parts)
