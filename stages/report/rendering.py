"""The templates, filled in."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from data.text_format import format_duration, plural
from heads.evaluation.metrics import ConfidenceInterval, Metric
from stages.report import curves, formatting
from stages.report.axis import Axis, common_axis
from stages.report.run_panel import Panel
from stages.report.run_view import RunView

__all__ = ["read_asset", "render_comparison", "template_environment"]

FILTERS: dict[str, Callable[..., str]] = {
    "breakable": formatting.insert_breaks,
    "brief": formatting.format_compact_count,
    "count": formatting.format_count,
    "isolated": formatting.isolate_direction,
    "metric": formatting.format_metric,
    "milliseconds": formatting.format_milliseconds,
    "percent": formatting.format_percent,
    "seconds": format_duration,
    "shortened": formatting.shorten,
    "value": formatting.format_value,
}
HERE = Path(__file__).parent


def render_comparison(runs: Sequence[RunView], metric: Metric) -> str:
    """The page of the runs, in the order given, which is that of `metric`."""
    panels = [Panel(run, f"run-{place}") for place, run in enumerate(runs, start=1)]
    return formatting.replace_unprintable(
        template_environment()
        .get_template("page.html")
        .render(
            runs=panels,
            metric=metric,
            scale=_scale(runs),
            error_scale=common_axis(_errors(runs)) if _errors(runs) else None,
            same_documents=all(np.array_equal(run.named_truth, runs[0].named_truth) for run in runs),
            any_multilabel=any(run.multilabel for run in runs),
            shared_store=runs[0].store if len({run.store for run in runs}) == 1 else "",
            style=read_asset("style.css"),
            script=read_asset("script.js"),
        )
    )


def _scale(runs: Sequence[RunView]) -> Axis:
    cards = [card for run in runs for card in (run.out_of_fold, run.test)]
    shown = [(card.macro_f1, card.micro_f1, card.accuracy, card.quadratic_kappa) for card in cards]
    return common_axis([one for each in shown for one in each if one])


def _errors(runs: Sequence[RunView]) -> list[ConfidenceInterval]:
    return [one for run in runs for one in (run.out_of_fold.absolute_error, run.test.absolute_error) if one]


def template_environment(folder: Path = HERE) -> Environment:
    """The templates in `folder` and next to this file, with the filters that format numbers and labels; all escaped."""
    templates = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    nouns = {"runs": "run", "documents": "document", "other_labels": "other label", "trials": "trial"}
    templates.filters.update({name: partial(plural, noun=noun) for name, noun in nouns.items()})
    templates.filters.update(path=curves.path, hash=_hash)
    return templates


def read_asset(name: str) -> Markup:
    """A file beside this one, as it is: no user wrote any of it."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    """How the page's policy names the one style and the one script that it allows."""
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"
