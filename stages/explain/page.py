"""Explanations as one HTML page that opens from disk: each text with what spoke for its label, and against it."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.explain.explanation import Explanation
from stages.explain.highlighting import split_into_spans
from stages.report.formatting import replace_unprintable

HERE = Path(__file__).parent
# shades of a mark; a style a text could choose itself is none that the page's policy allows
SHADES = 8


def render_page(explanations: Sequence[Explanation], run: str, most: int) -> str:
    """One self-contained page, everything that a user wrote escaped. most: rows of each table."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(shade=_shade, signed="{:+.3f}".format)
    style = (HERE / "style.css").read_text(encoding="utf-8")
    template = environment.get_template("page.html")
    return replace_unprintable(
        template.render(
            explanations=explanations,
            run=run,
            most=most,
            split_into_spans=split_into_spans,
            style=Markup(style),
            style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        )
    )


def _shade(share: float) -> str:
    """The class of a mark: "for-1" to "for-8", "against-1" and so on, "" for what counts for nothing."""
    strength = round(SHADES * abs(share))
    return f"{'for' if share > 0 else 'against'}-{strength}" if strength else ""
