"""How good heads are over a small frozen encoder, beside TF-IDF of words and what fine-tuning has published.

    python -m benchmarks.quality --stores FOLDER [--runs FOLDER] [--corpus newsgroups] [--heads fused,lstm] [--json]

Each head is fitted by `fit_head` with its default parameters: out of fold, a decision rule, a last fit, and one
scoring of the test split. Networks are fitted for every seed, and their figures are means over seeds; the other heads
once, all in the same folds. `stack` stands on a run of each head named before it, its second on their second seeds, and
so on as far as any of them has seeds. Runs are kept, so that the command goes on where it was stopped. Intervals are
95 % bootstrap over test documents, of means over seeds where there are several; differences are paired, in the same
resamples. The best head is the one with the best macro-F1 out of fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import tfidf_baseline
from benchmarks.measuring import Claim, Topic, at_least, print_topic
from commandline.output import say
from data.readers import read_corpus
from data.splits import Split
from data.text_format import format_duration
from featurestore import FeatureStore
from heads.evaluation.bootstrap import ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.registry import STACKING_HEADS, head_class, make_head
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.fitting.task import open_corpus, open_store

METRICS = ("accuracy", "macro_f1")
HEADS = "linear,mlp,attention,lstm,transformer,knn,tfidf,fused,stack"
WORDS = "TF-IDF of words, linear SVM"
OVER_SEGMENTS = ("attention", "lstm", "transformer")
BARS = {"newsgroups": {"accuracy": 0.88}, "reuters52": {"accuracy": 0.96, "macro_f1": 0.825}}
# accuracy over BERT base, Pappagari et al. 2019, arXiv 1910.10781
PUBLISHED = {
    "newsgroups": {
        "RoBERT, BERT fine-tuned (published)": 0.847,
        "ToBERT, BERT fine-tuned (published)": 0.855,
        "RoBERT, BERT frozen (published)": 0.608,
        "ToBERT, BERT frozen (published)": 0.650,
    }
}


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the table: what each fit made of the test documents, int64 (documents,), in the same order.

    out_of_fold: mean macro-F1 over fits; seconds: of all that was done, a fit.
    """

    name: str
    predicted: Sequence[NDArray[np.int64]]
    out_of_fold: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """The lines of a corpus, and the truth of its test documents, int64 codes (documents,) of so many labels."""

    corpus: str
    truth: NDArray[np.int64]
    labels: int
    lines: Sequence[Line]

    def values(self, line: Line, metric: str) -> NDArray[np.float64]:
        """A figure of each fit."""
        return np.array(
            [
                getattr(ConfusionCounts.from_predictions(self.truth, each, self.labels), metric)
                for each in line.predicted
            ]
        )

    def interval(self, line: Line, metric: str, against: Line | None = None) -> ConfidenceInterval:
        """A figure, mean over fits; or by how much it is above that of another line."""
        value, drawn = self.values(line, metric).mean(), self._drawn[line.name, metric]
        if against is not None:
            value, drawn = value - self.values(against, metric).mean(), drawn - self._drawn[against.name, metric]
        return ConfidenceInterval.from_resamples(value, drawn)

    @cached_property
    def _drawn(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """By line and figure: in each resample, mean over fits; the resamples are the same for all lines."""
        every = iter(
            resample_metrics(self.truth, [each for line in self.lines for each in line.predicted], self.labels)
        )
        fits = {line.name: [next(every) for _ in line.predicted] for line in self.lines}
        return {
            (name, metric): np.mean([getattr(each, metric) for each in of_one], axis=0)
            for name, of_one in fits.items()
            for metric in METRICS
        }

    def best(self) -> Line:
        """The head with the best macro-F1 out of fold."""
        return max(self.lines, key=lambda line: -1 if line.out_of_fold is None else line.out_of_fold)

    def named(self, name: str) -> Line | None:
        """The line of that name."""
        return next((line for line in self.lines if line.name == name), None)


def is_random(head: str) -> bool:
    """Whether seeds move it by more than the last digits: networks."""
    return "training" in head_class(head)().get_params(deep=False)


def fitted(
    head: str, seeds: int, folds: int, store: FeatureStore, corpus: str, runs: Path, before: Sequence[Sequence[Run]]
) -> list[Run]:
    """A run for every seed, for a head without randomness one; a head upon runs stands on a run each of those before.

    before: of each head its runs by seed; where a head has fewer than others, its last one serves again.
    """
    table, found = open_corpus(store, corpus), []
    if head in STACKING_HEADS and not before:
        raise click.UsageError(f"{head} stands on the heads before it in --heads: name some there.")
    upon = before if head in STACKING_HEADS else []
    count = seeds if is_random(head) else min(seeds, max(map(len, upon), default=1))
    for seed in range(count):
        bases = [each[min(seed, len(each) - 1)].name for each in upon]
        plan = FitPlan(head=make_head(head, {"seed": str(seed)}), folds=folds, base_runs=bases)
        run, new = fit_head(store, table, plan, runs / corpus)
        taken = format_duration(sum(run.record.seconds.values()))
        say(f"{corpus}: {run.name} {'took' if new else 'had taken'} {taken}")
        found.append(run)
    return found


def of_head(runs: Sequence[Run]) -> Line:
    """The line of runs that differ by seed alone."""
    return Line(
        runs[0].record.head,
        [run.predictions().of(Split.TEST).predicted for run in runs],
        float(np.mean([run.scorecards["out_of_fold"].macro_f1.value for run in runs])),
        float(np.mean([sum(run.record.seconds.values()) for run in runs])),
    )


def of_words(corpus: str, ids: Sequence[str], kept: Path) -> list[Line]:
    """The lines of scikit-learn's pipelines, documents in the order of `ids`."""
    texts = tfidf_baseline.Texts.of(read_corpus(corpus))
    place = {identifier: row for row, identifier in enumerate(texts.test_ids)}
    order = [place[identifier] for identifier in ids]
    return [
        Line(f"{WORDS} ({name})", [codes[order]]) for name, codes in tfidf_baseline.predictions(texts, kept).items()
    ]


def measured(corpus: str, heads: Mapping[str, int], folds: int, store: FeatureStore, runs: Path) -> Table:
    """Everything that a table says: fits what `runs` lacks. heads: name -> seeds."""
    found: dict[str, list[Run]] = {}
    for head, seeds in heads.items():
        found[head] = fitted(head, seeds, folds, store, corpus, runs, list(found.values()))
    first = next(iter(found.values()))[0]
    test = first.predictions().of(Split.TEST)
    lines = [*map(of_head, found.values()), *of_words(corpus, test.ids, runs / corpus / "words.json")]
    return Table(corpus, test.truth, len(first.record.labels), lines)


def shown(interval: ConfidenceInterval) -> str:
    """A figure and its bounds."""
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def row(table: Table, line: Line) -> list[str]:
    """One line of the table as text; what moves with the seed is the standard deviation of accuracy over fits."""
    fits = len(line.predicted)
    moved = f"{table.values(line, 'accuracy').std(ddof=1):.4f}" if fits > 1 else ""
    own = "" if line.out_of_fold is None else f"{line.out_of_fold:.3f}"
    seconds = "" if line.seconds is None else f"{line.seconds:.0f}"
    return [line.name, str(fits), own, *(shown(table.interval(line, metric)) for metric in METRICS), moved, seconds]


def claims(table: Table) -> list[Claim]:
    """What is asked of the best head; of heads over segments beside `linear`; and of the best beside each SVM."""
    best, linear = table.best(), table.named("linear")
    found = [
        at_least(f"{table.corpus}, {best.name}: {metric}", table.interval(best, metric).value, bar)
        for metric, bar in BARS.get(table.corpus, {}).items()
    ]
    pairs = [(line, linear) for line in table.lines if line.name in OVER_SEGMENTS and linear is not None]
    pairs += [(best, line) for line in table.lines if line.name.startswith(WORDS)]
    for line, other in pairs:
        for metric in METRICS:
            above = table.interval(line, metric, other)
            bounds = f"[{above.low:+.4f}, {above.high:+.4f}]"
            found.append(at_least(f"{table.corpus}, {line.name} above {other.name}: {metric} {bounds}", above.value, 0))
    return found


def topic(table: Table) -> Topic:
    """The table of a corpus, best head out of fold first, and the published lines below it."""
    order = sorted(table.lines, key=lambda line: -1 if line.out_of_fold is None else line.out_of_fold, reverse=True)
    header = [
        "",
        "fits",
        "macro-F1 out of fold",
        "accuracy",
        "macro-F1",
        "accuracy, SD over seeds",
        "seconds per fit, total",
    ]
    published = [[name, "", "", f"{value:.3f}", "", "", ""] for name, value in PUBLISHED.get(table.corpus, {}).items()]
    rows = [header, *(row(table, line) for line in order), *published]
    return Topic(f"{table.corpus}, test split, {date.today().isoformat()}", rows, claims(table))


def asked(heads: str, seeds: int) -> dict[str, int]:
    """Name -> seeds, of "linear,lstm:2": a head has its own number behind a colon."""
    pairs = [each.partition(":") for each in heads.split(",")]
    return {name: int(own or seeds) for name, _, own in pairs}


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/quality"), show_default=True)
@click.option("--corpus", "corpora", multiple=True, default=("newsgroups", "reuters52"), show_default=True)
@click.option("--heads", default=HEADS, show_default=True, help="A head may have its own seeds: lstm:2.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A claim a line.")
def main(
    stores_folder: Path, runs: Path, corpora: tuple[str, ...], heads: str, seeds: int, folds: int, as_json: bool
) -> None:
    """Print a table a corpus."""
    for corpus in corpora:
        folder = next(iter(sorted(stores_folder.glob(f"{corpus}--*"))), None)
        found = topic(measured(corpus, asked(heads, seeds), folds, open_store(folder, stores_folder), runs))
        print_topic(found, as_json=as_json)


if __name__ == "__main__":
    main()
