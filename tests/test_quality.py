"""The figures of benchmarks/quality.py: means over fits, differences in the same resamples."""

import numpy as np
import pytest

from benchmarks.quality import Line, Table, asked, claims, is_random

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
