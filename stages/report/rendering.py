"""The templates, filled in."""

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from heads.evaluation.metrics import ConfidenceInterval, Metric
from stages.report import curves
from stages.report import formatting as wording
from stages.report.axis import Scale, common_scale
from stages.report.run_panel import Panel
from stages.report.run_view import RunView

__all__ = ["environment", "own", "rendered"]

SHOWN = (
    "breakable",
    "brief",
    "count",
    "metric",
    "isolated",
    "milliseconds",
    "seconds",
    "setting",
    "share",
    "shortened",
)
HERE = Path(__file__).parent


def rendered(runs: Sequence[RunView], metric: Metric) -> str:
    """The page of the runs, in the order given, which is that of `metric`."""
    panels = [Panel(run, f"run-{place}") for place, run in enumerate(runs, start=1)]
    return wording.printable(
        environment()
        .get_template("page.html")
        .render(
            runs=panels,
            metric=metric,
            scale=_scale(runs),
            error_scale=common_scale(_errors(runs)) if _errors(runs) else None,
            same_documents=all(np.array_equal(run.named_truth, runs[0].named_truth) for run in runs),
            any_multilabel=any(run.multilabel for run in runs),
            shared_store=runs[0].store if len({run.store for run in runs}) == 1 else "",
            style=own("style.css"),
            script=own("script.js"),
        )
    )


def _scale(runs: Sequence[RunView]) -> Scale:
    cards = [card for run in runs for card in (run.out_of_fold, run.test)]
    shown = [(card.macro_f1, card.micro_f1, card.accuracy, card.quadratic_kappa) for card in cards]
    return common_scale([one for each in shown for one in each if one])


def _errors(runs: Sequence[RunView]) -> list[ConfidenceInterval]:
    return [one for run in runs for one in (run.out_of_fold.absolute_error, run.test.absolute_error) if one]


def environment(folder: Path = HERE) -> Environment:
    """The templates in `folder` and next to this file, with the filters that format numbers and labels; all escaped."""
    templates = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update({name: getattr(wording, name) for name in SHOWN})
    things = {"runs": "run", "documents": "document", "other_labels": "other label", "trials": "trial"}
    templates.filters.update({name: partial(wording.counted, thing=thing) for name, thing in things.items()})
    templates.filters.update(path=curves.path, hash=_hash)
    return templates


def own(name: str) -> Markup:
    """A file beside this one, as it is: no user wrote any of it."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    """How the page's policy names the one style and the one script that it allows."""
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"
