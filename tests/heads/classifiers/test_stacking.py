"""The stacking ensemble: what it learns from the scores of other heads, and what it stores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import CallError, RunDamaged, UnknownName
from featurestore import Bags
from heads.classifiers.stacking import StackingHead, stack_probabilities
from heads.evaluation.score_matrix import MIN_PROBABILITY
from heads.planted_signals import mean_signal

LABELS = ("a", "b", "c")


def simulate_run(skill: float, truth: NDArray[Any], seed: int, labels: int = 3) -> NDArray[np.float32]:
    """Probabilities of a head with the given skill: 0 is chance."""
    rng = np.random.default_rng(seed)
    scores = skill * (truth[:, None] == np.arange(labels)) + rng.normal(size=(len(truth), labels))
    return np.asarray(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), dtype=np.float32)


def simulate_runs(*skills: float, documents: int = 300) -> tuple[list[NDArray[np.float32]], NDArray[Any]]:
    truth = np.arange(documents) % 3
    runs = [simulate_run(skill, truth, seed) for seed, skill in enumerate(skills)]
    return runs, np.array(LABELS, dtype=object)[truth]


def test_the_better_run_has_more_weight_and_the_ensemble_beats_it() -> None:
    runs, names = simulate_runs(3, 2, 0, documents=3000)
    head = StackingHead().fit(stack_probabilities(runs, multilabel=False), names)
    assert head.weights_[0] > head.weights_[1] > head.weights_[2] and abs(head.weights_[2]) < 0.2
    best_run = (np.array(LABELS, dtype=object)[runs[0].argmax(axis=1)] == names).mean()
    assert (head.predict(stack_probabilities(runs, multilabel=False)) == names).mean() > best_run + 0.01
    assert head.parameter_count_ == 3 + 3


def test_a_strong_prior_is_the_mean_of_the_runs() -> None:
    runs, names = simulate_runs(3, 1)
    shares = (
        StackingHead(C=1e-9)
        .fit(stack_probabilities(runs, multilabel=False), names)
        .predict_proba(stack_probabilities(runs, multilabel=False))
    )
    mean = np.sqrt(runs[0] * runs[1])
    np.testing.assert_allclose(shares, mean / mean.sum(axis=1, keepdims=True), atol=1e-4)


def test_it_finds_the_minimum_of_its_loss() -> None:
    runs, names = simulate_runs(2, 1, documents=60)
    bags = stack_probabilities(runs, multilabel=False)
    head = StackingHead(C=0.7).fit(bags, names)
    codes, log_shares = np.searchsorted(LABELS, names.astype(str)), np.log(np.stack(runs))

    def loss(weights: NDArray[Any], offsets: NDArray[Any]) -> float:
        logits = np.tensordot(weights, log_shares, 1) + offsets
        likelihood = logits[np.arange(60), codes] - np.log(np.exp(logits).sum(axis=1))
        return float(-likelihood.sum() + (((weights - 0.5) ** 2).sum() + (offsets**2).sum()) / 1.4)

    minimum = loss(head.weights_, head.offsets_)
    for step in np.random.default_rng(0).normal(0, 0.05, size=(50, 5)):
        assert loss(head.weights_ + step[:2], head.offsets_ + step[2:]) > minimum


def test_a_weight_of_two_equals_two_copies_of_the_document() -> None:
    runs, names = simulate_runs(2, 1, documents=60)
    bags, weight = stack_probabilities(runs, multilabel=False), np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(60), weight.astype(int))
    heads = [StackingHead().fit(bags, names, sample_weight=weight), StackingHead().fit(bags[twice], names[twice])]
    one, other = (head.decision_function(bags) for head in heads)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_an_unseen_label_does_not_shift_the_columns_of_the_others() -> None:
    runs, names = simulate_runs(3, 2)
    bags, seen = stack_probabilities(runs, multilabel=False), np.flatnonzero(names != "b")
    head = StackingHead(columns=LABELS).fit(bags[seen], names[seen])
    others = stack_probabilities([shares[:, [0, 2]] for shares in runs], multilabel=False)
    alone = StackingHead().fit(others[seen], names[seen])
    assert head.classes_.tolist() == ["a", "c"]
    np.testing.assert_allclose(head.decision_function(bags), alone.decision_function(others), atol=1e-5)
    with pytest.raises(CallError, match="stack was given 2 labels, but the scores have 3 columns"):
        StackingHead().fit(bags[seen], names[seen])


@given(st.sampled_from([0.0, 1e-30, 0.5, 1.0]), st.booleans())
def test_probabilities_of_zero_and_one_have_finite_scores(share: float, multilabel: bool) -> None:
    bags = stack_probabilities([np.array([[share, 1 - share]]), np.array([[0.5, 0.5]])], multilabel=multilabel)
    values, offsets = bags.view("scores").gather(np.float32)
    assert offsets.tolist() == [0, 2] and values.shape == (2, 2)
    assert np.isfinite(values).all() and np.abs(values).max() <= -np.log(MIN_PROBABILITY) + 0.1


def test_multilabel_targets_have_log_odds_and_one_offset_per_label() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < (0.5, 0.2, 0.0)
    odds = np.stack([skill * (truth - 0.5) + rng.normal(size=truth.shape) for skill in (4, 1)])
    bags = stack_probabilities(list(1 / (1 + np.exp(-odds))), multilabel=True)
    head = StackingHead(C=0.7).fit(bags, truth)

    def loss(weights: NDArray[Any], offsets: NDArray[Any]) -> float:
        logits = np.tensordot(weights, odds, 1) + offsets
        negative_log_likelihood = np.log1p(np.exp(np.where(truth, -logits, logits))).sum()
        return float(negative_log_likelihood + (((weights - 0.5) ** 2).sum() + (offsets**2).sum()) / 1.4)

    minimum = loss(head.weights_, head.offsets_)
    for step in rng.normal(0, 0.05, size=(50, 5)):
        assert loss(head.weights_ + step[:2], head.offsets_ + step[2:]) > minimum
    assert head.weights_[0] > head.weights_[1] and ((head.predict_proba(bags) > 0.5) == truth).mean() > 0.95


def test_a_loaded_head_predicts_the_same(tmp_path: Path) -> None:
    runs, names = simulate_runs(3, 2)
    bags = stack_probabilities(runs, multilabel=False)
    head = StackingHead(columns=LABELS, class_weight="sqrt").fit(bags, names)
    head.save(tmp_path)
    loaded = StackingHead.load(tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(bags), head.decision_function(bags))
    (tmp_path / "stack.safetensors").write_bytes(b"")
    with pytest.raises(RunDamaged):
        StackingHead.load(tmp_path)


def test_features_are_refused_as_scores() -> None:
    planted = mean_signal(documents=30)
    with pytest.raises(UnknownName, match="stack reads scores"):
        StackingHead().fit(planted.bags, planted.y)
    with pytest.raises(UnknownName, match="stack reads scores"):
        StackingHead().fit(Bags.from_array(np.eye(3)), list(LABELS))
