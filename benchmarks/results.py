"""The README's table: every head on both benchmark corpora, compared with scikit-learn's TF-IDF and linear SVM.

    python -m benchmarks.results --stores PATH --runs PATH [--corpus reuters52] [--json]

The command encodes what the stores lack, fits what the folder of runs lacks, and prints Markdown, or with --json one
object per claim and line. The heads' defaults were chosen on training documents, out of fold; each run scores the test
split once.
"""

import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from benchmarks.measuring import Claim, Topic, print_topic
from benchmarks.tfidf_baseline import TextSplits, make_baseline
from commandline.output import say
from data.documents import Corpus
from data.readers import read_corpus
from data.text_format import format_duration
from featurestore import FeatureStore
from heads.evaluation.metrics import Scorecard, scorecard
from stages.comparing.table import compare
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.fitting.fit_head import fit_head
from stages.fitting.head_options import ALL, parse_heads
from stages.fitting.plan import FitPlan

BARS = {
    ("reuters52", "linear"): {"macro_f1": 0.80, "accuracy": 0.935},
    ("newsgroups", "linear"): {"accuracy": 0.78},
}


@dataclass(frozen=True)
class Row:
    """One row of the table. fit_seconds: of the final fit. seconds: of everything, with folds, decision and scoring."""

    name: str
    out_of_fold: float | None
    test: Scorecard
    rule: str
    fit_seconds: float
    seconds: float


def embed_benchmark(corpus: str, stores_folder: Path) -> FeatureStore:
    """The store of a benchmark corpus with the default model; encodes what it lacks."""
    request = EmbedRequest(source=corpus, stores=stores_folder)
    store, report = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    for sentence in report.sentences():
        say(f"{corpus}: {sentence}")
    return store


def head_rows(corpus: str, store: FeatureStore, runs: Path) -> list[Row]:
    """Every head with its default hyperparameters, best out of fold first."""
    fitted = []
    for head in parse_heads([ALL]):
        run, _ = fit_head(store, store.corpus(corpus), FitPlan(head=head), runs / corpus)
        say(f"{corpus}: {run.name} took {format_duration(sum(run.record.seconds.values()))}")
        fitted.append(run)
    run_of = {run.name: run for run in fitted}
    return [
        Row(
            compared.head,
            compared.out_of_fold.value if compared.out_of_fold else None,
            run_of[compared.run].scorecards["test"],
            compared.rule,
            compared.fit_seconds,
            sum(run_of[compared.run].record.seconds.values()),
        )
        for compared in compare(fitted).rows
    ]


def svm_row(corpus: Corpus) -> Row:
    """scikit-learn's TF-IDF with a linear SVM, as in its own examples, on the raw text."""
    splits = TextSplits.of(corpus)
    start = time.perf_counter()
    model = make_baseline().fit(splits.train, splits.train_y)
    seconds = time.perf_counter() - start
    test = scorecard(splits.test_y, model.predict(splits.test), splits.labels)
    return Row("TF-IDF linear SVM (scikit-learn)", None, test, "argmax", seconds, seconds)


def format_row(row: Row) -> list[str]:
    """The cells of a row; test metrics have 95 % bootstrap confidence intervals."""
    macro, accuracy = (
        f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]" for metric in (row.test.macro_f1, row.test.accuracy)
    )
    out_of_fold = "" if row.out_of_fold is None else f"{row.out_of_fold:.3f}"
    return [row.name, out_of_fold, macro, accuracy, row.rule, f"{row.fit_seconds:.1f}", f"{row.seconds:.0f}"]


def make_claims(corpus: str, rows: list[Row]) -> list[Claim]:
    """Each metric that has a bar."""
    claims = []
    for row in rows:
        for metric, bar in BARS.get((corpus, row.name), {}).items():
            value = round(getattr(row.test, metric).value, 4)
            claims.append(Claim(f"{row.name} on {corpus}: {metric}", value, bar, value >= bar))
    return claims


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/benchmarks"), show_default=True)
@click.option("--corpus", "corpora", multiple=True, default=("reuters52", "newsgroups"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(stores_folder: Path, runs: Path, corpora: tuple[str, ...], as_json: bool) -> None:
    """Print one table per corpus, or with --json one object per claim and line."""
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    header = ["", "macro-F1 out of fold", "macro-F1", "accuracy", "decision", "seconds to fit", "seconds, total"]
    for corpus in corpora:
        rows = [*head_rows(corpus, embed_benchmark(corpus, stores_folder), runs), svm_row(read_corpus(corpus))]
        print_topic(Topic(corpus, [header, *map(format_row, rows)], make_claims(corpus, rows)), as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
