"""How good heads on a small frozen encoder are, compared with TF-IDF of words and with published fine-tuned encoders.

    python -m benchmarks.quality --stores PATH [--runs PATH] [--corpus newsgroups] [--heads fused,lstm] [--json]

Each head is fitted by `fit_head` with its default hyperparameters: out of fold, a decision rule, a final fit, and one
scoring of the test split. Networks are fitted once per seed, and their metrics are means over seeds; the other heads
are fitted once, all in the same folds. `stack` is fitted on one run of each head named before it, a second time on
their second seeds, and so on as long as one of them has more seeds. Runs are stored, so an interrupted command resumes.
Confidence intervals are 95 % bootstrap intervals over test documents; differences are paired, in the same resamples.
The best head is the one with the best out-of-fold macro-F1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Claim, Topic, at_least, print_topic
from benchmarks.tfidf_baseline import TextSplits, predict_test_split
from commandline.output import say
from data.readers import read_corpus
from data.splits import Split
from data.text_format import format_duration
from featurestore import FeatureStore
from heads.evaluation.bootstrap import ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.registry import STACKING_HEADS, head_class, make_head
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.stores import open_corpus, open_store

METRICS = ("accuracy", "macro_f1")
HEADS = "linear,mlp,attention,lstm,transformer,knn,tfidf,fused,stack"
BASELINE = "TF-IDF of words, linear SVM"
HEADS_OVER_SEGMENTS = ("attention", "lstm", "transformer")
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
class Row:
    """One row of the table.

    predicted: of each fit, the codes of the test documents, int64 (documents,), in the same order.
    out_of_fold: mean macro-F1 over fits.
    seconds: per fit, folds and scoring included.
    """

    name: str
    predicted: Sequence[NDArray[np.int64]]
    out_of_fold: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a corpus. truth: the codes of its test documents, int64 (documents,). labels: number of labels."""

    corpus: str
    truth: NDArray[np.int64]
    labels: int
    rows: Sequence[Row]

    def values(self, row: Row, metric: str) -> NDArray[np.float64]:
        """A metric of each fit, float64 (fits,)."""
        counts = [ConfusionCounts.from_predictions(self.truth, predicted, self.labels) for predicted in row.predicted]
        return np.array([getattr(fit, metric) for fit in counts])

    def interval(self, row: Row, metric: str) -> ConfidenceInterval:
        """The mean of a metric over fits."""
        return ConfidenceInterval.from_resamples(self.values(row, metric).mean(), self._resamples[row.name, metric])

    def difference(self, row: Row, other: Row, metric: str) -> ConfidenceInterval:
        """By how much `row` is above `other` in a metric, in the same resamples."""
        difference = self.values(row, metric).mean() - self.values(other, metric).mean()
        resamples = self._resamples[row.name, metric] - self._resamples[other.name, metric]
        return ConfidenceInterval.from_resamples(difference, resamples)

    @cached_property
    def _resamples(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """(row, metric) -> the mean over fits in each resample; the resamples are the same for all rows."""
        predictions = [predicted for row in self.rows for predicted in row.predicted]
        resampled = iter(resample_metrics(CountTables.build(self.truth, predictions, self.labels)))
        fits_of = {row.name: [next(resampled) for _ in row.predicted] for row in self.rows}
        return {
            (name, metric): np.mean([fit[metric] for fit in fits], axis=0)
            for name, fits in fits_of.items()
            for metric in METRICS
        }

    def best(self) -> Row:
        """The head with the best out-of-fold macro-F1."""
        return self.sorted_rows()[0]

    def sorted_rows(self) -> list[Row]:
        """The rows by out-of-fold macro-F1, best first; those without one come last."""
        return sorted(self.rows, key=lambda row: -1 if row.out_of_fold is None else row.out_of_fold, reverse=True)

    def find(self, name: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)


def is_random(head: str) -> bool:
    """Whether a head is a network, whose result depends on the seed by more than rounding."""
    return "training" in head_class(head)().get_params(deep=False)


def fit_seeds(
    head: str, seeds: int, folds: int, store: FeatureStore, corpus: str, runs: Path, earlier: Sequence[Sequence[Run]]
) -> list[Run]:
    """Fit a head, or read its runs: one run per seed for a network, and one run for another head.

    Args:
        head: its name.
        seeds: number of seeds.
        folds: number of folds.
        store: the features.
        corpus: the name of the corpus.
        runs: the folder of run folders, one per corpus.
        earlier: the runs by seed of each head before this one. A stacking ensemble reads one run of each; a head with
            fewer runs than others contributes its last one again.

    Returns:
        The runs by seed.

    Raises:
        click.UsageError: for a stacking ensemble without earlier heads.
    """
    if head in STACKING_HEADS and not earlier:
        raise click.UsageError(f"{head} combines the heads before it in --heads. Name some before it.")
    table, fitted = open_corpus(store, corpus), []
    bases = earlier if head in STACKING_HEADS else []
    count = seeds if is_random(head) else min(seeds, max(map(len, bases), default=1))
    for seed in range(count):
        base_runs = [base[min(seed, len(base) - 1)].name for base in bases]
        plan = FitPlan(head=make_head(head, {"seed": str(seed)}), folds=folds, base_runs=base_runs)
        run, is_new = fit_head(store, table, plan, runs / corpus)
        duration = format_duration(sum(run.record.seconds.values()))
        say(f"{corpus}: {run.name} {'took' if is_new else 'had taken'} {duration}")
        fitted.append(run)
    return fitted


def head_row(runs: Sequence[Run]) -> Row:
    """The row of runs that differ only by their seed."""
    return Row(
        runs[0].record.head,
        [run.predictions().of(Split.TEST).predicted for run in runs],
        float(np.mean([run.scorecards["out_of_fold"].macro_f1.value for run in runs])),
        float(np.mean([sum(run.record.seconds.values()) for run in runs])),
    )


def baseline_rows(corpus: str, ids: Sequence[str], cache: Path) -> list[Row]:
    """The rows of scikit-learn's pipelines, with documents in the order of `ids`."""
    splits = TextSplits.of(read_corpus(corpus))
    row_of = {identifier: row for row, identifier in enumerate(splits.test_ids)}
    order = [row_of[identifier] for identifier in ids]
    predictions = predict_test_split(splits, cache)
    return [Row(f"{BASELINE} ({name})", [codes[order]]) for name, codes in predictions.items()]


def measure_corpus(corpus: str, seeds_of: Mapping[str, int], folds: int, store: FeatureStore, runs: Path) -> Table:
    """The table of a corpus; fits what `runs` lacks. seeds_of: head -> number of seeds."""
    fitted: dict[str, list[Run]] = {}
    for head, seeds in seeds_of.items():
        fitted[head] = fit_seeds(head, seeds, folds, store, corpus, runs, list(fitted.values()))
    first = next(iter(fitted.values()))[0]
    test = first.predictions().of(Split.TEST)
    rows = [*map(head_row, fitted.values()), *baseline_rows(corpus, test.ids, runs / corpus / "tfidf_baseline.json")]
    return Table(corpus, test.truth, len(first.record.labels), rows)


def format_interval(interval: ConfidenceInterval) -> str:
    """A value with its bounds: 0.8714 [0.8642, 0.8795]."""
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def format_row(table: Table, row: Row) -> list[str]:
    """The cells of a row."""
    fits = len(row.predicted)
    deviation = f"{table.values(row, 'accuracy').std(ddof=1):.4f}" if fits > 1 else ""
    out_of_fold = "" if row.out_of_fold is None else f"{row.out_of_fold:.3f}"
    seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
    metrics = [format_interval(table.interval(row, metric)) for metric in METRICS]
    return [row.name, str(fits), out_of_fold, *metrics, deviation, seconds]


def make_claims(table: Table) -> list[Claim]:
    """The bars of the best head, heads over segments above `linear`, and the best head above each baseline."""
    best, linear = table.best(), table.find("linear")
    claims = [
        at_least(f"{table.corpus}, {best.name}: {metric}", table.interval(best, metric).value, bar)
        for metric, bar in BARS.get(table.corpus, {}).items()
    ]
    pairs = [(row, linear) for row in table.rows if row.name in HEADS_OVER_SEGMENTS and linear is not None]
    pairs += [(best, row) for row in table.rows if row.name.startswith(BASELINE)]
    for row, other in pairs:
        for metric in METRICS:
            gain = table.difference(row, other, metric)
            bounds = f"[{gain.low:+.4f}, {gain.high:+.4f}]"
            claims.append(at_least(f"{table.corpus}, {row.name} above {other.name}: {metric} {bounds}", gain.value, 0))
    return claims


def make_topic(table: Table) -> Topic:
    """The table of a corpus, with the best head out of fold first, and the published results last."""
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
    rows = [header, *(format_row(table, row) for row in table.sorted_rows()), *published]
    return Topic(f"{table.corpus}, test split, {date.today().isoformat()}", rows, make_claims(table))


def parse_seeds(heads: str, default: int) -> dict[str, int]:
    """Head -> number of seeds: "linear,lstm:2" has `default` seeds for linear, and two for lstm."""
    pairs = [item.partition(":") for item in heads.split(",")]
    return {name: int(seeds or default) for name, _, seeds in pairs}


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/quality"), show_default=True)
@click.option("--corpus", "corpora", multiple=True, default=("newsgroups", "reuters52"), show_default=True)
@click.option("--heads", default=HEADS, show_default=True, help="lstm:2 fits a head with two seeds.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(
    stores_folder: Path, runs: Path, corpora: tuple[str, ...], heads: str, seeds: int, folds: int, as_json: bool
) -> None:
    """Print one table per corpus, or with --json one object per claim and line."""
    for corpus in corpora:
        folder = next(iter(sorted(stores_folder.glob(f"{corpus}--*"))), None)
        store = open_store(folder, stores_folder)
        table = measure_corpus(corpus, parse_seeds(heads, seeds), folds, store, runs)
        print_topic(make_topic(table), as_json=as_json)


if __name__ == "__main__":
    main()
