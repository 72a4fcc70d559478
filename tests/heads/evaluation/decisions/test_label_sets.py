"""Label sets: equal to a slow reference, covering what is requested, and the same whenever they are made."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.mapie_sets import Stored
from data.errors import CallError
from heads.evaluation.decisions.label_set_fitting import calibrate_label_sets, fit_label_sets
from heads.evaluation.decisions.label_sets import (
    LabelSetOptions,
    LabelSetRule,
    SetScore,
    conformal_threshold,
    uniform_numbers,
)
from heads.evaluation.label_set_metrics import LabelSetMetrics, label_set_metrics

Sample = tuple[NDArray[np.float64], NDArray[np.int64], list[str]]
SCORES: tuple[SetScore, ...] = ("probability", "aps", "raps")


def draw(documents: int, labels: int = 4, seed: int = 0, sharpness: float = 2.0) -> Sample:
    """Probabilities (documents, labels), labels drawn from them, and ids."""
    random = np.random.default_rng(seed)
    probabilities = np.exp(sharpness * random.normal(size=(documents, labels)))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth = (probabilities.cumsum(axis=1) > random.random((documents, 1))).argmax(axis=1)
    return probabilities, truth, [f"{seed}-{row}" for row in range(documents)]


def slow_score(rule: LabelSetRule, probabilities: Any, label: int, uniform: float) -> float:
    """The score of one label of one document, by the equations of the papers; the most probable label is decided."""
    if not rule.options.allow_empty and label == int(np.argmax(probabilities)):
        return -math.inf
    if rule.options.score == "probability":
        return -float(probabilities[label])
    more_probable = [each for each in probabilities if each > probabilities[label]]
    penalty = rule.penalty * max(len(more_probable) + 1 - rule.free_ranks, 0)
    return math.fsum(more_probable) + uniform * float(probabilities[label]) + penalty


def slow_threshold(scores: list[float], level: float) -> float:
    """The lowest score that enough others are at most equal to: with the new one, the share `level` of all."""
    for score in sorted(scores):
        if sum(other <= score for other in scores) >= level * (len(scores) + 1) - 1e-9:
            return score
    return math.inf


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(SCORES), st.booleans(), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 99))
def test_sets_are_those_of_a_slow_reference(score: SetScore, allow_empty: bool, level: float, seed: int) -> None:
    probabilities, truth, ids = draw(40, seed=seed)
    options = LabelSetOptions(level=level, score=score, allow_empty=allow_empty)
    rule = LabelSetRule(options, (), penalty=0.1 if score == "raps" else 0.0, free_ranks=2, seed=seed)
    uniform = uniform_numbers(ids, rule.seed)
    true_scores = [slow_score(rule, row, label, u) for row, label, u in zip(probabilities, truth, uniform, strict=True)]
    threshold = slow_threshold(true_scores, level)
    assert conformal_threshold(np.array(true_scores), level) == threshold
    rule = replace(rule, thresholds=(threshold,) * 4)
    new, _, new_ids = draw(10, seed=seed + 1000)
    expected = [
        [slow_score(rule, row, label, u) <= threshold for label in range(4)]
        for row, u in zip(new, uniform_numbers(new_ids, rule.seed), strict=True)
    ]
    assert rule.sets(new, new_ids).tolist() == expected
    if score != "raps":  # whose penalty is chosen on other documents
        fitted, _ = fit_label_sets(probabilities, truth, probabilities.argmax(axis=1), ids, options, seed=seed)
        assert fitted.thresholds[0] == pytest.approx(threshold)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("allow_empty", [False, True])
def test_new_documents_are_covered_as_often_as_requested(score: SetScore, allow_empty: bool) -> None:
    options = LabelSetOptions(level=0.9, score=score, allow_empty=allow_empty)  # argmax is right for two thirds
    covered = []
    for seed in range(12):
        probabilities, truth, ids = draw(400, seed=seed)
        rule, _ = fit_label_sets(
            probabilities[:200], truth[:200], probabilities[:200].argmax(axis=1), ids[:200], options
        )
        covered.append(rule.sets(probabilities[200:], ids[200:])[np.arange(200), truth[200:]].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("level", [0.85, 0.95])
def test_sets_are_those_of_mapie(level: float) -> None:
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import APSConformityScore

    (known, truth, ids), (new, _, new_ids) = draw(2000), draw(2000, seed=1)
    of_mapie = SplitConformalClassifier(Stored(4), confidence_level=level, prefit=True).conformalize(known, truth)
    rule = calibrate_label_sets(known, truth, None, ids, LabelSetOptions(level=level, allow_empty=True))
    assert np.array_equal(rule.sets(new, new_ids, None), of_mapie.predict_set(new)[1][:, :, 0])

    # aps draws numbers, and the other package others
    aps = SplitConformalClassifier(
        Stored(4), confidence_level=level, conformity_score=APSConformityScore(), prefit=True, random_state=0
    ).conformalize(known, truth)
    rule = calibrate_label_sets(known, truth, None, ids, LabelSetOptions(level=level, score="aps", allow_empty=True))
    expected = aps.predict_set(new, conformity_score_params={"include_last_label": "randomized"})[1][:, :, 0]
    assert rule.sets(new, new_ids, None).sum() == pytest.approx(expected.sum(), rel=0.03)


def test_each_set_has_the_decided_label_unless_it_may_be_empty() -> None:
    probabilities, truth, ids = draw(300)
    decided = np.where(np.arange(300) % 10 == 0, probabilities.argmin(axis=1), probabilities.argmax(axis=1))
    rule, sets = fit_label_sets(probabilities, truth, decided, ids, LabelSetOptions(level=0.3, score="aps"))
    assert (sets.sum(axis=1) == 1).all() and sets[np.arange(300), decided].all()
    assert (rule.sets(probabilities, ids, decided).argmax(axis=1) == decided).all()
    # a node that is no label, and an undecided document, leave the most probable label
    assert (rule.sets(probabilities, ids, np.full(300, 7)).argmax(axis=1) == probabilities.argmax(axis=1)).all()
    options = LabelSetOptions(level=0.3, score="aps", allow_empty=True)
    _, sets = fit_label_sets(probabilities, truth, decided, ids, options)
    assert (~sets.any(axis=1)).mean() > 0.3


def test_thresholds_per_label_cover_each_label_and_rare_labels_share_one() -> None:
    probabilities, truth, ids = draw(3000, labels=3, sharpness=1.0)
    truth[:1500] = np.where(truth[:1500] == 2, 0, truth[:1500])  # documents of the last label look like the first two
    options, predicted = LabelSetOptions(level=0.9), probabilities.argmax(axis=1)
    _, common = fit_label_sets(probabilities, truth, predicted, ids, options)
    rule, of_labels = fit_label_sets(probabilities, truth, predicted, ids, replace(options, per_label=True))
    shares = [[sets[truth == label, label].mean() for label in range(3)] for sets in (common, of_labels)]
    assert min(shares[0]) < 0.86
    assert shares[1] == pytest.approx([0.9, 0.9, 0.9], abs=0.02)
    assert len(set(rule.thresholds)) == 3
    kept = np.concatenate([np.flatnonzero(truth == label)[:documents] for label, documents in enumerate((400, 8, 8))])
    few, labels = [ids[row] for row in kept], truth[kept]  # 9 documents are needed for a threshold
    rule, _ = fit_label_sets(probabilities[kept], labels, predicted[kept], few, replace(options, per_label=True))
    assert rule.thresholds[1] == rule.thresholds[2] != rule.thresholds[0]


def test_random_numbers_follow_from_the_id_and_the_seed_alone() -> None:
    numbers = uniform_numbers(["a", "b", "a"], 0)
    assert numbers[0] == numbers[2] != numbers[1] and numbers[0] != uniform_numbers(["a"], 1)[0]
    many = uniform_numbers([str(row) for row in range(2000)], 0)
    assert many.min() >= 0 and many.max() < 1
    assert np.quantile(many, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    rule = LabelSetRule(LabelSetOptions(level=0.9, score="aps"), (0.8,) * 4)
    probabilities, _, ids = draw(50)
    np.testing.assert_array_equal(rule.sets(probabilities, ids)[10:20], rule.sets(probabilities[10:20], ids[10:20]))


def test_the_out_of_fold_set_of_a_document_does_not_depend_on_its_label() -> None:
    probabilities, truth, ids = draw(100)
    options, predicted = LabelSetOptions(level=0.9), probabilities.argmax(axis=1)
    _, sets = fit_label_sets(probabilities, truth, predicted, ids, options, groups=np.arange(100))
    # with the document's own score, the threshold would be the one of all documents
    rule, _ = fit_label_sets(probabilities, truth, predicted, ids, options)
    assert (sets != rule.sets(probabilities, ids, predicted)).any()


def test_metrics_of_sets_are_counts() -> None:
    sets = np.array([[True, False, False]] * 30 + [[True, True, False]] * 10)
    truth = np.array([0] * 30 + [0, 1, 2, 1, 1, 1, 1, 1, 1, 1])
    metrics = label_set_metrics(sets, truth)
    assert metrics.coverage.value == 39 / 40 and metrics.mean_size.value == 50 / 40 and metrics.single.value == 30 / 40
    assert metrics.sizes == (0, 30, 10, 0)
    assert metrics.worst_label == 0 and metrics.worst_label_coverage is not None  # the others have few documents
    for interval in (metrics.coverage, metrics.mean_size, metrics.single, metrics.worst_label_coverage):
        assert interval.low <= interval.value <= interval.high
    assert 1 < metrics.mean_size.low < 1.25 < metrics.mean_size.high < 1.5
    assert LabelSetMetrics.from_json(json.loads(json.dumps(metrics.to_json()))) == metrics


@pytest.mark.parametrize("score", SCORES)
def test_a_rule_with_evidence_comes_back_from_json(score: SetScore) -> None:
    probabilities, truth, ids = draw(100)
    options = LabelSetOptions(level=0.3, score=score)
    rule, _ = fit_label_sets(probabilities, truth, probabilities.argmax(axis=1), ids, options, seed=3)
    read = LabelSetRule.from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False)))
    assert read == rule and read.evidence == rule.evidence
    assert "requested are 30 %" in rule.sentence


def test_levels_and_labels_that_have_no_sets_are_refused() -> None:
    probabilities, truth, ids = draw(60)
    with pytest.raises(CallError, match=r"99 % of documents need thresholds from at least 99 documents"):
        fit_label_sets(probabilities, truth, truth, ids, LabelSetOptions(level=0.99))
    with pytest.raises(CallError, match="Label sets are for documents with one label"):
        fit_label_sets(probabilities, probabilities > 0.5, truth, ids, LabelSetOptions(level=0.9))
    for level in (0.0, 1.0, 97.0, math.nan):
        with pytest.raises(CallError, match="--label-sets must be above 0 and below 1"):
            LabelSetOptions(level=level)
    with pytest.raises(CallError, match="There is no score 'lac' of label sets"):
        LabelSetOptions(level=0.9, score="lac")  # type: ignore[arg-type]
