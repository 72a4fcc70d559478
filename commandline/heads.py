"""`embedonce heads`: the heads that can be fitted, and the hyperparameters of one."""

import inspect
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from commandline.options import json_option, receives
from commandline.output import show_json, table

if TYPE_CHECKING:
    from heads.registry import Description


@dataclass(frozen=True, kw_only=True)
class HeadsOptions:
    """What `embedonce heads` was asked for."""

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
    click.echo(f"{head.name}: {head.summary} It reads {', '.join(head.reads)}.")
    texts = hyperparameter_texts(head.name)
    names = [parameter.name.rpartition("__")[2] for parameter in head.parameters]
    rows = [
        (name, str(parameter.default), parameter.allowed, texts.get(name, ""))
        for name, parameter in zip(names, head.parameters, strict=True)
    ]
    table(["hyperparameter", "default", "values", "description"], rows, text_columns=4)


def hyperparameter_texts(name: str) -> dict[str, str]:
    """The description of each hyperparameter of a head, from its docstring and those of its bases and nested groups."""
    from heads.core.hyperparameters import hyperparameters_of
    from heads.registry import head_class

    cls = head_class(name)
    nested = [parameter.nested for parameter in hyperparameters_of(cls, deep=False) if parameter.nested is not None]
    texts: dict[str, str] = {}
    for documented in [*nested, *reversed(cls.__mro__)]:
        sections = re.split(r"Parameters\n-+\n", inspect.cleandoc(documented.__doc__ or ""))
        for names, text in re.findall(r"^([\w, ]+) : (.+(?:\n    .+)*)", sections[-1], flags=re.MULTILINE):
            texts |= dict.fromkeys(names.split(", "), re.sub(r"\s+", " ", text))
    return texts


def _to_json(head: "Description") -> dict[str, Any]:
    parameters = [
        {"name": parameter.name, "default": parameter.default, "value": parameter.allowed}
        for parameter in head.parameters
    ]
    return {**asdict(head), "parameters": parameters}
