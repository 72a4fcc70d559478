"""The README's table: every head on both benchmarks, beside the TF-IDF linear SVM that a user would pick instead.

    python -m benchmarks.results --stores FOLDER --runs FOLDER [--corpus reuters52] [--json]

Encodes what the stores lack, fits what the run folder lacks, and prints Markdown; with --json one object a claim on a
line. Defaults of heads were chosen on training documents, out of fold; each run scores the test split once.
"""

import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from benchmarks.tfidf_baseline import Texts, plain
from commandline.output import say
from data.documents import Corpus
from data.readers import read_corpus
from data.text_format import format_duration
from featurestore import FeatureStore
from heads.evaluation.metrics import Scorecard, scorecard
from stages.compare import compare
from stages.embed.pipeline.embed_source import EmbedRequest, embed_source
from stages.fitting.fit_head import fit_head
from stages.fitting.head_options import ALL, parse_heads
from stages.fitting.plan import FitPlan

BARS = {
    ("reuters52", "linear"): {"macro_f1": 0.80, "accuracy": 0.935},
    ("newsgroups", "linear"): {"accuracy": 0.78},
}


@dataclass(frozen=True)
class Line:
    """One line of the table; seconds of the last fit, and of all that was done for it (folds, decision, scoring)."""

    name: str
    out_of_fold: float | None
    test: Scorecard
    rule: str
    fit_seconds: float
    seconds: float


def embedded(corpus: str, stores_folder: Path) -> FeatureStore:
    """The store of a benchmark with the default model; encodes what it lacks."""
    request = EmbedRequest(source=corpus, stores=stores_folder)
    store, report = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    for sentence in report.sentences():
        say(f"{corpus}: {sentence}")
    return store


def head_lines(corpus: str, store: FeatureStore, runs: Path) -> list[Line]:
    """Every head with its default parameters, best out of fold first."""
    fitted = []
    for head in parse_heads(ALL):
        run, _ = fit_head(store, store.corpus(corpus), FitPlan(head=head), runs / corpus)
        say(f"{corpus}: {run.name} took {format_duration(sum(run.record.seconds.values()))}")
        fitted.append(run)
    rows = compare(fitted).rows
    by_name = {run.name: run for run in fitted}
    return [
        Line(
            row.head,
            row.out_of_fold.value,
            by_name[row.run].scorecards["test"],
            row.rule,
            row.fit_seconds,
            sum(by_name[row.run].record.seconds.values()),
        )
        for row in rows
    ]


def svm_line(corpus: Corpus) -> Line:
    """scikit-learn's TF-IDF into a linear SVM, as its own examples do it, on the raw text."""
    texts = Texts.of(corpus)
    start = time.perf_counter()
    model = plain().fit(texts.train, texts.train_y)
    seconds = time.perf_counter() - start
    return Line(
        "TF-IDF linear SVM (scikit-learn)",
        None,
        scorecard(texts.test_y, model.predict(texts.test), texts.labels),
        "argmax",
        seconds,
        seconds,
    )


def markdown(corpus: str, lines: list[Line]) -> str:
    """A table of one corpus, test figures with 95 % bootstrap intervals."""
    rows = [
        f"| {corpus} | macro-F1 out of fold | macro-F1 | accuracy | decision | seconds to fit | in all |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        macro, accuracy = (
            f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (line.test.macro_f1, line.test.accuracy)
        )
        own = "" if line.out_of_fold is None else f"{line.out_of_fold:.3f}"
        seconds = f"{line.fit_seconds:.1f} | {line.seconds:.0f}"
        rows.append(f"| {line.name} | {own} | {macro} | {accuracy} | {line.rule} | {seconds} |")
    return "\n".join(rows)


def claims(corpus: str, lines: list[Line]) -> list[dict[str, object]]:
    """Each figure that has a bar."""
    found: list[dict[str, object]] = []
    for line in lines:
        for metric, bar in BARS.get((corpus, line.name), {}).items():
            value = round(getattr(line.test, metric).value, 4)
            claim = f"{line.name} on {corpus}: {metric}"
            found.append({"claim": claim, "value": value, "bar": bar, "holds": value >= bar})
    return found


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"))
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/benchmarks"))
@click.option("--corpus", "corpora", multiple=True, default=("reuters52", "newsgroups"))
@click.option("--json", "as_json", is_flag=True)
def main(stores_folder: Path, runs: Path, corpora: tuple[str, ...], as_json: bool) -> None:
    """Print the table."""
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    for corpus in corpora:
        lines = [*head_lines(corpus, embedded(corpus, stores_folder), runs), svm_line(read_corpus(corpus))]
        if not as_json:
            print(markdown(corpus, lines), end="\n\n")
        for claim in claims(corpus, lines) if as_json else ():
            print(json.dumps(claim))


if __name__ == "__main__":
    sys.exit(main())
