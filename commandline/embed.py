"""`embedonce embed`: encode documents into a store."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from commandline.options import (
    STORE,
    describe_origin,
    is_given,
    json_option,
    on_option,
    receives,
    seed_option,
    stores_option,
    trust_option,
)
from commandline.output import note, note_waiting_for_stdin, progress, reading_progress, say, show_json, table
from commandline.source_options import SourceOptions, describe_source, source_options
from commandline.source_summary import show_summary
from data.text_format import format_bytes, format_duration, plural

if TYPE_CHECKING:
    from data.documents import Corpus
    from featurestore import Location
    from stages.embed.encoder.options import Options
    from stages.embed.pipeline.embed_request import EmbedRequest
    from stages.embed.pipeline.estimate import Estimate

EXAMPLE_CORPUS = "reuters52"
DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(SourceOptions):
    """The arguments and options of `embedonce embed`."""

    source: str
    model: str
    revision: str | None
    window: int | None
    stride: int
    long: str
    max_windows: int | None
    special_tokens: bool
    prefix: str | None
    keep: str
    layers: str
    dtype: str
    precision: str
    backend: str
    batch_tokens: int | None
    trust_remote_code: bool
    device: str
    store: "Location | None"
    stores_folder: "Location"
    part: str
    on: str | None
    dry_run: bool
    seed: int
    sample: int | None
    as_json: bool

    @property
    def encoding(self) -> "Options":
        """How documents are to be encoded."""
        from stages.embed.encoder.options import Options, parse_keep

        keep, segment = parse_keep(self.keep)
        return Options(
            model=self.model,
            revision=self.revision,
            window=self.window,
            stride=self.stride,
            max_windows=self.max_windows,
            long=self.long,
            special_tokens=self.special_tokens,
            prefix=self.prefix,
            keep=keep,
            segment=segment,
            layers=self.layers,
            dtype=self.dtype,
            precision=self.precision,
            backend=self.backend,
            device=self.device,
            batch_tokens=self.batch_tokens,
            trust_remote_code=self.trust_remote_code,
        )


@click.command(short_help="Encode documents once into a feature store.")
@click.argument("source", default=EXAMPLE_CORPUS)
@click.option(
    "--model", default=DEFAULT_MODEL, help="The encoder: a name on the hub, an installed encoder, or a folder."
)
@click.option("--revision", help="A branch, tag or commit of the model on the hub.")
@source_options
@click.option(
    "--window",
    type=click.IntRange(1),
    help="Tokens per window, without special tokens.  [254, or fewer if the encoder is shorter]",
)
@click.option("--stride", type=click.IntRange(0), default=0, help="Tokens that neighboring windows share.")
@click.option(
    "--long",
    default="windows",
    metavar="STRATEGY",
    help="What is read of a long document: windows (all of it), head, head-tail, middle, random:SEED, sentences (all "
    "of it, windows end at sentence ends), model (all of it, windows as long as the encoder allows).",
)
@click.option(
    "--max-windows",
    type=click.IntRange(1),
    help="Windows per document at most; the tokens that this drops are counted.",
)
@click.option(
    "--special-tokens/--no-special-tokens", default=True, help="Around each window, as the encoder was trained."
)
@click.option("--prefix", help="Text before each window, as in 'passage: '.  [the model's default prompt, if any]")
@click.option(
    "--keep", default="cls,mean,max,segments:32", help="Vectors to store: cls, mean, max, segments:N, tokens."
)
@click.option("--layers", default="last", help="last, all, or numbers such as -1,-4.")
@click.option(
    "--dtype",
    default="float16",
    type=click.Choice(["float16", "bfloat16", "float32"]),
    help="Number type of the stored vectors.",
)
@click.option(
    "--precision",
    default="auto",
    type=click.Choice(["auto", "float32", "bfloat16", "float16", "int8"]),
    help="Number type that the encoder computes in. auto: that of an existing store, else what suits the device; a "
    "CPU with AMX or AVX512-BF16 tries float32 and bfloat16. int8 needs the backend onnx or openvino. How far int8 and "
    "(on a CPU) bfloat16 move the vectors is measured and reported.",
)
@click.option(
    "--backend",
    default="auto",
    type=click.Choice(["auto", "torch", "onnx", "openvino"]),
    help="Library that runs the encoder. auto: that of an existing store, else the fastest installed that agrees with "
    "torch.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(1),
    help="Tokens per batch, padding included.  [the fastest in a short trial, remembered]",
)
@trust_option
@click.option(
    "--device",
    default="auto",
    help="auto, cpu, cuda or mps; all, or a list such as cuda:0,cuda:1, runs one process per device.",
)
@click.option("--store", type=STORE, help="The store.  [one in --stores, named for corpus, encoder and recipe]")
@stores_option
@click.option("--part", default="1/1", metavar="I/N", help="Encode only the I-th of N parts, into the same store.")
@on_option
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Encode only N documents, drawn by split and label with --seed: to compare heads before all are encoded.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what the source holds, and estimate time, disk and memory; write nothing."
)
@seed_option
@json_option
@receives(EmbedOptions)
def embed(options: EmbedOptions) -> None:
    """Encode the documents of SOURCE once into a feature store.

    SOURCE is a table (CSV, TSV, JSON Lines, JSON, Parquet, Arrow or Excel, perhaps compressed), a folder of tables
    named for splits (train, dev, test), a folder with one subfolder per class, a Hugging Face dataset on disk, or one
    of the benchmarks `reuters52` and `newsgroups`. Several tables, or a pattern, are one corpus, read in the order of
    their names. If the command is interrupted, the same command resumes the work.

    \b
    embedonce embed tickets.csv --text body --label queue
    embedonce embed train.csv --test-file test.csv --validation-file dev.csv
    embedonce embed 'data/*.parquet' --text body --label queue
    embedonce embed newsgroups --window 510 --stride 64
    embedonce embed letters/ --model xlm-roberta-base --keep cls,tokens
    embedonce embed letters/ --long head-tail --dry-run
    embedonce embed letters/ --sample 3000
    embedonce embed letters/ --part 3/8
    embedonce embed letters/ --on ray
    """
    named = describe_source(options.source, options.files)
    say(f"Embedding {named}{describe_origin('source', 'the example corpus')} with {_describe_model(options)}.")
    note_waiting_for_stdin(options.source)
    if options.dry_run:
        _estimate(options)
    else:
        _embed(options)


def _describe_model(options: EmbedOptions) -> str:
    from featurestore import is_store

    if options.store is not None and not is_given("model") and is_store(options.store):
        return f"the encoder of {options.store}"
    return f"{options.model}{describe_origin('model', 'the default model')}"


def _embed(options: EmbedOptions) -> None:
    from stages.embed.pipeline.embed_source import embed_source
    from stages.embed.pipeline.encode_corpus import EmbedProgress

    with progress("embedding") as bar:

        def show(now: EmbedProgress) -> None:
            if now.interrupted:
                say("Finishing this batch. Press Ctrl-C again to stop at once.")
                return
            left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
            speed = f"{now.tokens_per_second:,.0f} tokens/s"
            workers = f" on {plural(now.workers, 'worker')}" if options.on else ""
            bar(now.tokens, now.tokens_total, f"{speed}{workers}, {left} left, {plural(now.shards, 'shard')}")

        store, report = embed_source(
            _create_request(options), notify=note, progress=show, reading=reading_progress(bar)
        )
    if options.as_json:
        show_json({"store": str(store.location), **asdict(report)})
    else:
        for sentence in report.sentences():
            say(sentence)
    if report.failed:
        raise click.exceptions.Exit(1)


def _create_request(options: EmbedOptions) -> "EmbedRequest":
    from stages.embed.pipeline.embed_request import EmbedRequest
    from stages.embed.windows.corpus_part import CorpusPart

    return EmbedRequest(
        source=options.source,
        spec=options.spec,
        options=options.encoding,
        explicit=_explicit_fields(options),
        store=options.store,
        stores=options.stores_folder,
        seed=options.seed,
        part=CorpusPart.parse(options.part),
        on=options.on,
        sample=options.sample,
    )


def _estimate(options: EmbedOptions) -> None:
    from data.corpus_summary import CorpusSummary
    from stages.embed.pipeline.embed_source import estimate_source

    summaries: list[CorpusSummary] = []

    def inspect(corpus: "Corpus") -> None:
        bars.close()
        summaries.append(CorpusSummary.of(corpus))
        if not options.as_json:
            show_summary(summaries[0])

    with ExitStack() as bars:
        reading = reading_progress(bars.enter_context(progress("reading")))
        folder, estimate = estimate_source(_create_request(options), notify=note, inspect=inspect, reading=reading)
    if options.as_json:
        show_json({"source": summaries[0].to_json(), "store": str(folder), **estimate.to_json()})
    else:
        _show_estimate(folder, estimate)


def _show_estimate(folder: "Location", estimate: "Estimate") -> None:
    free = "unknown" if estimate.memory is None else format_bytes(estimate.memory)
    is_sample = estimate.tokenized < estimate.distinct
    fits = {True: "they fit", False: "they may not fit; networks then read them from disk", None: ""}[estimate.fits]
    rows = {
        "store": str(folder),
        "documents": f"{estimate.documents:,} ({estimate.distinct:,} distinct, {estimate.already_stored:,} stored)",
        "encoders": f"{estimate.encoders}, one store each; disk and time are of all" if estimate.encoders > 1 else "",
        "tokens": f"{estimate.tokens:,}"
        + (f", estimated from {estimate.tokenized:,} documents, as are windows and sizes" if is_sample else ""),
        "windows": f"{estimate.windows:,}",
        "dropped": f"{estimate.dropped_share:.1%} of the tokens ({estimate.dropped_tokens:,})",
        "unknown": f"{plural(estimate.mostly_unknown, 'text')} mostly of words that the encoder does not know"
        if estimate.mostly_unknown
        else "",
        "on disk": format_bytes(estimate.bytes),
        "in memory for a head": f"up to {format_bytes(estimate.head_bytes)}, {free} free: {fits}".rstrip(": "),
        "time": "nothing is left to encode"
        if estimate.seconds is None
        else f"{format_duration(estimate.seconds)} on {estimate.device} "
        f"({estimate.tokens_per_second:,.0f} tokens/s in a sample of {estimate.sample_windows:,} windows)",
    }
    rows = {name: value for name, value in rows.items() if value}
    table(["estimate", "nothing was written"], rows.items(), text_columns=2)


def _explicit_fields(options: EmbedOptions) -> frozenset[str]:
    """The fields of the encoding that the user set; the others follow an existing store."""
    given = {name for name in asdict(options.encoding) if is_given(name)}
    if "keep" in given and ":" in options.keep:  # only segments have a length, as in segments:32
        given.add("segment")
    return frozenset(given)
