"""`embedonce predict`: labels for new text."""

from pathlib import Path
from typing import Any

import click

from commandline.options import NewFile, device_option, id_option, runs_option, text_option, trust_option
from commandline.output import note, progress, whole_file
from data.errors import CallError
from data.table import Columns


@click.command()
@click.argument("run")
@click.argument("file")
@text_option
@id_option
@click.option("--encoder", multiple=True, help="Where the run's encoder is now, if it has moved; one for each store.")
@click.option("--output", type=NewFile(), help="Write here, not to stdout.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line instead of CSV.")
@trust_option
@device_option
@runs_option
def predict(run: str, file: str, output: Path | None, as_json: bool, **asked: Any) -> None:
    """Label the documents of FILE by RUN: id, prediction and the probability of each label.

    \b
    embedonce predict lstm-7c2e41b0 new.csv --text body > labelled.csv
    """
    from data.readers import read_corpus
    from stages.compare import find_run
    from stages.predict import open_encoders, write_predictions
    from stages.predict import predict as label

    found = find_run(run, asked["runs"])
    if output is not None and output.exists():
        raise CallError(f"{output} is there already. Name another --output, or remove it.")
    # new text has no label and no split to read, whatever its columns are called
    corpus = read_corpus(file, Columns(text=asked["text"], id=asked["id_"], label="", split=""))
    for sentence in corpus.notes:
        note(sentence)
    encoders = open_encoders(found, models=asked["encoder"], device=asked["device"], trust=asked["trust_remote_code"])
    with progress("labelling") as bar, whole_file(output) as out:
        total = len(corpus.documents)
        labelled = label(
            found, corpus.documents, encoders, lambda done: bar(done, total, f"{done:,} of {total:,} documents")
        )
        write_predictions(labelled, found.record.labels, out, as_json=as_json)
