"""`embedonce compare`: a table of runs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from commandline.comparison_tables import show_choice, show_comparison, show_sentences
from commandline.fit_options import METRIC_NAMES
from commandline.options import (
    Name,
    NewFile,
    json_option,
    receives,
    refuse_unused,
    runs_option,
    split_names,
    stores_option,
)
from commandline.output import note, say, show, show_json, table
from commandline.report import write_page
from data.errors import CallError

if TYPE_CHECKING:
    from featurestore import Location
    from heads.evaluation.metrics import Metric
    from stages.comparing.choice import Cost
    from stages.comparing.disagreement import ScoredSplit
    from stages.comparing.table import Comparison
    from stages.fitting.runs import Run

Form: TypeAlias = Literal["csv", "markdown", "latex", "json"]
MARGIN, COSTS = 0.005, ("predict", "fit", "size")  # those of stages.comparing.choice, which is not imported for help


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """The arguments and options of `embedonce compare`."""

    names: tuple[str, ...]
    runs: Path
    metric: str | None
    filters: tuple[str, ...]
    common: bool
    sort: str | None
    columns: str | None
    format_: Form | None
    margin: float
    cost: "Cost"
    as_json: bool
    html: Path | None
    differences: bool
    group_by: str | None
    split: "ScoredSplit | None"
    stores_folder: "Location"

    @property
    def form(self) -> "Form | None":
        """How the table is written; None for the terminal. Raises CallError if --json and --format differ."""
        if self.as_json and self.format_ not in (None, "json"):
            raise CallError(f"--json is --format json, not --format {self.format_}. Give one of them.")
        return "json" if self.as_json else self.format_


@click.command("compare", short_help="Compare runs, best out-of-fold metric first.")
@click.argument("names", nargs=-1, metavar="[RUN]...")
@runs_option
@click.option(
    "--metric",
    type=Name(METRIC_NAMES),
    metavar="NAME",
    help=f"What ranks the runs: {', '.join(METRIC_NAMES)}.  [what selected their decision rules, if it is the same; "
    "else macro-f1]",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this value, in which * is any text, as in head=linear or lr=0.001. Repeat it: with another "
    "key for runs that have both values, with the same key for runs that have either.",
)
@click.option("--common", is_flag=True, help="Compare runs on different documents on those that all of them scored.")
@click.option(
    "--sort",
    metavar="KEY",
    help="Order of the rows of the table: of a metric the best first, else the lowest first; -KEY for the reverse.  "
    "[--metric]",
)
@click.option(
    "--columns", metavar="KEY,KEY,...", help="Columns of one table; the keys are those of --json and run.json."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "markdown", "latex", "json"]),
    help="Write the table in this format; --json is --format json.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0),
    default=MARGIN,
    show_default=True,
    help="How much worse than the best run, in units of the metric, a cheaper one may be.",
)
@click.option(
    "--cost",
    type=click.Choice(COSTS),
    default="predict",
    show_default=True,
    help="What a cheaper run saves: time to predict, time to fit, or parameters.",
)
@json_option
@click.option("--html", type=NewFile(), help="Also write a report page, in the order of --metric.")
@click.option(
    "--differences",
    is_flag=True,
    help="Of two runs: the documents that only one gets right, the labels won and lost, and their agreement.",
)
@click.option(
    "--group-by",
    metavar="COLUMN",
    help="The metrics of each value of a column, as source, year or language: a tabular column of the corpus, group, "
    "file, or a column of the file that it was read from.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Documents of --differences and --group-by; train is out of fold.  [those that rank runs]",
)
@stores_option
@receives(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Compare runs, best out-of-fold metric first. Without a RUN, all runs in the folder are compared.

    The last line names the run to take: the cheapest one that is not worse than the best by more than --margin. Runs
    that differ in their seed only are one row. Runs on different documents cannot be compared. Of a folder that has
    such runs, those on the documents of the newest run are compared.

    \b
    embedonce compare
    embedonce compare linear-3f9a12bc lstm-7c2e41b0 --html report.html
    embedonce compare --metric hf1
    embedonce compare --filter corpus=tickets --sort predict_milliseconds
    embedonce compare --columns run,out_of_fold,C,fit_seconds --format latex > table.tex
    embedonce compare linear-3f9a12bc lstm-7c2e41b0 --differences
    embedonce compare --margin 0.01 --cost size
    embedonce compare linear-3f9a12bc --group-by year
    """
    from stages.comparing.keys import RunFilter
    from stages.comparing.selection import select_runs
    from stages.comparing.table import choose_metric
    from stages.comparing.table import compare as compare_runs

    form, left_out, filters = options.form, list[str](), [RunFilter.parse(text) for text in options.filters]
    runs = select_runs(options.names, options.runs, left_out.append, filters=filters, common=options.common)
    if options.differences or (options.split is not None and options.group_by is None):
        show_differences(runs, left_out, form, options)
        return
    metric = choose_metric(runs, options.metric)
    if options.group_by is not None:
        show_groups(runs, left_out, metric, form, options)
        return
    comparison = compare_runs(runs, left_out, metric, margin=options.margin, cost=options.cost)
    _show(comparison, runs, form, options)
    if options.html is not None:
        write_page(runs, options.html, metric, comparison, options.stores_folder)
    if form != "json":
        show_choice(comparison, show if form is None else say)


