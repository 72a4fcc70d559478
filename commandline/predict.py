"""`embedonce predict`: labels for new documents."""

from dataclasses import dataclass, replace
from pathlib import Path

import click

from commandline.options import NewFile, device_option, receives, runs_option, trust_option
from commandline.output import note, note_waiting_for_stdin, open_output, progress, say
from commandline.source_options import TextOptions, files_argument, id_option, text_options
from data.errors import CallError
from data.text_format import is_blank, join_names, plural


@dataclass(frozen=True, kw_only=True)
class PredictOptions(TextOptions):
    """The arguments and options of `embedonce predict`."""

    run: str
    file: str
    files: tuple[str, ...]
    id_: str | None
    encoder: tuple[str, ...]
    output: Path | None
    as_json: bool
    top: int | None
    every: bool
    trust_remote_code: bool
    device: str
    runs: Path


@click.command(short_help="Label new documents with a run.")
@click.argument("run")
@click.argument("file")
@files_argument
@text_options
@id_option
@click.option(
    "--encoder", multiple=True, help="Where the run's encoder is now, if it has moved; repeat it, once per store."
)
@click.option("--output", type=NewFile(replaces=False), help="File to write.  [standard output]")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line instead of CSV.")
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help="Write the N most probable labels of each document.  [all labels; 5 if there are more than 20]",
)
@click.option("--all", "every", is_flag=True, help="Write the probability of every label, however many there are.")
@trust_option
@device_option
@runs_option
@receives(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Label the documents of FILE, or of standard input if it is -, with RUN: id, prediction, probabilities of labels.

    FILE may be a pattern, or be followed by more files. It is read by the columns and the notation of the corpus that
    RUN was fitted on, unless options say otherwise. A document whose vectors are not finite gets an empty row, and the
    exit code is then 1. One without text gets the label of an empty text, and is named.

    If the labels have a taxonomy, the prediction may be an inner node, and its path is written too, with a column for
    the node of each level and one for its probability.

    \b
    embedonce predict lstm-7c2e41b0 new.csv > labeled.csv
    embedonce predict lstm-7c2e41b0 other.csv --text message --delimiter ";" > labeled.csv
    gunzip --stdout new.csv.gz | embedonce predict lstm-7c2e41b0 - > labeled.csv
    """
    from stages.comparing.selection import find_run
    from stages.fitting.predictions import ProbabilityColumns
    from stages.predict import open_encoders, path_columns, read_new_text, write_predictions
    from stages.predict import predict as predict_documents

    if options.every and options.top is not None:
        raise CallError("--top and --all exclude each other. Give one of them.")
    run = find_run(options.run, options.runs)
    run.check("head/", "decision", "training_distance")  # before documents are read
    labels = run.record.labels
    columns = (
        ProbabilityColumns(labels, options.top) if options.top or options.every else ProbabilityColumns.choose(labels)
    )
    note_waiting_for_stdin(options.file)
    corpus = read_new_text(run, options.file, replace(options.text_spec, id=options.id_, files=options.files or None))
    for sentence in corpus.notes:
        note(sentence)
    encoders = open_encoders(
        run, models=options.encoder, device=options.device, trust_remote_code=options.trust_remote_code
    )
    with progress("labeling", with_results=options.output is None) as bar, open_output(options.output) as out:
        total = len(corpus.documents)
        predictions = predict_documents(
            run,
            corpus.documents,
            encoders,
            lambda done: bar(done, total, f"{done:,} of {total:,} documents"),
            corpus.tabular,
        )
        failed = write_predictions(
            predictions, columns, out, as_json=options.as_json, paths=path_columns(run), decision=run.decision
        )
    if options.output is not None:
        say(f"The predictions of {plural(total - len(failed), 'document')} are in {options.output}.")
    blank = [document.id for document in corpus.documents if is_blank(document.text)]
    if blank:
        verb = "has" if len(blank) == 1 else "have"
        say(f"{plural(len(blank), 'document')} without text {verb} the label of an empty text: {join_names(blank)}.")
    if failed:
        say(
            f"{plural(len(failed), 'document')} without a prediction, because their vectors are not finite: "
            f"{join_names(failed)}."
        )
        raise click.exceptions.Exit(1)
