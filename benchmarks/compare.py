"""Comparisons of runs: false alarms, power, the optimism of the best of several, and the time of `compare`.

    python -m benchmarks.compare [--pairs 2000] [--families 2000] [--repetitions 500] [--runs 16] [--json]

Everything but the time is simulated, so that the truth is known. Heads are right for a document if its hardness, which
they share, and noise of their own stay below a limit; else they predict another label at random.

False alarms: two heads of unequal accuracy, whose predictions are exchanged for each document at random, do not differ.
So are ten heads: once with one of them as the reference, and once with the best of the ten, as in `compare`. Power:
heads whose accuracy differs by one and by two points, against the power of the exact test of their disagreements, which
is computed. Fewer exchanges than in `compare` are drawn: the level does not depend on their number if the threshold is
a multiple of 1 / (exchanges + 1).

Optimism: the best of sixteen heads by accuracy on the same documents, against its true accuracy. Time: `compare` of
runs on disk, in a process that has imported everything.
"""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.labeled_stores import Corpus
from benchmarks.measuring import Topic, at_most, print_topic
from featurestore import FeatureStore
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import MACRO_F1, METRICS, scorecard
from heads.evaluation.randomization import adjust_holm, randomization_p_value
from heads.evaluation.sampled_metric import SampledMetric
from heads.evaluation.selection_optimism import correct_selection
from stages.comparing.selection import select_runs
from stages.comparing.table import compare
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.saving import save

Codes = NDArray[np.int64]
LEVEL, TOLERANCE, POWER_TOLERANCE = 0.05, 0.015, 0.03
HEADS, FAMILY = 10, 45  # and the pairs of ten heads
IN_ADVANCE = "a reference named in advance"
ALL_PAIRS = "the best as reference, adjusted for all pairs"  # as `compare` does
ITS_PAIRS = "the best as reference, adjusted for its pairs alone"
EXCHANGES = 1799  # so that LEVEL and LEVEL / FAMILY are multiples of 1 / 1800
LABELS, DOCUMENTS = 8, 600
POWER_DOCUMENTS, ACCURACY, DISAGREEMENT = 2000, 0.85, 0.08
CANDIDATES, SCORED = 16, 5000
SECONDS = 5.0


def simulate(
    rng: np.random.Generator, truth: Codes, accuracies: NDArray[np.float64], labels: int = LABELS
) -> list[Codes]:
    """Predictions of heads with these accuracies, whose errors are correlated by 0.5."""
    from scipy.special import ndtri

    shape = (len(accuracies), len(truth))
    hardness = (rng.standard_normal(len(truth)) + rng.standard_normal(shape)) / np.sqrt(2)
    wrong = (truth + rng.integers(1, labels, size=shape)) % labels
    return list(np.where(hardness < ndtri(accuracies)[:, None], truth, wrong))


def exchange(rng: np.random.Generator, predictions: list[Codes]) -> list[Codes]:
    """The predictions of each document in random order."""
    return list(rng.permuted(np.stack(predictions), axis=0))


def draw_truth(rng: np.random.Generator, documents: int = DOCUMENTS) -> Codes:
    """Labels whose frequencies fall with their rank."""
    share = 1 / np.arange(1, LABELS + 1)
    return rng.choice(LABELS, documents, p=share / share.sum())


def false_alarms(pairs: int) -> float:
    """The share of pairs without a difference that are rejected."""
    rejected = 0
    for seed in range(pairs):
        rng = np.random.default_rng([1, seed])
        truth = draw_truth(rng)
        first, second = exchange(rng, simulate(rng, truth, np.array([0.8, 0.7])))
        rejected += _p_value(truth, first, second, seed) <= LEVEL
    return rejected / pairs


def _p_value(truth: Codes, first: Codes, second: Codes, seed: int) -> float:
    return randomization_p_value(truth, [first], [second], LABELS, MACRO_F1, seed=seed, exchanges=EXCHANGES)


