"""The page that compares runs, and that of learning curves: HTML that opens from disk and asks the network for nothing.

`view.py` is what a run looks like from here, `panel.py` a run as the template wants it; `scale.py`, `confusion.py`,
`curves.py`, `changes.py` and `trials.py` work out what the drawings show, `wording.py` how numbers and labels are
written. `learning.py` draws learning curves. The templates hold all HTML and SVG. Nothing here reads a run folder:
`stages/compare.py` brings the views.
"""

from collections.abc import Sequence

from heads.evaluation.metrics import ranking_metric
from stages.report.run_view import RunView

__all__ = ["RunView", "render_page"]


def render_page(runs: Sequence[RunView]) -> str:
    """One self-contained HTML page of the runs, the best out of fold first, by what `compare` ranks them by.

    Labels, names and notes are escaped. The page holds no address of another one; its policy forbids loading any.
    """
    from stages.report.rendering import render_comparison

    metric = ranking_metric(run.out_of_fold for run in runs)
    return render_comparison(sorted(runs, key=lambda run: metric.signed_value(run.out_of_fold), reverse=True), metric)
