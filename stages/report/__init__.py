"""The HTML report that compares runs, and what all pages and charts of the project share.

`run_view` is the input of the report, `run_panel` a run as its template shows it; `rendering` fills in the templates.
`line_chart` is the one chart of lines, drawn as SVG or by `plots` with matplotlib. A page is one file that loads
nothing. Nothing here reads a run folder: `stages.comparing` provides the views.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.report.run_view import EvidenceUnit, ExplainedError, Finding, Findings, RunView

if TYPE_CHECKING:
    from heads.evaluation.metrics import Metric

__all__ = ["EvidenceUnit", "ExplainedError", "Finding", "Findings", "RunView", "render_page"]


def render_page(runs: Sequence[RunView], metric: "Metric | None" = None, findings: Findings | None = None) -> str:
    """One self-contained HTML page that compares runs, the best one first (of equals the fastest), or shows one.

    Args:
        runs: what to show; labels, names and notes are escaped.
        metric: what ranks them, on documents that were not fitted on; None for macro-F1, or the mean absolute error if
            the labels of all runs are ordinal.
        findings: what the page says before its numbers; None for nothing.

    Returns:
        The page, whose content security policy forbids loading anything.
    """
    from heads.evaluation.metrics import ranking_metric
    from stages.report.rendering import render_comparison

    metric = metric or ranking_metric(run.out_of_fold for run in runs)
    ranked = sorted(runs, key=lambda run: (-metric.signed_value(run.out_of_fold), run.predict_milliseconds))
    return render_comparison(ranked, metric, findings or Findings())