def family_false_alarms(families: int) -> dict[str, float]:
    """The share of families of ten equal heads with a rejection, by how the reference and the family are chosen."""
    rejected = dict.fromkeys((IN_ADVANCE, ALL_PAIRS, ITS_PAIRS), 0)
    for seed in range(families):
        rng = np.random.default_rng([2, seed])
        truth = draw_truth(rng)
        heads = exchange(rng, simulate(rng, truth, np.linspace(0.7, 0.8, HEADS)))
        values = [_macro_f1(truth, each) for each in heads]
        named, *others = heads
        of_named = [_p_value(truth, named, other, seed) for other in others]
        rejected[IN_ADVANCE] += min(adjust_holm(of_named)) <= LEVEL
        best = heads.pop(int(np.argmax(values)))
        p_values = [_p_value(truth, best, other, seed) for other in heads]
        rejected[ALL_PAIRS] += min(adjust_holm(p_values, FAMILY)) <= LEVEL
        rejected[ITS_PAIRS] += min(adjust_holm(p_values)) <= LEVEL
    return {name: count / families for name, count in rejected.items()}


def _macro_f1(truth: Codes, predicted: Codes) -> float:
    return float(MACRO_F1.value(ConfusionCounts.from_predictions(truth, predicted, LABELS)))


def exact_power(gap: float, documents: int = POWER_DOCUMENTS) -> float:
    """The power of the exact test of disagreements, if one head is right alone more often by `gap` of all documents."""
    from scipy.stats import binom

    disagreements = np.arange(documents + 1)
    limit = binom.ppf(LEVEL / 2, disagreements, 0.5)  # at most this many of them in favor of one head, or one less
    lost = np.where(2 * binom.cdf(limit, disagreements, 0.5) <= LEVEL, limit, limit - 1)
    share = (DISAGREEMENT + gap) / 2 / DISAGREEMENT
    rejected = binom.cdf(lost, disagreements, share) + binom.cdf(lost, disagreements, 1 - share)
    return float(binom.pmf(disagreements, documents, DISAGREEMENT) @ rejected)


def measured_power(gap: float, pairs: int) -> float:
    """The share of pairs with a planted gap of accuracy that are rejected."""
    rejected = 0
    for seed in range(pairs):
        rng = np.random.default_rng([3, seed])
        truth = draw_truth(rng, POWER_DOCUMENTS)
        wrong = (truth + rng.integers(1, LABELS, size=(2, len(truth)))) % LABELS
        draw = rng.random(len(truth))  # the first DISAGREEMENT are documents that only one head gets right
        only_better, both = draw < (DISAGREEMENT + gap) / 2, (draw >= DISAGREEMENT) & (draw < ACCURACY)
        better = np.where(only_better | both, truth, wrong[0])
        worse = np.where((draw < DISAGREEMENT) & ~only_better | both, truth, wrong[1])
        p_value = randomization_p_value(
            truth, [better], [worse], LABELS, METRICS["accuracy"], seed=seed, exchanges=EXCHANGES
        )
        rejected += p_value <= LEVEL
    return rejected / pairs


SPREADS = {"equal": np.zeros(CANDIDATES), "over 2 points": np.linspace(-0.01, 0.01, CANDIDATES)}
SPREADS["one ahead by 1 point"] = np.append(np.zeros(CANDIDATES - 1), 0.01)


def selection_errors(spread: NDArray[np.float64], repetitions: int) -> tuple[float, float]:
    """How much too high the best of sixteen heads is on average, as measured and corrected."""
    errors = np.empty((repetitions, 2))
    accuracies, truth = ACCURACY + spread, np.zeros(SCORED, dtype=np.int64)
    for seed in range(repetitions):
        rng = np.random.default_rng([4, seed])
        heads = simulate(rng, truth, accuracies, labels=2)
        best = accuracies[np.argmax([np.count_nonzero(each == truth) for each in heads])]
        sampled = SampledMetric.of(truth, [[each] for each in heads], 2, METRICS["accuracy"])
        found = correct_selection(sampled, seed=seed, resamples=200)
        errors[seed] = found.raw - best, found.corrected - best
    return tuple(errors.mean(axis=0).tolist())


