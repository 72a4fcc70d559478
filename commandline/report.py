"""`embedonce report`: the page of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commandline.fit_options import METRIC_NAMES
from commandline.options import Name, NewFile, receives, runs_option, stores_option
from commandline.output import progress, say
from data.text_format import plural

if TYPE_CHECKING:
    from featurestore import Location
    from heads.evaluation.metrics import Metric
    from stages.comparing.table import Comparison
    from stages.fitting.runs import Run


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The arguments and options of `embedonce report`."""

    run: str
    html: Path
    metric: str | None
    runs: Path
    stores_folder: "Location"


@click.command(short_help="Write a page about one run.")
@click.argument("run")
@click.option("--html", type=NewFile(), required=True, help="The page to write.")
@click.option(
    "--metric",
    type=Name(METRIC_NAMES),
    metavar="NAME",
    help="The metric at the top, of those of `compare`.  [what selected the rule]",
)
@runs_option
@stores_option
@receives(ReportOptions)
def report(options: ReportOptions) -> None:
    """Write a page about RUN: its metrics, thresholds, confidence and errors, with the documents behind them.

    Texts and evidence need the store that the run was fitted on; the page is written without them if it is not there.

    \b
    embedonce report lstm-7c2e41b0 --html lstm.html
    """
    from stages.comparing.selection import find_run
    from stages.comparing.table import choose_metric, compare

    runs = [find_run(options.run, options.runs)]
    metric = choose_metric(runs, options.metric)
    write_page(runs, options.html, metric, compare(runs, metric=metric), options.stores_folder)


def write_page(
    runs: "Sequence[Run]", path: Path, metric: "Metric", comparison: "Comparison", stores: "Location"
) -> None:
    """Write the page of runs with a progress bar, and print where it is.

    Args:
        runs: what it shows.
        path: of the page.
        metric: what ranks the runs.
        comparison: of the runs, as it is printed.
        stores: folder of the stores.
    """
    from stages.comparing.report_views import write_report

    with progress("reading documents") as bar:

        def show(done: int, total: int) -> None:
            bar(done, total, f"{done:,} of {plural(total, 'run')}")

        write_report(runs, path, metric, comparison=comparison, stores=stores, report=show)
    say(f"The report page is {path}.")
