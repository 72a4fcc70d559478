"""`embedonce decide`: another decision on the scores of a run."""

import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commandline.decision_tables import show_decision
from commandline.fit_options import CALIBRATIONS
from commandline.objective_options import ObjectiveOptions, objective_options
from commandline.options import (
    STORE,
    NewFile,
    device_option,
    json_option,
    receives,
    refuse_unused,
    runs_option,
    stores_option,
    trust_option,
)
from commandline.output import download, note, open_output, progress, say, show_json
from commandline.undecided_options import UndecidedOptions, undecided_options
from data.errors import CallError
from data.source_spec import SourceSpec
from data.text_format import plural

if TYPE_CHECKING:
    from featurestore import Location
    from heads.evaluation.calibration import CalibrationMethod
    from stages.deciding.decide import Decided, DecisionValues
    from stages.deciding.features import RunFeatures
    from stages.deciding.plan import DecisionPlan
    from stages.fitting.runs import Run


@dataclass(frozen=True, kw_only=True)
class DecideOptions(ObjectiveOptions, UndecidedOptions):
    """The arguments and options of `embedonce decide`."""

    run: str
    tune: bool
    calibration: "CalibrationMethod | None"
    unlabelled: str | None
    encoder: tuple[str, ...]
    trust_remote_code: bool
    device: str
    final: bool
    store: "Location | None"
    stores_folder: "Location"
    runs: Path
    output: Path | None
    as_json: bool

    @property
    def plan(self) -> "DecisionPlan":
        """What is decided and how."""
        from stages.deciding.plan import DecisionPlan

        return DecisionPlan(
            rule=self.decision,
            tune=self.tune,
            calibration=self.calibration,
            abstention=self.abstention,
            label_sets=self.sets,
        )

    def plan_for(self, run: "Run") -> "DecisionPlan":
        """The plan with the new documents, scored by the head of a run."""
        from stages.deciding.decide import check_request
        from stages.predict import open_encoders, read_new_text, score_new_documents

        plan = self.plan
        if self.unlabelled is None:
            refuse_unused(("encoder", "trust_remote_code", "device"), "for --unlabelled")
            return plan
        check_request(run, plan, final=self.final, has_shift=True)
        corpus = read_new_text(run, self.unlabelled, SourceSpec())
        for sentence in corpus.notes:
            note(sentence)
        encoders = open_encoders(run, models=self.encoder, device=self.device, trust_remote_code=self.trust_remote_code)
        with progress("scoring new documents") as bar:
            total = len(corpus.documents)
            documents = score_new_documents(
                run,
                self.unlabelled,
                corpus,
                encoders,
                lambda done: bar(done, total, f"{done:,} of {total:,} documents"),
            )
        return replace(plan, unlabelled=documents)

    def open_features(self, run: "Run") -> "RunFeatures":
        """The features of a run, in the store that it recorded or the one that was named."""
        from stages.deciding.features import RunFeatures
        from stages.stores import open_corpus, open_store

        store = open_store(self.store or Path(run.record.store), self.stores_folder)
        download([store])
        return RunFeatures.of(run, store, open_corpus(store, run.record.corpus))


@click.command("decide", short_help="Decide again on the scores of a run.")
@click.argument("run", metavar="RUN|SCORES.csv")
@objective_options
@undecided_options
@click.option("--tune/--no-tune", default=True, help="Choose a decision rule on out-of-fold scores.")
@click.option(
    "--calibration",
    type=click.Choice(CALIBRATIONS),
    help="How scores become probabilities, as in fit-head.  [as RUN]",
)
@click.option(
    "--unlabelled",
    "--unlabeled",
    "unlabelled",
    metavar="FILE",
    help="New documents, read as by predict: how often labels occur in them is estimated, and the rule is shifted to "
    "these frequencies if that helps.",
)
@click.option("--encoder", multiple=True, help="For --unlabelled: where the run's encoder is now, as in predict.")
@trust_option
@device_option
@click.option("--final", is_flag=True, help="Also score the decision on the test split, once.")
@click.option("--store", type=STORE, help="For --other: the run's feature store.  [the run's own, in --stores]")
@stores_option
@runs_option
@click.option("--output", type=NewFile(replaces=False), help="For SCORES.csv: write the predictions as CSV.")
@json_option
@receives(DecideOptions)
def decide(options: DecideOptions) -> None:
    """Choose another decision on the scores of RUN, and keep it as a run that refers to RUN for weights and scores.

    It is chosen and cross-fitted on out-of-fold scores, so it can be repeated with other options at no cost. Its test
    metrics are computed by --final alone: choose by the out-of-fold values, and score the decision that you take. RUN
    may be a decision itself; other options then decide on the scores of its parent, and --final alone scores it.

    SCORES.csv is a table of another system's probabilities, with a column per label and one for the true label. The
    decision is chosen on the documents that have one, printed, and applied to all with --output.

    \b
    embedonce decide lstm-7c2e41b0 --objective macro-f1
    embedonce decide lstm-7c2e41b0 --coverage 0.9 --label-sets 0.97
    embedonce decide lstm-7c2e41b0 --unlabelled new.csv
    embedonce decide lstm-7c2e41b0-1a2b3c4d --final
    embedonce decide scores.csv --objective accuracy --output decided.csv
    """
    if _is_table(options):
        _decide_table(options)
        return
    if options.output is not None:
        raise CallError("--output is for SCORES.csv. `embedonce predict` writes the predictions of a run.")
    from stages.comparing.selection import find_run
    from stages.deciding.decide import DecisionValues
    from stages.deciding.decide import decide as decide_run

    chosen = find_run(options.run, options.runs)
    abstention = chosen.decision.abstention
    if not options.other and (abstention is None or abstention.other is None):
        refuse_unused(("store", "stores_folder"), "for --other, which reads features")
    plan = options.plan_for(chosen)
    with progress("deciding") as bar:
        bar(0, 1, f"choosing the decision on the scores of {chosen.record.parent or chosen.name}")
        decided = decide_run(
            chosen,
            plan,
            final=options.final,
            command=shlex.join(sys.argv),
            open_features=options.open_features,
        )
    values = DecisionValues.of(decided.run)
    if options.as_json:
        show_json(_to_json(decided, values))
        return
    say(f"{decided.run.folder}: {_describe(decided)}.")
    _show_run(decided.run, values)


