"""`embedonce encoders`: encoders that are known to work well, and those that were made here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from commandline.options import json_option, receives
from commandline.output import say, show_json, table
from data.text_format import format_bytes, plural

if TYPE_CHECKING:
    from stages.embed.model_files.saved_encoders import SavedEncoder


@dataclass(frozen=True, kw_only=True)
class EncodersOptions:
    """The arguments and options of `embedonce encoders`."""

    remove: tuple[str, ...]
    as_json: bool


@click.command(short_help="List encoders with their size, window and cost.")
@click.option("--remove", metavar="NAME", multiple=True, help="Remove an encoder that was made here. Repeat for more.")
@json_option
@receives(EncodersOptions)
def encoders(options: EncodersOptions) -> None:
    """List encoders with their size, window and cost.

    First those that were made here by adapting, fine-tuning or lengthening another one; they are in the folder
    encoders, or in the folder that $EMBEDONCE_ENCODERS names. Then widely used ones. `embed --model` also accepts any
    other text encoder on the hub, and a folder with one.
    """
    from stages.embed.model_files.saved_encoders import list_encoders, remove_encoder

    if options.remove:
        for removed in [remove_encoder(name) for name in options.remove]:
            say(f"Removed {removed.folder}, {format_bytes(removed.bytes)}.")
        return
    _show(list_encoders(), as_json=options.as_json)


def _show(saved: "Sequence[SavedEncoder]", *, as_json: bool) -> None:
    from stages.embed.encoder.model_catalog import MODEL_CATALOG

    if as_json:
        show_json(
            {"made_here": [_to_json(encoder) for encoder in saved], "catalog": [m.to_json() for m in MODEL_CATALOG]}
        )
        return
    if saved:
        table(["made here", "from", "learned from", "size"], map(_row, saved), text_columns=3)
    table(
        ["model", "source", "parameters", "dimensions", "window", "MFLOP\nper token", "float32"],
        [
            (
                model.name,
                "installed" if model.installed else "hub",
                f"{model.parameters:,}",
                str(model.hidden),
                str(model.window),
                f"{model.megaflop_per_token:,.1f}",
                format_bytes(model.bytes),
            )
            for model in MODEL_CATALOG
        ],
        text_columns=2,
        optional=["source", "dimensions", "float32"],
    )


def _row(encoder: "SavedEncoder") -> tuple[str, str, str, str]:
    training = encoder.training
    if training is None:
        return encoder.name, "", "no record", format_bytes(encoder.bytes)
    steps = [
        f"{step.method} on {plural(len(step.keys), 'text')}{' and labels' if step.uses_labels else ''} of {step.corpus}"
        for step in training.steps
    ]
    return encoder.name, training.base, ", then ".join(steps) or "nothing", format_bytes(encoder.bytes)


def _to_json(encoder: "SavedEncoder") -> dict[str, Any]:
    training = None if encoder.training is None else encoder.training.summary()
    values = {"name": encoder.name, "folder": str(encoder.folder), "bytes": encoder.bytes, "training": training}
    return values | {"verdict": encoder.verdict}
