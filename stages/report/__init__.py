"""The HTML report that compares runs, and what all pages and charts of the project share.

`run_view` is the input of the report, `run_panel` a run as its template shows it; `rendering` fills in the templates.
`line_chart` is the one chart of lines, drawn as SVG or by `plots` with matplotlib. A page is one file that loads
nothing. Nothing here reads a run folder: `stages.compare` provides the views.
"""

from collections.abc import Sequence

from stages.report.run_view import RunView

__all__ = ["RunView", "render_page"]


def render_page(runs: Sequence[RunView]) -> str:
    """One self-contained HTML page that compares the runs, the best one first.

    The ranking uses out-of-fold metrics only: macro-F1, or the mean absolute error if the labels of all runs are
    ordinal. Labels, names and notes are escaped; the content security policy of the page forbids loading anything.
    """
    from heads.evaluation.metrics import ranking_metric
    from stages.report.rendering import render_comparison

    metric = ranking_metric(run.out_of_fold for run in runs)
    return render_comparison(sorted(runs, key=lambda run: metric.signed_value(run.out_of_fold), reverse=True), metric)
