"""`embedonce perplexity`: how well an encoder predicts the tokens of a corpus."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.embed import EXAMPLE_CORPUS
from commandline.options import (
    NewFile,
    describe_origin,
    device_option,
    json_option,
    receives,
    seed_option,
    trust_option,
)
from commandline.output import note, note_waiting_for_stdin, open_output, progress, say, show_json, table
from commandline.source_options import SourceOptions, describe_source, source_options
from data.text_format import format_duration, plural

if TYPE_CHECKING:
    from data.documents import Document
    from stages.adapt.perplexity import PerplexityPlan, PseudoPerplexity


class CountOrAll(click.ParamType):  # type: ignore[type-arg]
    """A whole number of at least 1, or `all`, which is None."""

    name = "number or all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number. Fails as click's own types do."""
        return None if value == "all" else click.IntRange(1).convert(value, param, ctx)


@dataclass(frozen=True, kw_only=True)
class PerplexityOptions(SourceOptions):
    """The arguments and options of `embedonce perplexity`."""

    model: str
    source: str
    revision: str | None
    of: str
    documents: int | None
    masked_tokens: int | None
    window: int | None
    per_document: Path | None
    precision: str
    batch_tokens: int | None
    trust_remote_code: bool
    device: str
    seed: int
    as_json: bool

    @property
    def plan(self) -> "PerplexityPlan":
        """What is measured, and where."""
        from stages.adapt.perplexity import PerplexityPlan

        return PerplexityPlan(
            documents=self.documents,
            masked_tokens=self.masked_tokens,
            window=self.window,
            seed=self.seed,
            device=self.device,
            precision=self.precision,
            batch_tokens=self.batch_tokens,
        )


@click.command(short_help="Measure how well an encoder predicts the tokens of a corpus.")
@click.argument("model")
@click.argument("source", default=EXAMPLE_CORPUS, metavar="[CORPUS]")
@click.option("--revision", help="A branch, tag or commit of the model on the hub.")
@click.option(
    "--of",
    type=click.Choice(["train", "test", "all"]),
    default="train",
    help="Split that is read; train includes the validation split.",
)
@click.option("--documents", type=CountOrAll(), default=200, help="Documents, drawn at random; or all.")
@click.option(
    "--masked-tokens",
    type=CountOrAll(),
    default=32,
    help="Tokens of each document that are masked, drawn at random; or all, which takes longer by as much.",
)
@click.option(
    "--window",
    type=click.IntRange(1),
    help="Tokens per window, without special tokens.  [510, or fewer if the encoder is shorter]",
)
@click.option(
    "--per-document", type=NewFile(replaces=False), metavar="FILE", help="Also write the value of each document as CSV."
)
@source_options
@click.option(
    "--precision",
    default="auto",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Number type that the encoder computes in. auto: what suits the device.",
)
@click.option("--batch-tokens", type=click.IntRange(1), help="Tokens per batch.  [4,096; 65,536 on a GPU]")
@trust_option
@device_option
@seed_option
@json_option
@receives(PerplexityOptions)
def perplexity(options: PerplexityOptions) -> None:
    """Measure the pseudo-perplexity of MODEL on CORPUS: how well it predicts each token from all others.

    MODEL is an encoder as `embed --model` takes it, and CORPUS what `embed` takes. Tokens are masked one at a time; the
    value is exp of minus their mean log-probability, with a 95 % confidence interval. 1 is best. Only encoders with the
    same tokenizer can be compared. An encoder without a head for masked tokens predicts with its input embeddings,
    which it was not trained for: its value is high until `adapt --method mlm` has trained it.

    \b
    embedonce perplexity bert-base-uncased reuters52
    embedonce perplexity encoders/adapted tickets.csv --text body --of test
    embedonce perplexity roberta-base letters/ --documents all --masked-tokens all --per-document letters.csv
    """
    from stages.adapt.masked_language_model import check_masked_encoder
    from stages.adapt.perplexity import read_documents

    origin = describe_origin("source", "the example corpus")
    say(f"Pseudo-perplexity of {options.model} on {describe_source(options.source, options.files)}{origin}.")
    check_masked_encoder(options.model, options.revision, trust=options.trust_remote_code)
    note_waiting_for_stdin(options.source)
    documents, notes = read_documents(options.source, options.spec, options.of, options.seed)
    for sentence in notes:
        note(sentence)
    result = _measure(options, documents)
    for sentence in result.notes:
        note(sentence)
    _show(options, result)
    if options.per_document is not None:
        _write_per_document(result, options.per_document)


def _measure(options: PerplexityOptions, documents: "list[Document]") -> "PseudoPerplexity":
    from stages.adapt.masked_copies import PredictionProgress
    from stages.adapt.perplexity import pseudo_perplexity
    from stages.embed.model_files.model_lookup import find_model

    folder = find_model(options.model, options.revision)
    with progress("predicting") as bar:

        def show(now: PredictionProgress) -> None:
            left = format_duration(now.seconds_left)
            bar(now.done, now.total, f"{now.done:,} of {now.total:,} masked tokens, {left} left")

        return pseudo_perplexity(
            folder,
            documents,
            options.plan,
            name=options.model,
            trust=options.trust_remote_code,
            on_progress=show,
        )


def _show(options: PerplexityOptions, result: "PseudoPerplexity") -> None:
    if options.as_json:
        asked = {"model": options.model, "corpus": options.source, "of": options.of, "seed": options.seed}
        show_json({**asked, **result.to_json()})
        return
    interval, masked, tokens = result.interval, int(result.masked.sum()), int(result.tokens.sum())
    empty = f", {plural(result.empty, 'further one')} without tokens" if result.empty else ""
    share = (
        "all of them" if masked == tokens else f"{masked:,} of them, at random, up to {options.masked_tokens:,} each"
    )
    rows = {
        "value": f"{_format(interval.value)} [{_format(interval.low)}, {_format(interval.high)}]",
        "documents": f"{len(result.ids):,} of {options.of}{empty}",
        "tokens": f"{tokens:,}",
        "masked": share,
        "window": plural(result.window, "token"),
        "head": "the encoder's own" if result.has_own_head else "tied to the input embeddings",
        "time": f"{format_duration(result.seconds)} in {result.precision}",
    }
    table(["pseudo-perplexity", "95 % confidence interval in brackets"], rows.items(), text_columns=2)


def _format(value: float) -> str:
    return f"{value:,.2f}" if value < 1e6 else f"{value:.2e}"


def _write_per_document(result: "PseudoPerplexity", path: Path) -> None:
    from stages.adapt.perplexity import write_per_document

    with open_output(path) as out:
        write_per_document(result, out)
    say(f"The value of each document is in {path}.")