def write_runs(folder: Path, count: int, documents: int) -> None:
    """Write runs that differ in their predictions: out of fold for four fifths of the documents, and a test split."""
    store = FeatureStore.open(Corpus(documents).open(folder / "stores"))
    made, _ = fit_head(store, store.corpus("made"), FitPlan(head=PrototypeHead(), folds=2), folder / "made")
    first, labels = made.predictions(), made.record.labels
    rng = np.random.default_rng(0)
    predicted = simulate(rng, first.truth, np.linspace(0.84, 0.86, count), len(labels))
    for number, codes in enumerate(predicted):
        predictions = replace(first, predicted=codes)
        cards = {
            name: scorecard(rows.truth, rows.predicted, labels)
            for name, rows in (("out_of_fold", predictions.of("train")), ("test", predictions.of("test")))
        }
        record = replace(made.record, hyperparameters={"number": number})
        path = folder / "runs" / f"made-{number:08x}"
        save(path, record, made.head(), made.decision, predictions, cards, made.groups(), made.folds())


def time_compare(folder: Path) -> tuple[float, float]:
    """Seconds on the clock and of the CPU that it takes to read and compare the runs of a folder."""
    clock, cpu = time.perf_counter(), time.process_time()
    compare(select_runs((), folder))
    return time.perf_counter() - clock, time.process_time() - cpu


def measure_false_alarms(pairs: int, families: int) -> Topic:
    """How often runs that do not differ are said to differ."""
    share, of_families = false_alarms(pairs), family_false_alarms(families)
    rows = [("pairs", f"{share:.3f}"), *((f"ten runs, {name}", f"{each:.3f}") for name, each in of_families.items())]
    claims = [at_most(f"false alarms of {pairs:,} pairs: distance to {LEVEL:.0%}", abs(share - LEVEL), TOLERANCE)]
    for name in (IN_ADVANCE, ALL_PAIRS):
        claim = f"false alarms of {families:,} families of ten runs, {name}: distance to {LEVEL:.0%}"
        claims.append(at_most(claim, abs(of_families[name] - LEVEL), TOLERANCE))
    return Topic("false alarms", [("simulated", "rejected"), *rows], claims)


def measure_power(pairs: int) -> Topic:
    """How often a planted gap is found."""
    rows, claims = [("gap in points", "measured", "computed")], []
    for gap in (0.01, 0.02):
        power, expected = measured_power(gap, pairs), exact_power(gap)
        rows.append((f"{100 * gap:.0f}", f"{power:.3f}", f"{expected:.3f}"))
        claim = f"power for a gap of {gap:g}: distance to the computed one"
        claims.append(at_most(claim, abs(power - expected), POWER_TOLERANCE))
    return Topic("power", rows, claims)


def measure_optimism(repetitions: int) -> Topic:
    """How much too high the best of sixteen is, as measured and corrected."""
    rows, claims = [("accuracies", "as measured", "corrected")], []
    for name, spread in SPREADS.items():
        raw, corrected = selection_errors(spread, repetitions)
        rows.append((name, f"{raw:+.4f}", f"{corrected:+.4f}"))
        claim = f"BBC-CV, accuracies {name}: mean error of {repetitions} best of {CANDIDATES}"
        claims.append(at_most(claim, abs(corrected), 0.001))
    return Topic("optimism of the best of sixteen", rows, claims)


def measure_time(count: int, documents: int, rounds: int) -> Topic:
    """How long a comparison takes, the shortest of some rounds."""
    with TemporaryDirectory() as made:
        write_runs(Path(made), count, documents)
        seconds, cpu = min(time_compare(Path(made) / "runs") for _ in range(rounds))
    claim = f"seconds to compare {count} runs of {documents:,} documents with 2,000 resamples"
    rows = [("runs", "seconds", "CPU seconds"), (str(count), f"{seconds:.2f}", f"{cpu:.2f}")]
    return Topic("time", rows, [at_most(claim, seconds, SECONDS)])


@click.command()
@click.option("--pairs", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--families", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--repetitions", type=click.IntRange(1), default=500, show_default=True)
@click.option("--runs", "count", type=click.IntRange(2), default=16, show_default=True)
@click.option("--documents", type=click.IntRange(100), default=18_846, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(pairs: int, families: int, repetitions: int, count: int, documents: int, rounds: int, as_json: bool) -> None:
    """Print tables and claims."""
    print_topic(measure_false_alarms(pairs, families), as_json=as_json)
    print_topic(measure_power(pairs), as_json=as_json)
    print_topic(measure_optimism(repetitions), as_json=as_json)
    print_topic(measure_time(count, documents, rounds), as_json=as_json)


if __name__ == "__main__":
    main()