def _is_table(options: DecideOptions) -> bool:
    """Whether the argument is a file, or the name of one that does not exist."""
    path = Path(options.run)
    return not (options.runs / path).is_dir() and not path.is_dir() and (path.is_file() or bool(path.suffix))


def _decide_table(options: DecideOptions) -> None:
    """Decide on the probabilities of a table."""
    from stages.fitting.predictions import ProbabilityColumns
    from stages.predict import write_predictions
    from stages.score_table import ScoreTable, decide_table

    of_runs = ("unlabelled", "encoder", "trust_remote_code", "device", "store", "stores_folder")
    refuse_unused(of_runs, "for a run, which has a head and features, and not for a table")
    scores = ScoreTable.read(options.run)
    with progress("deciding") as bar:
        bar(0, 1, f"choosing the decision on {options.run}")
        decided = decide_table(scores, options.plan, final=options.final)
    if options.output is not None:
        with open_output(options.output) as out:
            columns = ProbabilityColumns.choose(scores.labels)
            write_predictions(decided.predictions, columns, out, as_json=False, decision=decided.decision)
    notes = [*scores.notes]
    if options.final:
        notes.append(
            f"No record is kept of the decisions on {options.run} that were scored on its test split: of several, the "
            "best of their test metrics is too high."
        )
    if options.output is not None and (left_out := len(scores.ids) - len(decided.predictions)):
        verb = "is" if left_out == 1 else "are"
        notes.append(
            f"{plural(left_out, 'document')} of the test split {verb} left out of {options.output}: --final adds them."
        )
    if options.as_json:
        show_json(
            {
                "source": scores.source,
                **asdict(decided.values),
                "scorecards": {split: card.to_json() for split, card in decided.scorecards.items()},
                "decision": decided.decision.to_json(),
                "notes": notes,
            }
        )
        return
    show_decision(decided.decision, decided.values, decided.scorecards, scores.labels)
    for sentence in notes:
        note(sentence)
    if options.output is not None:
        say(f"The predictions of {plural(len(decided.predictions), 'document')} are in {options.output}.")


def _describe(decided: "Decided") -> str:
    """What was done for a decided run."""
    if decided.is_new:
        return f"decided on the scores of {decided.run.record.parent}"
    if decided.is_scored_now:
        return "was decided before, and is scored on the test split now"
    return f"was decided{' and scored on the test split' if decided.run.record.final else ''} before"


def _to_json(decided: "Decided", values: "DecisionValues") -> dict[str, object]:
    run, record = decided.run, decided.run.record
    return {
        "run": run.name,
        "parent": record.parent,
        "is_new": decided.is_new,
        "final": record.final,
        "decisions_scored_before": record.decisions_scored_before,
        **asdict(values),
        "scorecards": {split: card.to_json() for split, card in run.scorecards.items()},
        "decision": run.decision.to_json(),
        "notes": list(record.notes),
    }


def _show_run(run: "Run", values: "DecisionValues") -> None:
    """Print the values of a decided run, why it was chosen, and what to do next."""
    show_decision(run.decision, values, run.scorecards, run.record.labels)
    if not run.record.final and "test" in run.origin.scorecards:
        command = shlex.join(["embedonce", "decide", str(run.folder), "--final"])
        note(f"The test split was not scored. `{command}` scores it, once.")
    elif before := run.record.decisions_scored_before:
        note(
            f"{plural(before, 'other decision')} of {run.record.parent} had been scored on the test split before: the "
            "best of their test metrics is too high."
        )
