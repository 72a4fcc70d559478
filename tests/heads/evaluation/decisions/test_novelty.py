"""Documents unlike training: the distance equals its definition, and left-out labels are found at the allowed rate."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.decisions import novelty
from heads.evaluation.decisions.novelty import OtherRule, TrainingDistance, fit_other


def draw_clusters(
    documents: int, labels: int = 8, dims: int = 12, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors around a center per label, and their labels; a few directions vary in all of them alike."""
    random = np.random.default_rng(7)
    centers, common = random.normal(size=(labels, dims)), random.normal(size=(3, dims))
    random = np.random.default_rng(seed)
    truth = random.integers(labels, size=documents)
    vectors = 2 * centers[truth] + 0.35 * random.normal(size=(documents, dims))
    return (vectors + 2 * random.normal(size=(documents, 3)) @ common).astype(np.float32), truth


def test_the_distance_is_the_relative_mahalanobis_distance_of_unit_vectors() -> None:
    vectors, truth = draw_clusters(200)
    distance, shrinkage = TrainingDistance.fit(vectors[:150], truth[:150], 0.1), 0.1
    units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([units[:150][truth[:150] == label].mean(axis=0) for label in range(8)])

    def inverse(centered: Any) -> Any:
        covariance = centered.T @ centered / len(centered)
        average = np.trace(covariance) / len(covariance)
        return np.linalg.inv((1 - shrinkage) * covariance + shrinkage * average * np.eye(len(covariance)))

    within, overall = inverse(units[:150] - means[truth[:150]]), inverse(units[:150] - units[:150].mean(axis=0))
    expected = []
    for unit in units[150:]:
        to_means = [(unit - mean) @ within @ (unit - mean) for mean in means]
        to_all = unit - units[:150].mean(axis=0)
        expected.append(min(to_means) - to_all @ overall @ to_all)
    assert distance.distances(vectors[150:]) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert np.isfinite(distance.distances(np.zeros((1, 12), np.float32))).all()


def test_documents_of_labels_that_were_left_out_are_found_at_the_allowed_rate_of_false_alarms() -> None:
    vectors, truth = draw_clusters(1200)
    known = truth < 6
    rule, distance, is_other = fit_other(lambda rows: vectors[known][rows], truth[known], "mean", 0.05)
    new, new_truth = draw_clusters(1200, seed=1)
    beyond = rule.is_other(distance.distances(new))
    assert beyond[new_truth < 6].mean() == pytest.approx(0.05, abs=0.02)
    assert is_other.mean() == pytest.approx(0.05, abs=0.02) == rule.measured_false_alarms
    found = beyond[new_truth >= 6].mean()
    assert found > 0.8 and rule.found.value == pytest.approx(found, abs=0.15)
    assert rule.found.low <= rule.found.value <= rule.found.high
    assert len(rule.found_by_label) == 6 and all(share is not None and share > 0.5 for share in rule.found_by_label)
    assert "5 % were allowed" in rule.sentences[0]
    assert OtherRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule


def test_documents_beyond_the_sample_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "SAMPLE", 150)
    vectors, truth = draw_clusters(500)
    read: list[int] = []

    def count(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        read.append(len(rows))
        return vectors[rows]

    rule, distance, is_other = fit_other(count, truth, "mean", 0.05)
    assert len(is_other) == sum(read) == 500 and max(read) <= 151
    agree = is_other == rule.is_other(distance.distances(vectors))
    assert agree.mean() > 0.95  # those of the sample are compared out of fold


def test_false_alarms_are_measured_with_the_thresholds_of_other_folds() -> None:
    distances, fold_of = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)
    # one in four documents may be beyond: of three, the highest one is the threshold
    assert novelty._cross_fitted_alarms(distances, fold_of, 0.25).tolist() == [False] * 3 + [True] * 3


def test_a_label_without_documents_has_no_share() -> None:
    vectors, truth = draw_clusters(300)
    kept = truth != 2
    rule, _, _ = fit_other(lambda rows: vectors[kept][rows], truth[kept], "mean", 0.05)
    assert rule.found_by_label[2] is None and rule.found_by_label[3] is not None


def test_too_few_labels_or_documents_are_refused() -> None:
    vectors, truth = draw_clusters(40)
    with pytest.raises(CallError, match="--other needs documents of at least 3 labels"):
        fit_other(lambda rows: vectors[rows], truth % 2, "mean", 0.05)
    with pytest.raises(CallError, match=r"--false-alarms 0.01 cannot be measured on 40 documents"):
        fit_other(lambda rows: vectors[rows], truth, "mean", 0.01)
    with pytest.raises(CallError, match="each label has one"):
        fit_other(lambda rows: vectors[rows], np.arange(40), "mean", 0.05)
    with pytest.raises(CallError, match="needs documents of two labels among the rest"):  # a label per group
        fit_other(lambda rows: vectors[rows], np.arange(40) % 3, "mean", 0.05, np.arange(40) % 3)


def test_fewer_groups_than_folds_are_enough() -> None:
    vectors, truth = draw_clusters(300)
    rule, _, is_other = fit_other(lambda rows: vectors[rows], truth, "mean", 0.05, np.arange(300) % 3)
    assert 0 < is_other.mean() < 0.2 and rule.found.value > 0.3
    with pytest.raises(CallError, match="needs documents of two labels among the rest"):
        fit_other(lambda rows: vectors[rows], truth, "mean", 0.05, np.zeros(300, dtype=np.int64))


def test_a_fold_of_left_out_labels_alone_is_not_used() -> None:
    vectors, truth = draw_clusters(200, labels=5)
    groups, seed = truth, 3  # one label per fold, and with this seed a fold has the label that is left out
    rule, _, _ = fit_other(lambda rows: vectors[rows], truth, "mean", 0.05, groups, seed)
    assert 0 <= rule.found.value <= 1
