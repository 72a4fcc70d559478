"""What int8 costs in quality: the linear head on Reuters-52, features of int8 beside those of float32.

    python -m benchmarks.encode_int8 --stores stores --runs runs/benchmarks

Encodes what the stores lack, fits what the run folder lacks; each run scores the test split once.
"""

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring import Topic, at_least, at_most, show
from commandline.output import say
from data.table import Columns
from featurestore import FeatureStore
from stages.embed.encoder.options import Options
from stages.embed.pipeline.embed_source import embed_source
from stages.fitting.fit_head import fit_head
from stages.fitting.head_options import parse_heads
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run

CORPUS = "reuters52"


def fitted(options: Options, stores_folder: Path, runs: Path) -> tuple[FeatureStore, Run]:
    """The store of these options and the linear head on it."""
    store, report = embed_source(
        CORPUS, Columns(), options, stores=stores_folder, notify=lambda _: None, progress=lambda _: None
    )
    for sentence in report.sentences():
        say(sentence)
    (head,) = parse_heads("linear")
    return store, fit_head(store, store.corpus(CORPUS), FitPlan(head=head), runs / CORPUS)[0]


def distance_of(store: FeatureStore) -> dict[str, Any]:
    """How far int8 was from float32 when the store was made: its first record that says so."""
    for path in sorted((store.folder / "records").glob("*.json")):
        found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")).get("float32_similarity")
        if found:
            return found
    raise LookupError(f"{store.folder} has no record of a distance")


def macro_f1(run: Run) -> tuple[float, float]:
    """Out of fold, and on the test split."""
    return tuple(run.scorecards[split].macro_f1.value for split in ("out_of_fold", "test"))  # type: ignore[return-value]


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"))
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/benchmarks"))
@click.option("--json", "as_json", is_flag=True)
def main(stores_folder: Path, runs: Path, as_json: bool) -> None:
    """Print the table, or with --json an object a claim on a line."""
    kinds = {"float32": Options(precision="float32"), "int8": Options(precision="int8", backend="onnx")}
    made = {kind: fitted(options, stores_folder, runs) for kind, options in kinds.items()}
    scores = {kind: macro_f1(run) for kind, (_, run) in made.items()}
    moved = distance_of(made["int8"][0])
    rows = [["linear", "macro-F1 out of fold", "macro-F1"]]
    rows += [[kind, *(f"{value:.4f}" for value in each)] for kind, each in scores.items()]
    apart = np.abs(np.subtract(scores["int8"], scores["float32"]))
    found = [
        at_least("int8: mean cosine with float32", moved["mean"], 0.97),
        at_most("int8: macro-F1 out of fold, away from float32", float(apart[0]), 0.01),
        at_most("int8: macro-F1 on the test split, away from float32", float(apart[1]), 0.01),
    ]
    topic = Topic(f"int8 on {CORPUS} ({date.today()}, {platform.machine()}, {os.cpu_count()} cores)", rows, found)
    show(topic, as_json=as_json)


if __name__ == "__main__":
    main()
