"""`embedonce finetune`: train an encoder and a classification layer end to end."""

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from commandline.comparison_tables import show_comparison
from commandline.embed import DEFAULT_MODEL, EXAMPLE_CORPUS
from commandline.objective_options import ObjectiveOptions, objective_options
from commandline.options import (
    describe_origin,
    device_option,
    json_option,
    receives,
    runs_option,
    seed_option,
    split_names,
    stores_option,
    trust_option,
)
from commandline.output import note, note_waiting_for_stdin, progress, say, show_json, table
from commandline.source_options import SourceOptions, describe_source, source_options
from data.errors import CallError
from data.text_format import format_bytes, format_duration

if TYPE_CHECKING:
    from featurestore import Location
    from stages.embed.pipeline.encode_corpus import EmbedProgress
    from stages.finetune.finetune import FinetuneProgress
    from stages.finetune.preparation import FinetuneRequest


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(SourceOptions, ObjectiveOptions):
    """The arguments and options of `embedonce finetune`."""

    source: str
    model: str
    revision: str | None
    name: str | None
    epochs: int
    batch_size: int
    lr: float | None
    layer_lr: float
    train: str
    vector: Literal["cls", "mean"]
    pooling: Literal["mean", "max"]
    loss: str
    class_weight: str
    sampler: str
    validate_on: Literal["share", "split"]
    validation: float
    folds: int | None
    patience: int
    precision: str
    window: int | None
    long: str
    max_windows: int | None
    prefix: str | None
    keep: str
    dtype: str
    order: str | None
    skip_unlabeled: bool
    test: bool
    tune: bool
    device: str
    trust_remote_code: bool
    stores_folder: "Location"
    runs: Path
    dry_run: bool
    seed: int
    as_json: bool

    @property
    def request(self) -> "FinetuneRequest":
        """What to do."""
        from stages.embed.encoder.options import Options, parse_keep
        from stages.finetune.preparation import FinetuneRequest
        from stages.finetune.settings import FinetuneSettings
        from stages.fitting.head_options import parse_class_weight

        keep, segment = parse_keep(self.keep)
        return FinetuneRequest(
            source=self.source,
            spec=self.spec,
            options=Options(
                model=self.model,
                revision=self.revision,
                window=self.window,
                long=self.long,
                max_windows=self.max_windows,
                prefix=self.prefix,
                keep=keep,
                segment=segment,
                dtype=self.dtype,
                device=self.device,
                trust_remote_code=self.trust_remote_code,
            ),
            settings=FinetuneSettings(
                epochs=self.epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                layer_lr=self.layer_lr,
                train=self.train,
                vector=self.vector,
                pooling=self.pooling,
                loss=self.loss,
                class_weight=parse_class_weight(self.class_weight),
                sampler=self.sampler,
                validate_on="folds" if self.folds else self.validate_on,
                validation=self.validation,
                folds=self.folds or 5,
                patience=self.patience,
                seed=self.seed,
            ),
            name=self.name,
            precision=self.precision,
            stores=self.stores_folder,
            runs=self.runs,
            skip_unlabeled=self.skip_unlabeled,
            order=() if self.order is None else split_names(self.order) or ("",),
            test=self.test,
            tune=self.tune,
            decision=self.decision,
            command=shlex.join(sys.argv),
        )


