"""`embedonce embed`: stage one."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from commandline.options import (
    column_options,
    columns_from_options,
    json_option,
    origin,
    seed_option,
    stores_option,
    trust_option,
)
from commandline.output import note, progress, say, show_json, table
from data.text_format import format_bytes, format_duration

EXAMPLE_CORPUS = "reuters52"
DEFAULT_MODEL = "all-MiniLM-L6-v2"
# the options that stage one itself takes; the others say what to read and where to keep it
OPTIONS: tuple[str, ...] = ("model", "revision", "window", "stride", "max_windows", "long", "special_tokens", "prefix")
OPTIONS += ("keep", "segment", "layers", "dtype", "precision", "backend", "device", "batch_tokens", "trust_remote_code")


@click.command()
@click.argument("source", default=EXAMPLE_CORPUS)
@click.option("--model", default=DEFAULT_MODEL, help="A name on the hub, an installed encoder, a folder.")
@click.option("--revision", help="A branch, tag or commit of the model on the hub.")
@column_options
@click.option("--window", type=int, help="Tokens a chunk, without special tokens.  [254, or what the encoder allows]")
@click.option("--stride", type=int, default=0, help="Tokens that neighbouring chunks share.")
@click.option(
    "--long",
    default="windows",
    metavar="STRATEGY",
    help="What is read of a long document: windows (all of it), head, head-tail, middle, random:SEED, sentences (all "
    "of it, windows end at sentence ends), model (all of it, windows as long as the encoder allows).",
)
@click.option("--max-windows", type=int, help="At most so many chunks a document; what that drops is counted.")
@click.option(
    "--special-tokens/--no-special-tokens", default=True, help="Around each chunk, as the encoder was trained."
)
@click.option("--prefix", help="Text before each chunk, as in 'passage: '.  [the model's own default prompt, if any]")
@click.option("--keep", default="cls,mean,max,segments:32", help="cls, mean, max, segments:N, tokens.")
@click.option("--layers", default="last", help="last, all, or numbers such as -1,-4.")
@click.option(
    "--dtype", default="float16", type=click.Choice(["float16", "bfloat16", "float32"]), help="Of what is kept."
)
@click.option(
    "--precision",
    default="auto",
    type=click.Choice(["auto", "float32", "bfloat16", "float16", "int8"]),
    help="Of the encoder. auto: what the device does well, or what the store there has. int8 (of onnx) is faster; how "
    "far it moves the vectors is measured and said.",
)
@click.option(
    "--backend",
    default="auto",
    type=click.Choice(["auto", "torch", "onnx", "openvino"]),
    help="What runs the encoder. auto: the fastest installed that agrees with torch, or what the store there has.",
)
@click.option(
    "--batch-tokens", type=int, help="Tokens per batch, padding included.  [found by a short trial, remembered]"
)
@trust_option
@click.option(
    "--device", default="auto", help="auto, cpu, cuda, mps; several with a process each, as in cuda:0,cuda:1; or all."
)
@click.option("--store", type=click.Path(path_type=Path), help="The store.  [one in --stores, named for what is in it]")
@stores_option
@click.option("--part", default="1/1", metavar="I/N", help="Only the I-th of N parts, into the same store.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, in time, on disk and in memory; write nothing.")
@seed_option
@json_option
def embed(**asked: Any) -> None:
    """Encode SOURCE once into a feature store.

    SOURCE is a CSV, TSV, JSONL or Parquet file, a folder with a folder a class, or one of the benchmarks
    `reuters52` and `newsgroups`. Run again, it goes on where it stopped.

    \b
    embedonce embed tickets.csv --text body --label queue
    embedonce embed newsgroups --window 510 --stride 64
    embedonce embed letters/ --model xlm-roberta-base --keep cls,tokens
    embedonce embed letters/ --long head-tail --dry-run
    embedonce embed letters/ --part 3/8
    """
    from stages.embed.encoder.options import parse_keep

    say(
        f"Embedding {asked['source']} ({origin('source', 'the example corpus')}) "
        f"with {asked['model']} ({origin('model', 'the default model')})."
    )
    asked["keep"], asked["segment"] = parse_keep(asked["keep"])
    if asked["dry_run"]:
        _estimate(asked)
    else:
        _embed(asked)


def _embed(asked: dict[str, Any]) -> None:
    from stages.embed.pipeline.embed_source import embed_source
    from stages.embed.pipeline.encode_corpus import EmbedProgress

    with progress("encoding") as bar:

        def show(now: EmbedProgress) -> None:
            if now.interrupted:
                say("Finishing this batch. Ctrl-C again leaves at once.")
                return
            left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
            bar(
                now.tokens, now.tokens_total, f"{now.tokens_per_second:,.0f} tokens/s, {left} left, {now.shards} shards"
            )

        store, report = embed_source(**_shared(asked), progress=show)
    if asked["as_json"]:
        show_json({"store": str(store.folder), **asdict(report)})
    else:
        for sentence in report.sentences():
            say(sentence)
    if report.failed:
        raise click.exceptions.Exit(1)


def _estimate(asked: dict[str, Any]) -> None:
    from stages.embed.pipeline.embed_source import estimate_source

    folder, found = estimate_source(**_shared(asked))
    if asked["as_json"]:
        show_json({"store": str(folder), **found.to_json()})
        return
    free = "unknown" if found.memory is None else format_bytes(found.memory)
    room = {True: "they fit", False: "they may not fit; networks then read them from disk", None: ""}[found.fits]
    rows = {
        "store": str(folder),
        "documents": f"{found.documents:,} ({found.distinct:,} distinct, {found.already_stored:,} there already)",
        "tokens": f"{found.tokens:,}",
        "windows": f"{found.windows:,}",
        "dropped": f"{found.dropped_share:.1%} of the tokens ({found.dropped_tokens:,})",
        "on disk": format_bytes(found.bytes),
        "in memory for a head": f"up to {format_bytes(found.head_bytes)}, {free} free: {room}".rstrip(": "),
        "time": "nothing is left to encode"
        if found.seconds is None
        else f"{format_duration(found.seconds)} on {found.device} "
        f"({found.tokens_per_second:,.0f} tokens/s in a sample of {found.sample_windows:,} windows)",
    }
    table(["", "nothing was written"], rows.items(), text_columns=2)


def _shared(asked: dict[str, Any]) -> dict[str, Any]:
    """What encoding and its estimate both take."""
    from stages.embed.encoder.options import Options
    from stages.embed.windows.corpus_part import CorpusPart

    return {
        "source": asked["source"],
        "columns": columns_from_options(asked),
        "options": Options(**{name: asked[name] for name in OPTIONS}),
        "explicit": {name for name in OPTIONS if origin("keep" if name == "segment" else name, "") != ""},
        "store": asked["store"],
        "stores": asked["stores_folder"],
        "seed": asked["seed"],
        "part": CorpusPart.parse(asked["part"]),
        "notify": note,
    }
