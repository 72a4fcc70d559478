"""The test split: inaccessible, and scored once."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.target import Target
from featurestore import Bags
from heads.evaluation.decisions.heldout import HeldOut, HeldOutResult
from heads.evaluation.decisions.rules import Argmax, DecisionRule, FixedThreshold, LogitAdjustment

LABELS = ("cocoa", "earn", "only in test")


class FirstTwo:
    """A head that has seen two labels; its scores are the first two features."""

    classes_ = np.array(["cocoa", "earn"], dtype=object)

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        return np.asarray(X.pooled(("cls",))[:, :2])


FEATURES = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 4.0]], dtype=np.float32)


def held_out() -> HeldOut:
    return HeldOut(Bags.from_array(FEATURES), Target("single", LABELS, np.array([0, 1, 2, 1])))


def scored(rule: DecisionRule) -> HeldOutResult:
    return held_out().score(FirstTwo(), rule, LABELS)


def test_scores_and_labels_are_aligned_to_the_runs_labels() -> None:
    result = scored(Argmax())
    assert result.scores.dtype == np.float32
    assert result.scores[0].tolist() == [2.0, 1.0, -np.inf]
    assert result.predicted.tolist() == [0, 1, 0, 0]
    assert result.seconds >= 0


def test_a_label_that_only_the_test_split_has_is_missed() -> None:
    missed = scored(Argmax()).scorecard.labels[2]
    assert (missed.support, missed.predicted, missed.f1) == (1, 0, 0.0)


def test_the_rule_decides() -> None:
    # document 3 scores cocoa 5 and earn 4: a strength of 1 adds log 9 to earn
    rule = LogitAdjustment(1.0, (np.log(0.9), np.log(0.1), np.log(0.01)))
    assert scored(rule).predicted.tolist() == [1, 1, 1, 1]


def test_a_multilabel_target_is_scored_by_column() -> None:
    class Columns(FirstTwo):
        classes_ = np.arange(2)

    truth = np.array([[True, True], [False, True], [True, False], [True, True]])
    held = HeldOut(Bags.from_array(FEATURES - 0.5), Target("multilabel", ("cocoa", "earn"), truth))
    assert held.score(Columns(), FixedThreshold(), ("cocoa", "earn")).scorecard.accuracy.value == 1.0


def test_it_is_scored_once() -> None:
    held = held_out()
    held.score(FirstTwo(), Argmax(), LABELS)
    with pytest.raises(RuntimeError, match="scored already: scoring it again would select by it"):
        held.score(FirstTwo(), Argmax(), LABELS)


def test_a_head_that_fails_has_used_up_the_one_scoring() -> None:
    class Broken(FirstTwo):
        def decision_function(self, X: Any) -> NDArray[np.float32]:
            raise MemoryError

    held = held_out()
    with pytest.raises(MemoryError):
        held.score(Broken(), Argmax(), LABELS)
    with pytest.raises(RuntimeError):
        held.score(FirstTwo(), Argmax(), LABELS)


def test_nothing_but_score_is_public() -> None:
    assert [name for name in dir(held_out()) if not name.startswith("_")] == ["score"]
    assert not hasattr(held_out(), "__dict__")


@pytest.mark.parametrize("look", [len, iter, np.asarray, lambda held: held[0]])
def test_it_is_not_a_sequence(look: Any) -> None:
    held = held_out()
    try:
        array = look(held)
    except TypeError:
        return
    assert array.dtype == object and array.shape == ()  # NumPy wraps an object that it cannot read


def test_its_repr_shows_no_data() -> None:
    held = held_out()
    assert repr(held) == "HeldOut(not scored yet)"
    held.score(FirstTwo(), Argmax(), LABELS)
    assert repr(held) == "HeldOut(scored)"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_neither_copied_nor_pickled(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="a copy could be scored again"):
        duplicate(held_out())


def test_other_labels_are_refused_before_anything_is_read() -> None:
    held = held_out()
    with pytest.raises(ValueError, match="the labels differ from those of the test split's target"):
        held.score(FirstTwo(), Argmax(), ("cocoa", "earn"))
    assert held.score(FirstTwo(), Argmax(), LABELS).scorecard.documents == 4


def test_features_and_labels_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 4 documents, but 1 rows of labels"):
        HeldOut(Bags.from_array(FEATURES), Target("single", LABELS, np.array([0])))