@click.command(short_help="Train an encoder and a classification layer end to end.")
@click.argument("source", default=EXAMPLE_CORPUS)
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    help="The encoder to start from: a name on the hub, an installed encoder, one made here, or a folder.",
)
@click.option("--revision", help="A branch, tag or commit of the model on the hub.")
@click.option("--name", help="Name of the fine-tuned encoder.  [made of corpus, encoder and a hash]")
@source_options
@click.option("--epochs", type=click.IntRange(1), default=3, help="Epochs at most.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=32,
    help="Documents per step, of all processes together; a step is divided if memory needs that.",
)
@click.option(
    "--lr",
    type=float,
    help="Peak learning rate of the encoder.  [1.2e-4 for 384 dimensions, 3e-5 for 768; ten times that for lora]",
)
@click.option("--layer-lr", type=float, default=2e-3, help="Peak learning rate of the classification layer.")
@click.option(
    "--train",
    default="all",
    metavar="PART",
    help="What is trained of the encoder: all, lora (few parameters, merged at the end), or last:N, its last N layers.",
)
@click.option("--vector", type=click.Choice(["mean", "cls"]), default="mean", help="The vector of a window.")
@click.option(
    "--pooling",
    type=click.Choice(["mean", "max"]),
    default="mean",
    help="Pooling of the logits of a document's windows.",
)
@click.option("--loss", default="cross_entropy", help="As for `fit-head`, without soft_f1 and sigmoid_f1.")
@click.option("--class-weight", default="none", help="balanced, none, effective, sqrt, or a JSON file {label: weight}.")
@click.option("--sampler", default="instance", help="instance, square_root, balanced, progressive or weighted.")
@click.option(
    "--validate-on",
    type=click.Choice(["share", "split"]),
    default="share",
    help="What chooses the epoch and the decision rule: a share of the training documents, or the validation split.",
)
@click.option("--validation", type=float, default=0.15, help="That share.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Train once without each of N folds and once on all: exact out-of-fold metrics at N + 1 times the cost.",
)
@click.option("--patience", type=click.IntRange(1), default=2, help="Epochs without a better macro-F1 before it stops.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    help="Of matrix products in training. auto: bfloat16 if the device has instructions for it.",
)
@click.option("--window", type=click.IntRange(1), help="Tokens per window, as for `embed`.")
@click.option("--long", default="windows", metavar="STRATEGY", help="What is read of a long document, as for `embed`.")
@click.option("--max-windows", type=click.IntRange(1), help="Windows per document at most.")
@click.option("--prefix", help="Text before each window.  [the model's default prompt, if any]")
@click.option("--keep", default="cls,mean,max,segments:32", help="Vectors to store, as for `embed`.")
@click.option(
    "--dtype",
    default="float16",
    type=click.Choice(["float16", "bfloat16", "float32"]),
    help="Number type of the stored vectors.",
)
@click.option("--order", metavar="LABELS", help="Order of ordinal labels, lowest first, or `numbers`.")
@click.option("--skip-unlabeled", is_flag=True, help="Leave documents without a label out.")
@click.option("--test/--no-test", default=True, help="Score the test split once.")
@click.option("--tune/--no-tune", default=True, help="Choose a decision rule on documents that were not learned from.")
@objective_options
@device_option
@trust_option
@stores_option
@runs_option
@click.option("--dry-run", is_flag=True, help="Time a few steps, and estimate time, memory and disk; write nothing.")
@seed_option
@json_option
@receives(FinetuneOptions)
def finetune(options: FinetuneOptions) -> None:
    """Fine-tune an encoder and a classification layer on the training documents of SOURCE, which is read as by `embed`.

    The encoder is kept under its name for `embed --model`, its vectors of all documents in a store, and the layer as a
    run, which `compare`, `predict` and `explain` take like any other. If the command is interrupted, the same command
    resumes it. Several GPUs: torchrun --nproc-per-node 4 --no-python embedonce finetune ...

    \b
    embedonce finetune tickets.csv --text body --label queue
    embedonce finetune tickets.csv --dry-run
    embedonce finetune reuters52 --train lora --lr 5e-4
    embedonce finetune letters/ --max-windows 8 --train last:2
    embedonce finetune reviews.csv --order poor,fair,good --loss emd
    embedonce finetune tickets.csv --folds 5
    """
    origin = describe_origin("source", "the example corpus")
    named = f"{describe_source(options.source, options.files)}{origin}"
    say(f"Fine-tuning {options.model}{describe_origin('model', 'the default model')} on {named}.")
    if options.folds and options.validate_on == "split":
        raise CallError("--folds and --validate-on split exclude each other: folds validate instead. Leave one out.")
    note_waiting_for_stdin(options.source)
    if options.dry_run:
        _estimate(options)
    else:
        _finetune(options)


def _finetune(options: FinetuneOptions) -> None:
    from stages.comparing.table import compare
    from stages.finetune.finetune import finetune as finetune_encoder

    with progress("fine-tuning") as bar:

        def show_training(now: "FinetuneProgress") -> None:
            if now.interrupted:
                say("Finishing this step and saving a checkpoint. Press Ctrl-C again to stop at once.")
                return
            bar(now.step, now.steps, f"{now.activity}, {_left(now.seconds_left)}")

        def show_encoding(now: "EmbedProgress") -> None:
            if now.interrupted:
                say("Finishing this batch. Press Ctrl-C again to stop at once.")
                return
            bar(now.tokens, now.tokens_total, f"encoding the corpus, {_left(now.seconds_left)}")

        result = finetune_encoder(options.request, notify=note, on_training=show_training, on_encoding=show_encoding)
    if result is None:  # a process of data-parallel training that is not the first
        return
    for sentence in result.run.record.notes:
        note(sentence)
    seconds = format_duration(sum(result.run.record.seconds.values()))
    say(f"{result.run.folder}: {'fine-tuned in ' + seconds if result.is_new else 'was fine-tuned before'}.")
    say(f"The encoder is {result.encoder} (`embedonce embed --model {result.encoder}`), its store {result.store}.")
    comparison = compare([result.run])
    if options.as_json:
        show_json({"encoder": result.encoder, "store": result.store, **comparison.to_json()})
    else:
        show_comparison(comparison, as_json=False)


def _left(seconds: float | None) -> str:
    return "? left" if seconds is None else f"{format_duration(seconds)} left"


def _estimate(options: FinetuneOptions) -> None:
    from stages.finetune.estimate import estimate

    result = estimate(options.request, notify=note)
    if options.as_json:
        show_json(asdict(result))
        return
    free = "unknown" if result.free_memory is None else format_bytes(result.free_memory)
    rows = {
        "encoder": result.encoder,
        "documents": f"{result.learned:,} to learn from, {result.scored:,} to validate",
        "parameters": f"{result.parameters:,}, of which {result.trained_parameters:,} are trained",
        "steps": f"{result.steps:,}" + (f" in {result.trainings} trainings" if result.trainings > 1 else ""),
        "time": f"{format_duration(result.seconds)} in {result.precision} on {result.device}, encoding included",
        "memory": f"about {format_bytes(result.memory)}, {free} free",
        "disk": f"{format_bytes(result.kept_bytes)} for the encoder and the store; checkpoints take "
        f"{format_bytes(result.checkpoint_bytes)} while it trains",
    }
    table(["estimate", "nothing was written"], rows.items(), text_columns=2)
