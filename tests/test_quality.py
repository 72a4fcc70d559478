"""The metrics of benchmarks/quality.py: means over fits, and differences in the same resamples."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.measuring import format_mean_gain
from benchmarks.quality import Row, Table, fit_seeds, is_random, make_claims, parse_seeds
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.small_store import blobs, make_store

TRUTH = np.array([0, 0, 1, 1, 2, 2] * 20)
RIGHT, WRONG = TRUTH, np.roll(TRUTH, 2)
HALF = np.where(np.arange(len(TRUTH)) < 60, RIGHT, WRONG)


def make_table(*rows: Row) -> Table:
    return Table("newsgroups", TRUTH, 3, rows)


def test_the_value_of_several_fits_is_their_mean() -> None:
    row = Row("lstm", [RIGHT, WRONG], 0.5)
    accuracy = make_table(row).interval(row, "accuracy")
    assert accuracy.value == 0.5
    assert (accuracy.low, accuracy.high) == (0.5, 0.5)  # in every resample one fit is right, the other wrong


def test_differences_are_computed_in_the_same_resamples() -> None:
    row, other = Row("fused", [HALF], 0.9), Row("tfidf", [HALF.copy()], 0.8)
    gain = make_table(row, other).difference(row, other, "macro_f1")
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_the_bars_apply_to_the_head_that_is_best_out_of_fold_whatever_its_test_metrics_are() -> None:
    claims = make_claims(make_table(Row("linear", [RIGHT], 0.6), Row("lstm", [HALF], 0.7)))
    assert claims[0].claim == "newsgroups, lstm: accuracy"
    assert (claims[0].value, claims[0].verdict) == (0.5, "fails")
    assert [claim.claim.partition(" [")[0] for claim in claims[1:]] == [
        "newsgroups, lstm above linear: accuracy",
        "newsgroups, lstm above linear: macro_f1",
    ]


def test_a_head_can_have_its_own_number_of_seeds() -> None:
    assert parse_seeds("linear,lstm:2", 5) == {"linear": 5, "lstm": 2}


@pytest.mark.parametrize(("head", "random"), [("mlp", True), ("attention", True), ("fused", False), ("knn", False)])
def test_only_networks_depend_on_the_seed(head: str, random: bool) -> None:
    assert is_random(head) == random


def test_a_stack_is_fitted_once_per_seed_of_the_heads_before_it(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    folder = tmp_path / "runs" / table.name
    linear, other = (fit_head(store, table, FitPlan(head=LinearHead(C=c), folds=3), folder)[0] for c in (1, 2))
    (prototype,) = fit_seeds("prototype", 5, 3, store, table.name, tmp_path / "runs", [])
    assert prototype.record.head == PrototypeHead.name
    stacks = fit_seeds("stack", 5, 3, store, table.name, tmp_path / "runs", [[linear, other], [prototype]])
    assert [run.record.base_runs for run in stacks] == [sorted([run.name, prototype.name]) for run in (linear, other)]


def test_a_gain_on_documents_that_seeds_share_has_a_wider_confidence_interval() -> None:
    gains = [0.01, 0.02, 0.03, 0.02]
    assert format_mean_gain(gains) == "+0.020 ± 0.013"
    assert format_mean_gain(gains, 1 / 4) == "+0.020 ± 0.020"  # the square root of 1/4 + 1/3, not of 1/4
    assert format_mean_gain([0.01]) == "+0.010"


def test_the_confidence_interval_has_its_coverage_if_seeds_split_the_same_documents() -> None:
    """Two equally good variants; each seed scores a quarter of the same 400 documents."""
    rng, covered, repeats = np.random.default_rng(0), {0.0: 0, 0.25: 0}, 400
    for _ in range(repeats):
        differences = rng.normal(size=400)  # by how much one variant is better on a document
        gains = [float(rng.choice(differences, 100, replace=False).mean()) for _ in range(10)]
        for scored_share in covered:
            mean, half = map(float, format_mean_gain(gains, scored_share).split(" ± "))
            covered[scored_share] += abs(mean) <= half
    assert covered[0.0] < 0.8 * repeats < 0.9 * repeats < covered[0.25]
