"""Commands that look: `encoders`, `heads`; and `init`, which writes settings."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from commandline import config_file as settings
from commandline.options import column_options, columns_from_options, json_option
from commandline.output import note, say, show_json, table
from data.errors import CallError
from data.text_format import format_bytes

if TYPE_CHECKING:
    from heads.registry import Description


@click.command()
@json_option
def encoders(as_json: bool) -> None:
    """Encoders with their size, window and cost; `embed --model` also takes any other name on the hub, and folders."""
    from stages.embed.encoder.model_catalog import MODEL_CATALOG

    if as_json:
        show_json([shape.to_json() for shape in MODEL_CATALOG])
        return
    table(
        ["model", "where", "parameters", "dimensions", "window", "MFLOP a token", "float32"],
        [
            (
                shape.name,
                "installed" if shape.installed else "hub",
                f"{shape.parameters:,}",
                str(shape.hidden),
                str(shape.window),
                f"{shape.megaflop_per_token:,.1f}",
                format_bytes(shape.bytes),
            )
            for shape in MODEL_CATALOG
        ],
        text_columns=2,
    )


@click.command()
@click.argument("head", required=False)
@json_option
def heads(head: str | None, as_json: bool) -> None:
    """The heads that `fit-head` takes, or the parameters of one."""
    from commandline.heads_page import descriptions
    from heads.registry import HEADS, STACKING_HEADS, describe

    described = [describe(name) for name in ([head] if head else [*HEADS, *STACKING_HEADS])]
    if as_json:
        show_json([_plain(each) for each in described])
    elif head:
        (one,) = described
        click.echo(f"{one.name}: {one.summary} It reads {', '.join(one.reads)}.")
        words = descriptions(one.name)
        short = [each.name.rpartition("__")[2] for each in one.parameters]
        rows = [
            (name, str(each.default), each.allowed, words.get(name, ""))
            for name, each in zip(short, one.parameters, strict=True)
        ]
        table(["parameter", "default", "value", ""], rows, text_columns=4)
    else:
        table(
            ["head", "reads", ""], [(one.name, ", ".join(one.reads), one.summary) for one in described], text_columns=3
        )


def _plain(described: "Description") -> dict[str, Any]:
    parameters = [{"name": each.name, "default": each.default, "value": each.allowed} for each in described.parameters]
    return {**asdict(described), "parameters": parameters}


@click.command()
@click.argument("source")
@column_options
def init(source: str, **asked: Any) -> None:
    """Write embedonce.toml for SOURCE, so that the other commands need no options."""
    from data.readers import read_corpus

    corpus = read_corpus(source, columns_from_options(asked))
    for sentence in corpus.notes:
        note(sentence)
    if not any(document.labels for document in corpus.documents):
        raise CallError(f"{source}: no label was found, which heads learn from. Name its column with --label.")
    settings.write(source, {name: value for name, value in asked.items() if value is not None})
    say(f"Wrote {settings.FILE}. Next: `embedonce embed`, `embedonce fit-head linear`, `embedonce compare`.")
