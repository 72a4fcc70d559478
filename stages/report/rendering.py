"""The templates, filled in."""

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.report import curves, wording
from stages.report.panel import Panel
from stages.report.scale import Scale, common_scale
from stages.report.view import RunView

__all__ = ["environment", "own", "rendered"]

SHOWN = (
    "breakable",
    "brief",
    "count",
    "figure",
    "isolated",
    "milliseconds",
    "seconds",
    "setting",
    "share",
    "shortened",
)
HERE = Path(__file__).parent


def rendered(runs: Sequence[RunView]) -> str:
    """The page of the runs, in the order given."""
    panels = [Panel(run, f"run-{place}") for place, run in enumerate(runs, start=1)]
    return wording.printable(
        environment()
        .get_template("page.html")
        .render(
            runs=panels,
            scale=_scale(runs),
            same_documents=all(np.array_equal(run.truth, runs[0].truth) for run in runs),
            any_several=any(run.several for run in runs),
            shared_store=runs[0].store if len({run.store for run in runs}) == 1 else "",
            style=own("style.css"),
            script=own("script.js"),
        )
    )


def _scale(runs: Sequence[RunView]) -> Scale:
    cards = [card for run in runs for card in (run.out_of_fold, run.test)]
    return common_scale([one for card in cards for one in (card.macro_f1, card.micro_f1, card.accuracy)])


def environment() -> Environment:
    """The templates beside this file, and how they write numbers and labels; what they are given is escaped."""
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
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
