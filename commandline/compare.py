"""`embedonce compare`: runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commandline.options import NewFile, json_option, runs_option
from commandline.output import note, say, show_json, table
from data.text_format import format_duration

if TYPE_CHECKING:
    from heads.evaluation.metrics import ConfidenceInterval
    from stages.compare import Comparison


@click.command()
@click.argument("names", nargs=-1, metavar="[RUN]...")
@runs_option
@json_option
@click.option("--html", type=NewFile(), help="Also write a page that shows the runs.")
def compare(names: tuple[str, ...], runs: Path, as_json: bool, html: Path | None) -> None:
    """Set runs side by side, best out of fold first; all runs of the folder when none is named.

    \b
    embedonce compare
    embedonce compare linear-3f9a12bc lstm-7c2e41b0 --html report.html
    """
    from stages.compare import compare as compare_runs
    from stages.compare import select_runs, write_report

    found = select_runs(names, runs)
    show_comparison(compare_runs(found), as_json)
    if html is not None:
        write_report(found, html)
        say(f"The report page is {html}.")


def show_comparison(comparison: "Comparison", as_json: bool) -> None:
    """Two tables, figures and what they took; or the same as JSON."""
    if as_json:
        show_json(comparison.to_json())
        return
    rows = comparison.rows
    ordered = any(row.absolute_error for row in rows)
    table(
        ["run", f"{comparison.ranking_metric}\nout of fold", "macro-F1", "micro-F1", "accuracy"]
        + ["mean absolute\nerror", "quadratic\nkappa"] * ordered,
        [
            (row.run, *map(interval, (row.out_of_fold, row.macro_f1, row.micro_f1, row.accuracy)))
            + (interval(row.absolute_error), interval(row.quadratic_kappa)) * ordered
            for row in rows
        ],
    )
    table(
        ["run", "store", "reads", "decision", "parameters", "fit", "ms a\ndocument"],
        [
            (
                row.run,
                row.store,
                row.reads,
                row.rule,
                f"{row.parameters:,}",
                format_duration(row.fit_seconds),
                f"{row.predict_milliseconds:.3f}",
            )
            for row in rows
        ],
        text_columns=4,
    )
    for sentence in comparison.notes:
        note(sentence)


def interval(metric: "ConfidenceInterval | None") -> str:
    """A figure over its 95 % bootstrap interval, or a dash for one that a run does not have."""
    if metric is None:
        return "–"
    return f"{metric.value:.3f}\n{metric.low:.3f}–{metric.high:.3f}"