def show_groups(
    runs: "Sequence[Run]", left_out: Sequence[str], metric: "Metric", form: "Form | None", options: CompareOptions
) -> None:
    """Print the metrics of each value of --group-by. Raises CallError for options of the table of runs."""
    from commandline.group_table import print_groups
    from stages.comparing.grouped_metrics import group_metrics

    if options.sort or options.columns or options.html:
        raise CallError("--group-by has a table of its own, without --sort, --columns and --html. Remove these.")
    refuse_unused(("margin", "cost"), "for the table of runs, not for --group-by")
    assert options.group_by is not None
    print_groups(group_metrics(runs, options.group_by, metric, options.stores_folder, options.split), form, left_out)


def show_differences(
    runs: "Sequence[Run]", left_out: Sequence[str], form: "Form | None", options: CompareOptions
) -> None:
    """Print where two runs differ. Raises CallError for more or fewer runs, and for options of the table."""
    from commandline.run_differences import print_differences
    from stages.comparing.disagreement import add_texts, find_differences

    if not options.differences:
        raise CallError(
            "--split is for --differences and --group-by; the table has the metrics of all splits. Remove it."
        )
    if options.group_by is not None:
        raise CallError("--differences and --group-by are two commands. Give one of them.")
    if len(runs) != 2:
        raise CallError(
            f"--differences is for two runs, and {len(runs)} {'is' if len(runs) == 1 else 'are'} selected. Name two."
        )
    if form in ("markdown", "latex") or options.sort or options.columns or options.html:
        raise CallError("--differences is written with --format csv or json, without --sort, --columns and --html.")
    refuse_unused(("metric", "margin", "cost"), "for the table of runs, not for --differences")
    found = add_texts(find_differences(runs[0], runs[1], options.split), runs[0], options.stores_folder)
    if form == "json":
        show_json(found.to_json())
    elif form == "csv":
        sys.stdout.write(found.to_csv())
    else:
        print_differences(found)
    for sentence in (*left_out, *found.notes):
        note(sentence)


def _show(
    comparison: "Comparison",
    runs: "Sequence[Run]",
    form: "Form | None",
    options: CompareOptions,
) -> None:
    from stages.comparing.formats import comparison_json, comparison_table, format_short, render_table, sort_rows

    columns = [name for name in split_names(options.columns) or () if name] or None
    if options.sort is not None:
        order = sort_rows(comparison, runs, options.sort)
        comparison = replace(comparison, rows=tuple(comparison.rows[row] for row in order))
    if form == "json":
        show_json(comparison_json(comparison, runs, columns))
        return
    if form is None and columns is None:
        show_comparison(comparison, as_json=False)
        return
    keys, rows = comparison_table(comparison, runs, columns)
    if form is None:
        table(keys, [[format_short(value) for value in row] for row in rows])
    else:
        sys.stdout.write(render_table(keys, rows, form))
    show_sentences(comparison)
