"""`embedonce lengthen`: an encoder that reads longer inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from commandline.options import json_option, receives
from commandline.output import note, say, show_json
from data.text_format import format_bytes, format_duration

if TYPE_CHECKING:
    from stages.lengthen.lengthen import LengthenedEncoder


@dataclass(frozen=True, kw_only=True)
class LengthenOptions:
    """The arguments and options of `embedonce lengthen`."""

    model: str
    positions: int
    attention_window: int
    name: str | None
    revision: str | None
    as_json: bool


@click.command(short_help="Let an encoder read longer inputs.")
@click.argument("model")
@click.option("--positions", type=click.IntRange(1, 2**20), default=4096, help="Longest input, in tokens.")
@click.option(
    "--attention-window",
    type=click.IntRange(1),
    default=512,
    help="Tokens that a token attends to, half of them on either side; the first token attends to all.",
)
@click.option("--name", help="Name of the new encoder.  [that of MODEL, with the number of positions]")
@click.option("--revision", help="Branch, tag or commit of MODEL on the hub.")
@json_option
@receives(LengthenOptions)
def lengthen(options: LengthenOptions) -> None:
    """Write MODEL, an encoder of the BERT or RoBERTa family, as a Longformer that reads longer inputs.

    The positions are repeated, and each token attends to its neighbors and to the first token. Inputs of up to half the
    attention window keep their vectors. Longer ones need training on long documents, which is the next step.

    \b
    embedonce lengthen all-MiniLM-L6-v2 --positions 4096
    embedonce adapt reports.csv --model all-MiniLM-L6-v2-4096 --method mlm --long model --name reports-long
    embedonce embed reports.csv --model reports-long --long model
    """
    from stages.lengthen.lengthen import LengthenRequest, lengthen

    request = LengthenRequest(
        model=options.model,
        revision=options.revision,
        name=options.name,
        positions=options.positions,
        attention_window=options.attention_window,
    )
    say(f"Lengthening {request.model} to {request.positions:,} positions, as {request.new_name}.")
    result = lengthen(request)
    if options.as_json:
        show_json(result.to_json())
    else:
        _show(result)


def _show(result: "LengthenedEncoder") -> None:
    say(
        f"Wrote {result.folder}: {result.positions:,} positions instead of {result.original_positions:,}, "
        f"{format_bytes(result.bytes)}, in {format_duration(result.seconds)}."
    )
    note(
        f"inputs of up to {result.equal_positions} tokens have the vectors of {result.model} (largest difference "
        f"{result.largest_difference:.0e})"
    )
    note(
        "no training has seen longer inputs: adapt the encoder on long documents, with "
        f"`embedonce adapt CORPUS --model {result.name} --method mlm --long model --name NAME`"
    )
    for sentence in result.notes:
        note(sentence)
