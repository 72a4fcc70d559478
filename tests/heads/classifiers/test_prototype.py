"""The prototype head, compared with cosines computed by hand."""

import numpy as np
import pytest

from heads.classifiers.prototype import PrototypeHead, _leave_one_out_cosines
from heads.linear_models.standardizer import Standardizer
from heads.linear_models.unit_vectors import to_unit_vectors
from heads.planted_signals import mean_signal
from heads.testing import HeadContract


class TestPrototypeKeepsTheContract(HeadContract):
    head = PrototypeHead()


def test_three_documents_per_class_are_enough_for_a_strong_signal() -> None:
    train, test = mean_signal(documents=9), mean_signal(documents=300, seed=1)
    assert PrototypeHead().fit(train.bags, train.y).score(test.bags, test.y) > 0.85


def test_scores_are_cosines_over_the_temperature_plus_the_log_prior() -> None:
    planted = mean_signal(documents=30)[np.arange(25)]
    head = PrototypeHead(pooling=("mean",), temperature=0.5).fit(planted.bags, planted.y)
    standard = planted.bags.pooled(("mean",)).astype(float)
    standard = (standard - standard.mean(0)) / standard.std(0)
    unit = standard / np.linalg.norm(standard, axis=1, keepdims=True)
    for column, label in enumerate(head.classes_):
        mean = unit[planted.y == label].mean(axis=0)
        expected = unit @ mean / np.linalg.norm(mean) / 0.5 + np.log(np.mean(planted.y == label))
        np.testing.assert_allclose(head.decision_function(planted.bags)[:, column], expected, atol=1e-5)


def test_the_temperature_is_selected_with_leave_one_out_prototypes() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 4)).astype(np.float32)
    unit = to_unit_vectors(features, Standardizer.fit(features, np.ones(6))).astype(float)
    member = np.array([[1, 0]] * 3 + [[0, 1]] * 3, dtype=float)
    cosines = _leave_one_out_cosines(unit, member.T @ unit, member)
    rest = unit[1] + unit[2]
    assert cosines[0, 0] == pytest.approx(unit[0] @ rest / np.linalg.norm(rest))
    other = unit[3:].sum(axis=0)
    assert cosines[0, 1] == pytest.approx(unit[0] @ other / np.linalg.norm(other))
