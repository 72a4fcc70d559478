"""`embedonce heads`: the heads that can be fitted, and the hyperparameters of one."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from commandline.options import json_option, receives
from commandline.output import show, show_json, table

if TYPE_CHECKING:
    from heads.registry import Description


@dataclass(frozen=True, kw_only=True)
class HeadsOptions:
    """The arguments and options of `embedonce heads`."""

    head: str | None
    as_json: bool


@click.command(short_help="List the heads, or the hyperparameters of one.")
@click.argument("head", required=False)
@json_option
@receives(HeadsOptions)
def heads(options: HeadsOptions) -> None:
    """List the heads that `fit-head` can fit, or the hyperparameters of HEAD."""
    from heads.registry import HEADS, STACKING_HEADS, describe

    names = [options.head] if options.head else [*HEADS, *STACKING_HEADS]
    descriptions = [describe(name) for name in names]
    if options.as_json:
        show_json([_to_json(description) for description in descriptions])
    elif options.head:
        _show_head(*descriptions)
    else:
        rows = [(head.name, ", ".join(head.reads), head.summary) for head in descriptions]
        table(["head", "reads", "description"], rows, text_columns=3)


def _show_head(head: "Description") -> None:
    show(f"{head.name}: {head.summary} It reads {', '.join(head.reads)}.")
    rows = [(item.short_name, item.shown_default, item.allowed, item.help) for item in head.hyperparameters]
    table(["hyperparameter", "default", "values", "description"], rows, text_columns=4)


def _to_json(head: "Description") -> dict[str, Any]:
    hyperparameters = [
        {"name": item.name, "default": item.default, "values": item.allowed, "description": item.help}
        for item in head.hyperparameters
    ]
    return {**asdict(head), "hyperparameters": hyperparameters}
