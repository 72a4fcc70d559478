"""The HTML page of explanations: each text with the evidence for and against its label highlighted."""

from collections.abc import Sequence
from pathlib import Path

from stages.explain.explanation import Explanation
from stages.explain.highlighting import split_into_spans
from stages.report.rendering import render_template

FOLDER = Path(__file__).parent
# shades of the highlighting; the content security policy of the page allows classes, but no style attributes
SHADES = 8


def render_page(explanations: Sequence[Explanation], run: str, limit: int) -> str:
    """One self-contained HTML page.

    Args:
        explanations: what to show; everything that a user wrote is escaped.
        run: name of the run that is explained.
        limit: number of rows for the label, and against it, per document.

    Returns:
        The page.
    """
    return render_template(
        FOLDER / "page.html",
        title=f"Explanations of {run}",
        styles=[FOLDER / "style.css"],
        filters={"shade": _shade, "signed": "{:+.3f}".format},
        explanations=explanations,
        limit=limit,
        split_into_spans=split_into_spans,
    )


def _shade(share: float) -> str:
    """The class of a contribution: "for-1" to "for-8", "against-1" to "against-8", "" if it is negligible."""
    strength = round(SHADES * abs(share))
    return f"{'for' if share > 0 else 'against'}-{strength}" if strength else ""
