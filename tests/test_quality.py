"""The figures of benchmarks/quality.py: means over fits, differences in the same resamples."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.measuring import format_mean_gain
from benchmarks.quality import Line, Table, asked, claims, fitted, is_random
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.small_store import blobs, make_store

TRUTH = np.array([0, 0, 1, 1, 2, 2] * 20)
RIGHT, WRONG = TRUTH, np.roll(TRUTH, 2)
HALF = np.where(np.arange(len(TRUTH)) < 60, RIGHT, WRONG)


def table(*lines: Line) -> Table:
    return Table("newsgroups", TRUTH, 3, lines)


def test_a_line_of_several_fits_has_their_mean() -> None:
    both = Line("lstm", [RIGHT, WRONG], 0.5)
    found = table(both).interval(both, "accuracy")
    assert found.value == 0.5
    assert (found.low, found.high) == (0.5, 0.5)  # in every resample one is right, the other wrong


def test_differences_are_taken_in_the_same_resamples() -> None:
    one, other = Line("fused", [HALF], 0.9), Line("tfidf", [HALF.copy()], 0.8)
    found = table(one, other).interval(one, "macro_f1", other)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_bars_are_asked_of_the_head_that_is_best_out_of_fold_whatever_the_test_split_says() -> None:
    found = claims(table(Line("linear", [RIGHT], 0.6), Line("lstm", [HALF], 0.7)))
    assert found[0].claim == "newsgroups, lstm: accuracy"
    assert (found[0].value, found[0].verdict) == (0.5, "fails")
    assert [each.claim.partition(" [")[0] for each in found[1:]] == [
        "newsgroups, lstm above linear: accuracy",
        "newsgroups, lstm above linear: macro_f1",
    ]


def test_a_head_may_have_its_own_number_of_seeds() -> None:
    assert asked("linear,lstm:2", 5) == {"linear": 5, "lstm": 2}


@pytest.mark.parametrize(("head", "random"), [("mlp", True), ("attention", True), ("fused", False), ("knn", False)])
def test_networks_are_what_a_seed_moves(head: str, random: bool) -> None:
    assert is_random(head) == random


def test_a_stack_is_fitted_as_often_as_what_it_stands_on_differs(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    folder = tmp_path / "runs" / table.name
    linear, other = (fit_head(store, table, FitPlan(head=LinearHead(C=c), folds=3), folder)[0] for c in (1, 2))
    (once,) = fitted("prototype", 5, 3, store, table.name, tmp_path / "runs", [])
    assert once.record.head == PrototypeHead.name
    two = fitted("stack", 5, 3, store, table.name, tmp_path / "runs", [[linear, other], [once]])
    assert [run.record.base_runs for run in two] == [sorted([each.name, once.name]) for each in (linear, other)]


def test_gains_on_documents_that_seeds_share_are_known_less_well() -> None:
    gains = [0.01, 0.02, 0.03, 0.02]
    assert format_mean_gain(gains) == "+0.020 ± 0.013"
    assert format_mean_gain(gains, 1 / 4) == "+0.020 ± 0.020"  # the square root of 1/4 + 1/3, not of 1/4
    assert format_mean_gain([0.01]) == "+0.010"


def test_the_interval_holds_what_it_says_where_seeds_deal_the_same_documents_anew() -> None:
    """Two equally good ways; each seed scores a quarter of the same 400 documents."""
    rng, held, told = np.random.default_rng(0), {0.0: 0, 0.25: 0}, 400
    for _ in range(told):
        apart = rng.normal(size=400)  # by how much one way is better on a document
        gains = [float(rng.choice(apart, 100, replace=False).mean()) for _ in range(10)]
        for scored in held:
            mean, half = map(float, format_mean_gain(gains, scored).split(" ± "))
            held[scored] += abs(mean) <= half
    assert held[0.0] < 0.8 * told < 0.9 * told < held[0.25]
