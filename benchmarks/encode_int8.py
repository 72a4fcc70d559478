"""The cost of int8 in quality: the linear head on Reuters-52, with int8 and with float32 vectors.

    python -m benchmarks.encode_int8 --stores stores --runs runs/benchmarks

Encodes what the stores lack and fits what the run folder lacks; each run scores the test split once.
"""

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring import Topic, at_least, at_most, print_topic
from commandline.output import say
from featurestore import FeatureStore
from stages.embed.encoder.options import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.fitting.fit_head import fit_head
from stages.fitting.head_options import parse_heads
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run

CORPUS = "reuters52"


def embed_and_fit(options: Options, stores_folder: Path, runs: Path) -> tuple[FeatureStore, Run]:
    """A store with these options, and the linear head fitted on it."""
    request = EmbedRequest(source=CORPUS, options=options, stores=stores_folder)
    store, report = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    for sentence in report.sentences():
        say(sentence)
    (head,) = parse_heads(["linear"])
    return store, fit_head(store, store.corpus(CORPUS), FitPlan(head=head), runs / CORPUS)[0]


def read_similarity(store: FeatureStore) -> dict[str, Any]:
    """The cosine similarity of int8 with float32 vectors, from the first record of the store that has it."""
    for path in sorted((store.folder / "records").glob("*.json")):
        similarity: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")).get("float32_similarity")
        if similarity:
            return similarity
    raise LookupError(f"{store.folder} has no record of a similarity with float32")


def macro_f1(run: Run) -> tuple[float, float]:
    """The out-of-fold macro-F1, and that on the test split."""
    return tuple(run.scorecards[split].macro_f1.value for split in ("out_of_fold", "test"))  # type: ignore[return-value]


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"))
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/benchmarks"))
@click.option("--json", "as_json", is_flag=True)
def main(stores_folder: Path, runs: Path, as_json: bool) -> None:
    """Print the table, or with --json one object per claim and line."""
    kinds = {"float32": Options(precision="float32"), "int8": Options(precision="int8", backend="onnx")}
    results = {kind: embed_and_fit(options, stores_folder, runs) for kind, options in kinds.items()}
    scores = {kind: macro_f1(run) for kind, (_, run) in results.items()}
    similarity = read_similarity(results["int8"][0])
    rows = [["linear", "out-of-fold macro-F1", "macro-F1"]]
    rows += [[kind, *(f"{value:.4f}" for value in pair)] for kind, pair in scores.items()]
    differences = np.abs(np.subtract(scores["int8"], scores["float32"]))
    claims = [
        at_least("int8: mean cosine with float32", similarity["mean"], 0.97),
        at_most("int8: difference to float32 in out-of-fold macro-F1", float(differences[0]), 0.01),
        at_most("int8: difference to float32 in macro-F1 on the test split", float(differences[1]), 0.01),
    ]
    topic = Topic(f"int8 on {CORPUS} ({date.today()}, {platform.machine()}, {os.cpu_count()} cores)", rows, claims)
    print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    main()
