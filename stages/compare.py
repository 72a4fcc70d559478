"""Runs side by side: the table, and what the report page shows of each.

Rows are sorted by macro-F1 out of fold, on training documents that the head had not seen; where the labels of every run
are ordered, by the mean absolute error. The test split chooses nothing, not even the order of this table.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.atomic_write import open_atomically
from data.errors import FileMissing
from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric, ranking_metric
from stages.fitting import runs
from stages.report.run_view import RunView


@dataclass(frozen=True)
class ComparisonRow:
    """One run in the table. Seconds are of the last fit; milliseconds are a document's, from features in the store.

    out_of_fold: the figure that runs are ranked by. absolute_error, quadratic_kappa: of ordered labels, else None.
    """

    run: str
    head: str
    store: str
    reads: str
    out_of_fold: ConfidenceInterval
    macro_f1: ConfidenceInterval
    micro_f1: ConfidenceInterval
    accuracy: ConfidenceInterval
    absolute_error: ConfidenceInterval | None
    quadratic_kappa: ConfidenceInterval | None
    rule: str
    parameters: int
    fit_seconds: float
    predict_milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """Rows, best out of fold first, and what a reader must know before comparing them."""

    rows: tuple[ComparisonRow, ...]
    ranking_metric: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def select_runs(names: Sequence[str], folder: Path) -> list[runs.Run]:
    """The runs named (in `folder`, or as paths), or all in `folder`.

    Raises FileMissing when there is none.
    """
    if names:
        return [find_run(name, folder) for name in names]
    found = runs.runs_in(folder)
    if not found:
        raise FileMissing(f"{folder} holds no run. Make one with `embedonce fit-head linear`.")
    return found


def find_run(name: str, folder: Path) -> runs.Run:
    """The run of that name in `folder`, or at that path."""
    beside = folder / name
    return runs.load(Path(name) if Path(name).is_dir() and not beside.is_dir() else beside)


def compare(found: Sequence[runs.Run]) -> Comparison:
    """The comparison of runs, best out of fold first."""
    metric = ranking_metric(run.scorecards["out_of_fold"] for run in found)
    ranked = sorted(found, key=lambda run: metric.signed_value(run.scorecards["out_of_fold"]), reverse=True)
    return Comparison(tuple(_row(run, metric) for run in ranked), metric.name, tuple(_notes(ranked)))


def _row(run: runs.Run, metric: Metric) -> ComparisonRow:
    record, test = run.record, run.scorecards["test"]
    return ComparisonRow(
        run=run.name,
        head=record.head,
        store=record.store,
        reads=_reads(record),
        out_of_fold=metric.value(run.scorecards["out_of_fold"]),
        macro_f1=test.macro_f1,
        micro_f1=test.micro_f1,
        accuracy=test.accuracy,
        absolute_error=test.absolute_error,
        quadratic_kappa=test.quadratic_kappa,
        rule=run.decision.rule.family,
        parameters=record.parameter_count,
        fit_seconds=record.seconds["fit"],
        predict_milliseconds=record.predict_milliseconds,
    )


def _reads(record: runs.Record) -> str:
    """What a run reads, short; a stack's own note names its runs."""
    return f"scores of {len(record.base_runs)} runs" if record.base_runs else ", ".join(record.inputs)


def _notes(ranked: Sequence[runs.Run]) -> list[str]:
    notes, documents = [], {(run.record.corpus, run.record.documents_hash) for run in ranked}
    if len(documents) > 1:
        notes.append(
            f"These runs were scored on {len(documents)} different sets of documents: "
            "figures of one set do not compare with those of another."
        )
    if len(ranked) > 1 and (stacks := [run.name for run in ranked if run.record.base_runs]):
        notes.append(
            f"Out of fold {', '.join(stacks)} is a little too good beside runs that are no stack; see its notes."
        )
    return notes


def make_run_views(found: Sequence[runs.Run]) -> list[RunView]:
    """What the report page shows of each run."""
    return [_view(run) for run in found]


def _view(run: runs.Run) -> RunView:
    record, test = run.record, run.predictions().of(Split.TEST)
    return RunView(
        name=run.name,
        head=record.head,
        store=record.store,
        reads=_reads(record),
        rule=run.decision.rule.family,
        parameters=record.parameter_count,
        fit_seconds=record.seconds["fit"],
        predict_milliseconds=record.predict_milliseconds,
        out_of_fold=run.scorecards["out_of_fold"],
        test=run.scorecards["test"],
        labels=tuple(run.record.labels),
        truth=test.truth,
        predicted=test.predicted,
        probabilities=test.probabilities,
        notes=tuple(run.record.notes),
        evidence=run.decision.to_json(),
    )


def write_report(found: Sequence[runs.Run], path: Path) -> None:
    """One self-contained HTML page that shows the runs; an older page of that name is replaced whole.

    Raises StorageFailed when it cannot be written.
    """
    from stages.report import render_page

    page = render_page(make_run_views(found))
    with open_atomically(path, next_step="Make room, or name another file.") as file:
        file.write(page.encode())
