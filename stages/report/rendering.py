"""The pages: templates filled in, with one layout, one stylesheet and one content policy for all of them."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from data.text_format import format_duration, plural
from heads.evaluation.metrics import ABSOLUTE_ERROR, ConfidenceInterval, Metric
from stages.report import formatting
from stages.report.documents import page_data
from stages.report.line_chart import Axis, common_axis, format_tick
from stages.report.pareto import pareto_chart
from stages.report.precision_recall import DASHES, MAX_PAGE_POINTS, MAX_TOTAL_POINTS
from stages.report.run_panel import RunPanel
from stages.report.run_view import Findings, RunView

__all__ = ["render_comparison", "render_template"]

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("page.js", "tabs.js", "tables.js", "documents.js", "thresholds.js", "pairs.js")  # in this order

COUNTED = (
    "document",
    "finding",
    "level",
    "node",
    "other label",
    "trial",
)  # nouns of filters such as `documents`: "3 documents"
FILTERS: dict[str, Callable[..., str]] = {
    "breakable": formatting.insert_breaks,
    "brief": formatting.format_compact_count,
    "count": formatting.format_count,
    "isolated": formatting.isolate_direction,
    "metric": formatting.format_metric,
    "json": formatting.script_json,
    "milliseconds": formatting.format_milliseconds,
    "percent": formatting.format_percent,
    "seconds": format_duration,
    "shortened": formatting.shorten,
    "signed": "{:+.3f}".format,
    "tick": format_tick,
    "value": formatting.format_value,
    **{f"{noun.replace(' ', '_')}s": partial(plural, noun=noun) for noun in COUNTED},
}


def render_comparison(runs: Sequence[RunView], metric: Metric, findings: Findings) -> str:
    """The page that compares the runs, in the order given, which is that of `metric`."""
    points = min(MAX_TOTAL_POINTS, MAX_PAGE_POINTS // max(1, len(runs)))
    panels = [RunPanel(run, f"run-{number}", points) for number, run in enumerate(runs, start=1)]
    errors, axis = _error_intervals(runs), _score_axis(runs)
    error_axis = common_axis(errors) if errors else None
    return render_template(
        TEMPLATES / "page.html",
        title=runs[0].name if len(runs) == 1 else f"{plural(len(runs), 'run')} compared",
        script=Markup("\n").join(map(_read, SCRIPTS)),
        runs=panels,
        anchors={panel.view.name: panel.anchor for panel in panels},
        findings=findings,
        pareto=pareto_chart(runs, metric, findings) if len(runs) > 1 and findings.costs else None,
        data=page_data(panels),
        metric=metric,
        axis=axis,
        error_axis=error_axis,
        metric_axis=_metric_axis(runs, metric, axis, error_axis),
        levels=max((len(run.scored.level_accuracy) for run in runs), default=0),
        dashes=DASHES,
        ranked_on=" or ".join(sorted({run.ranked_on for run in runs})),
        any_test=any(run.test for run in runs),
        same_documents=_have_same_documents([run for run in runs if run.test] or runs),
        unscored=sum(run.test is None for run in runs),
        any_multilabel=any(run.is_multilabel for run in runs),
        shared_store=runs[0].store if len({run.store for run in runs}) == 1 else "",
    )


def _have_same_documents(runs: Sequence[RunView]) -> bool:
    return all(np.array_equal(run.true_labels, runs[0].true_labels) for run in runs)


def _score_axis(runs: Sequence[RunView]) -> Axis:
    cards = [card for run in runs for card in (run.out_of_fold, run.scored)]
    scores = [
        (card.macro_f1, card.micro_f1, card.accuracy, card.quadratic_kappa, card.hf1, *card.level_accuracy)
        for card in cards
    ]
    return common_axis([score for row in scores for score in row if score])


def _metric_axis(runs: Sequence[RunView], metric: Metric, axis: Axis, error_axis: Axis | None) -> Axis:
    """The axis of the metric that ranks runs: one of its own for a distance between nodes, as for other errors."""
    if metric.sign > 0:
        return axis
    if metric.attribute == ABSOLUTE_ERROR.attribute and error_axis is not None:
        return error_axis
    return common_axis([metric.value(run.out_of_fold) for run in runs])


def _error_intervals(runs: Sequence[RunView]) -> list[ConfidenceInterval]:
    errors = [error for run in runs for error in (run.out_of_fold.absolute_error, run.scored.absolute_error)]
    return [error for error in errors if error]


def render_template(
    path: Path,
    *,
    title: str = "",
    styles: Sequence[Path] = (),
    script: str = "",
    filters: dict[str, Callable[..., str]] | None = None,
    **values: object,
) -> str:
    """Fill in a template, which may extend or include those of this folder. Everything is escaped.

    Args:
        path: the template.
        title: title and heading of a page.
        styles: stylesheets besides the common one.
        script: the script of a page; "" for none.
        filters: filters besides FILTERS.
        values: variables of the template.

    Returns:
        The text, which can be encoded as UTF-8 and loads nothing.
    """
    environment = _environment(path.parent)
    environment.filters.update(filters or {})
    style = Markup("").join([_read("style.css"), *(Markup(file.read_text(encoding="utf-8")) for file in styles)])
    template = environment.get_template(path.name)
    return formatting.replace_unprintable(template.render(title=title, style=style, script=script, **values))


@cache
def _environment(folder: Path) -> Environment:
    """What fills in the templates of a folder; cached, because compiling takes longer than filling in."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS, hash=_content_hash)
    return environment


def _read(name: str) -> Markup:
    """A file of this folder, unescaped: it contains no user input."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _content_hash(source: str) -> str:
    """The name of an inline style or script in the content security policy."""
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"
