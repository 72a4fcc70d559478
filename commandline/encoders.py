"""`embedonce encoders`: encoders that are known to work well."""

from dataclasses import dataclass

import click

from commandline.options import json_option, receives
from commandline.output import show_json, table
from data.text_format import format_bytes


@dataclass(frozen=True, kw_only=True)
class EncodersOptions:
    """The arguments and options of `embedonce encoders`."""

    as_json: bool


@click.command(short_help="List encoders with their size, window and cost.")
@json_option
@receives(EncodersOptions)
def encoders(options: EncodersOptions) -> None:
    """List encoders with their size, window and cost.

    `embed --model` also accepts any other text encoder on the hub, and a folder with one.
    """
    from stages.embed.encoder.model_catalog import MODEL_CATALOG

    if options.as_json:
        show_json([model.to_json() for model in MODEL_CATALOG])
        return
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
