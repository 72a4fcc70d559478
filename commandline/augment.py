"""`embedonce augment`: make augmented copies of training documents."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.options import (
    STORE,
    NewFile,
    describe_store_origin,
    device_option,
    json_option,
    receives,
    seed_option,
    stores_option,
    trust_option,
)
from commandline.output import note, progress, say, show, show_json, table
from commandline.source_options import TextOptions, text_options
from data.text_format import format_duration, plural
from stages.augment.plan import DEFAULT_RATES, METHODS, AugmentPlan

if TYPE_CHECKING:
    from featurestore import CorpusTable, FeatureStore, Location
    from stages.augment.augment import AugmentProgress
    from stages.augment.copied_corpus import AugmentedCorpus
    from stages.embed.pipeline.encode_corpus import EmbedProgress

MOST_LABELS = 20  # in the table; --json has all
MOST_CHARACTERS = 300  # of an example


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(TextOptions):
    """The arguments and options of `embedonce augment`."""

    corpus: str | None
    method: str
    copies: int | None
    to: int | None
    rate: float | None
    model: str | None
    out: Path | None
    source: str | None
    store: "Location | None"
    stores_folder: "Location"
    embed: bool
    dry_run: bool
    device: str
    trust_remote_code: bool
    seed: int
    as_json: bool

    @property
    def plan(self) -> AugmentPlan:
        """How documents are copied."""
        return AugmentPlan(
            method=self.method,
            copies=self.copies,
            to=self.to,
            rate=self.rate,
            seed=self.seed,
            model=self.model,
            device=self.device,
        )


@click.command(short_help="Make augmented copies of training documents.")
@click.argument("corpus", required=False)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    required=True,
    help="deletion of random words; mlm: words replaced by those that a masked language model predicts; sentences in "
    "another order; keyword-exchange: a label's keywords (by tf-idf) exchanged between its documents; keyword-shuffle: "
    "shuffled within each document.",
)
@click.option("--copies", type=click.IntRange(1), help="Copies of each document.  [1; none with --to]")
@click.option("--to", type=click.IntRange(2), metavar="N", help="Fill up labels with fewer training documents to N.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the words or keywords that changes.  [deletion 0.1, mlm 0.15, keywords 1]",
)
@click.option("--model", help="Encoder of mlm, which needs a head for masked tokens.  [the encoder of the store]")
@click.option("--out", type=NewFile(), metavar="FILE", help="File of the copies.  [augmented/CORPUS-METHOD.jsonl]")
@click.option("--source", metavar="FILE", help="File that has the texts.  [the file that was embedded]")
@text_options
@click.option("--store", type=STORE, help="The feature store.  [the newest in --stores that has --corpus]")
@stores_option
@click.option("--embed/--no-embed", default=True, help="Encode the copies into the store.")
@click.option(
    "--dry-run", is_flag=True, help="Show examples and the number of copies per label; estimate time; write nothing."
)
@device_option
@trust_option
@seed_option
@json_option
@receives(AugmentOptions)
def augment(options: AugmentOptions) -> None:
    """Make augmented copies of the training documents of CORPUS, as a corpus of its own in the same store.

    Only labeled documents of the training split are copied, and none of the validation split. `fit-head --augmented`
    then fits on the copies too, each together with its origin: they are never validated or scored.

    \b
    embedonce augment tickets --method deletion --dry-run
    embedonce augment tickets --method keyword-exchange --to 50
    embedonce fit-head lstm --corpus tickets --augmented tickets-keyword-exchange
    """
    from stages.augment.augment import augment as make_copies
    from stages.stores import open_corpus, open_store

    store = open_store(options.store, options.stores_folder, options.corpus)
    corpus = open_corpus(store, options.corpus)
    origin = describe_store_origin(options.corpus)
    say(f"Copying training documents of {corpus.name} in {store.name}{origin} by {options.method}.")
    with progress("copying") as bar:
        copies = make_copies(
            store,
            corpus,
            options.plan,
            out=options.out,
            source=options.source,
            requested=options.text_spec,
            sample=options.dry_run,
            on_progress=_show_progress(bar),
        )
    missing = 0 if copies.is_sample else copies.planned - len(copies.made)
    if missing:
        note(f"{plural(missing, 'copy', 'copies')} could not be made: too little of their origins can be changed")
    result = _dry_run(store, copies, options) if options.dry_run else _write(store, corpus, copies, options)
    if options.as_json:
        show_json(_describe(store, corpus, copies, options) | result)
    else:
        _show_copies(copies)


def _show_progress(bar: Callable[[float, float, str], None]) -> "Callable[[AugmentProgress], None]":
    def update(now: "AugmentProgress") -> None:
        left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
        bar(now.done, now.total, f"{left} left")

    return update


def _dry_run(store: "FeatureStore", copies: "AugmentedCorpus", options: AugmentOptions) -> dict[str, Any]:
    """Estimate the time of all copies from those that were made."""
    from stages.augment.copied_corpus import estimate_encoding

    factor = copies.planned / len(copies.made) if copies.is_sample else 1.0
    making, encoding = factor * copies.seconds, None
    if options.embed:
        encoding = factor * (
            estimate_encoding(store, copies, options.device, trust=options.trust_remote_code).seconds or 0.0
        )
    to_encode = "" if encoding is None else f" and {format_duration(encoding)} to encode"
    say(
        f"Dry run, nothing is written: {plural(copies.planned, 'copy', 'copies')} would take "
        f"{format_duration(making)} to make{to_encode}."
    )
    return {"seconds": making, "encoding_seconds": encoding}


def _write(
    store: "FeatureStore", corpus: "CorpusTable", copies: "AugmentedCorpus", options: AugmentOptions
) -> dict[str, Any]:
    copies.write()
    say(f"{copies.file}: {plural(len(copies.made), 'copy', 'copies')}, made in {format_duration(copies.seconds)}.")
    home = ["--store", str(store.location)]
    again = shlex.join(["embedonce", "embed", str(copies.file), "--group", "copy_of", *home])
    names = ["--corpus", corpus.name, "--augmented", copies.corpus.name]
    unlabeled = ["--skip-unlabeled"] if any(labels is None for labels in corpus.labels) else []
    fit = shlex.join(["embedonce", "fit-head", "linear", *home, *names, *unlabeled])
    if options.embed:
        try:
            _encode(store, copies, options)
        except KeyboardInterrupt:
            say(f"Not all copies are encoded. To encode the rest: {again}")
            raise
    else:
        say(f"Encode them with: {again}")
    say(f"Fit on them with: {fit}")
    return {"seconds": copies.seconds, "encoded": options.embed}


def _encode(store: "FeatureStore", copies: "AugmentedCorpus", options: AugmentOptions) -> None:
    from stages.augment.copied_corpus import encode_copies

    with progress("encoding") as bar:

        def update(now: "EmbedProgress") -> None:
            if now.interrupted:
                say("Finishing this batch. Press Ctrl-C again to stop at once.")
                return
            left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
            bar(now.tokens, now.tokens_total, f"{now.tokens_per_second:,.0f} tokens/s, {left} left")

        report = encode_copies(store, copies, update, options.device, trust=options.trust_remote_code)
    for sentence in report.sentences():
        say(sentence)


def _describe(
    store: "FeatureStore", corpus: "CorpusTable", copies: "AugmentedCorpus", options: AugmentOptions
) -> dict[str, Any]:
    return {
        "store": str(store.location),
        "corpus": corpus.name,
        "plan": asdict(options.plan) | {"rate": options.rate or DEFAULT_RATES.get(options.method)},
        "file": str(copies.file),
        "name": copies.corpus.name,
        "planned": copies.planned,
        "made": len(copies.made),
        "labels": {
            label: {"documents": count, "copies": copies.copies[label]} for label, count in copies.documents.items()
        },
        "examples": [
            {"id": copy.document.id, "text": copy.document.text, "origin": copy.origin.text} for copy in copies.examples
        ],
    }


def _show_copies(copies: "AugmentedCorpus") -> None:
    """Print the documents of each label before and after, and examples."""
    labels = [label for label, _ in copies.documents.most_common()]
    skipped = max(len(labels) - MOST_LABELS, 0)
    shown = labels if not skipped else labels[: MOST_LABELS // 2] + labels[-(MOST_LABELS // 2) :]
    if not copies.is_sample:
        rows = [
            (label, *(f"{count:,}" for count in (copies.documents[label], copies.copies[label], total)))
            for label in shown
            for total in [copies.documents[label] + copies.copies[label]]
        ]
        if skipped:
            rows.insert(MOST_LABELS // 2, (f"({skipped:,} more)", "", "", ""))
        table(["label", "documents", "copies", "together"], rows)
    for copy in copies.examples:
        before, after = _excerpts(copy.origin.text, copy.document.text)
        show(f"{copy.origin.id}: {before}\n{copy.document.id}: {after}\n")


def _excerpts(origin: str, copy: str) -> tuple[str, str]:
    """Both texts on one line each, from shortly before their first difference."""
    origin, copy = " ".join(origin.split()), " ".join(copy.split())
    first = next((at for at, (one, other) in enumerate(zip(origin, copy, strict=False)) if one != other), 0)
    start = max(0, first - 60)
    return _cut(origin, start), _cut(copy, start)


def _cut(text: str, start: int) -> str:
    stop = start + MOST_CHARACTERS
    return f"{'…' if start else ''}{text[start:stop]}{'…' if stop < len(text) else ''}"
