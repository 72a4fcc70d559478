"""`embedonce adapt`: train an encoder further on the documents of a corpus."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from commandline.embed import DEFAULT_MODEL
from commandline.options import device_option, json_option, receives, seed_option, stores_option
from commandline.output import note, note_waiting_for_stdin, progress, say, show, show_json, table
from commandline.source_options import SourceOptions, describe_source, source_options
from data.text_format import format_duration

if TYPE_CHECKING:
    from featurestore import Location
    from stages.adapt.adapt import Adaptation, AdaptProgress, TrainedEncoder
    from stages.adapt.plan import AdaptRequest, Method, Train
    from stages.adapt.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class AdaptOptions(SourceOptions):
    """The arguments and options of `embedonce adapt`."""

    source: str
    method: "Method"
    model: str
    revision: str | None
    name: str
    train: "Train"
    epochs: float | None
    steps: int | None
    batch_size: int
    lr: float | None
    window: int | None
    long: str
    prefix: str | None
    hold_out: float | None
    cross_fit: int
    include_test_text: bool
    verdict: bool
    dry_run: bool
    stores_folder: "Location"
    device: str
    seed: int
    as_json: bool

    @property
    def request(self) -> "AdaptRequest":
        """What is to be done. Raises CallError for values out of range and options that exclude each other."""
        from stages.adapt.plan import AdaptPlan, AdaptRequest
        from stages.embed.encoder.options import Options

        plan = AdaptPlan(
            method=self.method,
            train=self.train,
            epochs=self.epochs,
            steps=self.steps,
            batch_size=self.batch_size,
            lr=self.lr,
            seed=self.seed,
            device=self.device,
            hold_out=self.hold_out,
            cross_fit=self.cross_fit,
            include_test=self.include_test_text,
        )
        encoding = Options(
            model=self.model,
            revision=self.revision,
            window=self.window,
            long=self.long,
            prefix=self.prefix,
            device=self.device,
        )
        return AdaptRequest(
            source=self.source,
            spec=self.spec,
            encoding=encoding,
            name=self.name,
            plan=plan,
            stores=self.stores_folder,
            verdict=self.verdict,
        )


@click.command(short_help="Train an encoder further on a corpus.")
@click.argument("source")
@click.option(
    "--method",
    type=click.Choice(["mlm", "tsdae", "simcse", "supervised"]),
    required=True,
    help="What is learned: masked words, deleted words, telling texts apart, or which documents share labels.",
)
@click.option("--name", required=True, help="Name of the new encoder, for `embed --model`.")
@click.option("--model", default=DEFAULT_MODEL, help="The encoder to start from.")
@click.option("--revision", help="A branch, tag or commit of the model on the hub.")
@source_options
@click.option(
    "--train",
    type=click.Choice(["all", "lora", "embeddings"]),
    default="all",
    help="Which parameters are trained: all, LoRA matrices that are merged at the end, or the input embeddings.",
)
@click.option("--epochs", type=float, help="Passes over the training texts.  [mlm, supervised: 3; tsdae, simcse: 1]")
@click.option("--steps", type=click.IntRange(1), help="Training steps, instead of --epochs.")
@click.option("--batch-size", type=click.IntRange(2), default=32, help="Windows per step.")
@click.option(
    "--lr",
    type=float,
    help="Highest learning rate.  [mlm, supervised: 5e-5, others: 3e-5, for 768 dimensions; more for fewer or lora]",
)
@click.option("--window", type=click.IntRange(1), help="Tokens per window, as in `embed`.")
@click.option("--long", default="windows", metavar="STRATEGY", help="What is read of a long document, as in `embed`.")
@click.option("--prefix", help="Text before each window, as in `embed`.  [the model's default prompt, if any]")
@click.option(
    "--hold-out",
    type=float,
    metavar="SHARE",
    help="Share of the training documents that is not learned from.  [supervised: 0.3; others: 0.05]",
)
@click.option(
    "--cross-fit",
    type=click.IntRange(0),
    default=0,
    metavar="K",
    help="Also make K encoders, each of which does not learn from one part of the documents, for honest out-of-fold "
    "scores on all of them.",
)
@click.option(
    "--include-test-text",
    is_flag=True,
    help="Also learn from the texts of the test split; this is recorded. Not for supervised.",
)
@click.option(
    "--verdict/--no-verdict",
    default=True,
    help="At the end, encode the corpus with both encoders, compare heads on them, and say which to use.",
)
@click.option("--dry-run", is_flag=True, help="Measure a few steps, and estimate time, memory and disk; write nothing.")
@stores_option
@device_option
@seed_option
@json_option
@receives(AdaptOptions)
def adapt(options: AdaptOptions) -> None:
    """Train an encoder further on the documents of SOURCE, before it is frozen.

    Writes an encoder that `embed --model NAME` takes. Test documents, their duplicates and their groups are never read.
    If the command is interrupted, the same command resumes the training.

    \b
    embedonce adapt tickets.csv --method mlm --name tickets-mlm
    embedonce adapt tickets.csv --method supervised --name tickets-sup --hold-out 0.3
    embedonce adapt tickets.csv --method supervised --name tickets-sup --cross-fit 3
    embedonce adapt letters/ --method tsdae --train lora --name letters-tsdae
    """
    from stages.adapt.adapt import Adaptation
    from stages.adapt.cost import count_cost

    request = options.request
    say(f"Adapting {options.model} to {describe_source(options.source, options.files)} with {options.method}.")
    note_waiting_for_stdin(options.source)
    adaptation = Adaptation(request)
    for sentence in adaptation.notes():
        note(sentence)
    if options.dry_run:
        _estimate(adaptation, as_json=options.as_json)
        return
    say(count_cost(adaptation).sentence())
    trained = _train(adaptation)
    verdict = _judge(adaptation, trained) if options.verdict else None
    if options.as_json:
        show_json({"encoders": [_to_json(each) for each in trained], "verdict": verdict and verdict.to_json()})
    elif verdict is not None:
        for sentence in verdict.sentences():
            show(sentence)


def _estimate(adaptation: "Adaptation", *, as_json: bool) -> None:
    from stages.adapt.cost import estimate_cost

    estimate = estimate_cost(adaptation)
    if as_json:
        show_json(estimate.to_json())
    else:
        table(["estimate", "nothing was written"], estimate.rows(), text_columns=2)


def _train(adaptation: "Adaptation") -> "list[TrainedEncoder]":
    from stages.adapt.adapt import train_encoders

    with progress("training") as bar:

        def report(now: "AdaptProgress") -> None:
            step = now.now
            if step.interrupted:
                say("Finishing this step and saving a checkpoint. Press Ctrl-C again to stop at once.")
                return
            of_all = f"{now.name} ({now.number} of {now.count}), " if now.count > 1 else ""
            left = format_duration(step.seconds_left)
            bar(
                step.step,
                step.steps,
                f"{of_all}step {step.step:,} of {step.steps:,}, loss {step.loss:.3f}, {left} left",
            )

        trained = train_encoders(adaptation, notify=note, progress=report)
    for encoder in trained:
        if encoder.report is not None:
            say(f"{encoder.folder}: {encoder.report.sentence()}")
    return trained


def _judge(adaptation: "Adaptation", trained: "list[TrainedEncoder]") -> "Verdict":
    from stages.adapt.judging import judge

    say("Comparing it with the original encoder.")
    with progress("verdict") as bar:
        return judge(adaptation, trained, notify=note, on_work=bar)


def _to_json(encoder: "TrainedEncoder") -> dict[str, Any]:
    report = None if encoder.report is None else asdict(encoder.report)
    return {"name": encoder.training.name, "folder": str(encoder.folder), "training": report}
