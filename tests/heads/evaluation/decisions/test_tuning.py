"""Selecting a rule: a family is selected if it is right, and not if it only looks right in-sample."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import (
    Decision,
    default_decision,
    multilabel,
    problem,
    single_label,
    tune_decision,
    tuning,
)
from heads.evaluation.decisions.evidence import RuleComparison
from heads.evaluation.decisions.expected_rules import WeightedProbabilities
from heads.evaluation.decisions.multilabel import per_label_thresholds, single_threshold
from heads.evaluation.decisions.objectives import Objective
from heads.evaluation.decisions.rules import (
    Argmax,
    DecisionRule,
    FixedThreshold,
    LogitAdjustment,
    PerLabelOffsets,
    PerLabelThresholds,
    SingleThreshold,
    WeightedMedian,
)
from heads.evaluation.decisions.single_label import logit_adjustment, per_label_offsets
from heads.evaluation.metrics import MACRO_F1, macro_f1
from tests.heads.evaluation.decisions import planted

SHIFTS = np.array([2, -2, 1, -1, 0, 0], dtype=np.float32)


def last(decision: Decision) -> RuleComparison:
    return decision.evidence.comparisons[-1]


@pytest.mark.parametrize("seed", range(3))
def test_balanced_and_calibrated_scores_are_decided_as_by_argmax(seed: int) -> None:
    scores, truth = planted.calibrated([100] * 6, seed)
    assert np.mean(tune_decision(scores, truth).rule.decide(scores) == scores.argmax(axis=1)) > 0.95


def test_a_prior_that_the_head_ignores_is_adjusted_for() -> None:
    scores, truth = planted.calibrated([600, 200, 60, 30, 20], prior_strength=0.0)
    (rule,) = logit_adjustment(single_label.Sample.of_all(scores.astype(np.float64), truth))
    assert isinstance(rule, LogitAdjustment)
    # -1 would restore the posterior, 0 favors rare labels as macro-F1 does: the best is between
    assert -1 <= rule.strength < 0
    assert tune_decision(scores, truth).evidence.selected.cross_fitted_gain > 0.05


def test_a_prior_that_the_head_exaggerates_is_adjusted_for() -> None:
    scores, truth = planted.calibrated([600, 200, 60, 30, 20], prior_strength=2.5)
    (rule,) = logit_adjustment(single_label.Sample.of_all(scores.astype(np.float64), truth))
    assert isinstance(rule, LogitAdjustment)
    assert rule.strength >= 1
    comparison = tune_decision(scores, truth).evidence.comparisons[1]
    assert comparison.cross_fitted_gain > 5 * comparison.standard_error


def test_a_shift_per_label_is_shifted_back() -> None:
    scores, truth = planted.calibrated([200] * 6)
    decision = tune_decision(scores + SHIFTS, truth)
    assert isinstance(decision.rule, WeightedProbabilities)
    fitted = per_label_offsets(single_label.Sample.of_all((scores + SHIFTS).astype(np.float64), truth))[-1]
    assert isinstance(fitted, PerLabelOffsets)
    for offsets in (decision.rule.offsets, fitted.offsets):
        assert np.corrcoef(offsets, -SHIFTS)[0, 1] > 0.97
    assert macro_f1(truth, decision.out_of_fold, 6) > macro_f1(truth, scores.argmax(axis=1), 6) - 0.02


def test_offsets_that_fit_noise_look_better_in_sample_and_are_not_selected() -> None:
    decision = tune_decision(*planted.noise_in_small_labels(large=300, small=6))
    assert last(decision).in_sample_gain > 0.01
    assert last(decision).cross_fitted_gain < last(decision).standard_error
    assert decision.rule == Argmax()


def test_unshrunk_offsets_are_better_in_sample_and_worse_on_new_documents() -> None:
    scores, truth = planted.noise_in_small_labels(large=300, small=6)
    other, unseen = planted.noise_in_small_labels(large=300, small=6, seed=100)
    flexible = per_label_offsets(single_label.Sample.of_all(scores.astype(np.float64), truth))[-1]
    metrics = {
        name: macro_f1(labels, rule.decide(values), 14)
        for name, rule, values, labels in [
            ("fitted", flexible, scores, truth),
            ("argmax", Argmax(), scores, truth),
            ("new documents", flexible, other, unseen),
            ("argmax, new documents", Argmax(), other, unseen),
        ]
    }
    assert metrics["fitted"] > metrics["argmax"] + 0.05
    assert metrics["new documents"] < metrics["argmax, new documents"] + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_ordinal_labels_select_the_median_if_its_error_is_below_that_of_argmax(seed: int) -> None:
    scores, truth = planted.ordinal(1000, seed=seed)
    decision = tune_decision(scores, truth, ordinal=True)
    other, unseen = planted.ordinal(1000, seed=seed + 100)
    errors = [
        float(ConfusionCounts.from_predictions(unseen, rule.decide(other), 5).absolute_error)
        for rule in (WeightedMedian(), Argmax())
    ]
    assert decision.rule == WeightedMedian()
    assert errors[0] < errors[1] - 0.1
    first, second = decision.evidence.comparisons
    assert (first.family, second.family, second.metric) == ("argmax", "weighted median", "mean absolute error")
    assert second.cross_fitted == pytest.approx(
        float(ConfusionCounts.from_predictions(truth, decision.out_of_fold, 5).absolute_error)
    )
    assert second.cross_fitted_gain == pytest.approx(first.cross_fitted - second.cross_fitted)
    # without an order the same scores are decided for F1, for which the median is bad
    assert tune_decision(scores, truth).rule != WeightedMedian()


def test_ordinal_labels_keep_argmax_if_the_median_gains_nothing() -> None:
    scores, truth = planted.ordinal(1000)
    clear = scores[:, 0] != scores[:, 0].max()
    decision = tune_decision(
        np.where(clear[:, None], scores * 20, 9.0 * (np.arange(5) == truth[:, None])), truth, ordinal=True
    )
    assert decision.rule == Argmax()
    assert decision.evidence.fallback_labels == 0


def test_a_reversed_order_selects_the_same_rule() -> None:
    scores, truth = planted.ordinal(400)
    forward, backward = (
        tune_decision(scores, truth, ordinal=True),
        tune_decision(scores[:, ::-1], 4 - truth, ordinal=True),
    )
    assert forward.rule == backward.rule
    assert [comparison.cross_fitted_gain for comparison in forward.evidence.comparisons] == [
        comparison.cross_fitted_gain for comparison in backward.evidence.comparisons
    ]


def test_a_threshold_that_is_wrong_for_all_labels_is_corrected() -> None:
    scores, truth = planted.multilabel([0.3] * 6)
    decision = tune_decision(scores - 2, truth)
    assert isinstance(decision.rule, SingleThreshold)
    # calibrated logits have their best F1 a little below 0 (Lipton et al. 2014: at half the F1); these are 2 lower
    assert -3.2 < decision.rule.threshold < -2


def test_thresholds_that_are_wrong_per_label_are_corrected() -> None:
    scores, truth = planted.multilabel([0.3] * 6)
    decision = tune_decision(scores + SHIFTS, truth)
    assert isinstance(decision.rule, PerLabelThresholds)
    assert np.corrcoef(decision.rule.thresholds, SHIFTS)[0, 1] > 0.95


def test_thresholds_of_rare_labels_that_fit_noise_are_not_selected() -> None:
    scores, truth = planted.multilabel([0.4, 0.4, *[0.01] * 12], seed=7)
    scores[:, :2] = np.where(truth[:, :2], 9, -9)
    scores[:, 2:] = np.random.default_rng(8).normal(0, 1.5, size=(len(scores), 12))
    decision = tune_decision(scores, truth)
    assert last(decision).family == "per-label thresholds"
    assert last(decision).in_sample_gain > 0.02
    assert not last(decision).selected


def test_the_same_call_gives_the_same_decision() -> None:
    scores, truth = planted.calibrated([300, 50, 20, 9])
    first, second = (tune_decision(scores, truth, groups=np.arange(len(truth)) // 2, seed=5) for _ in range(2))
    assert first == second
    assert np.array_equal(first.out_of_fold, second.out_of_fold)


@settings(deadline=None, max_examples=5)
@given(st.permutations(range(5)))
def test_permuted_labels_permute_the_rule(order: list[int]) -> None:
    columns, positions = np.array(order), np.argsort(order)
    scores, truth = planted.calibrated([60, 60, 40, 12, 3], prior_strength=0.0)
    scores = scores + SHIFTS[:5]
    plain, permuted = tune_decision(scores, truth), tune_decision(scores[:, columns], positions[truth])
    assert permuted.rule == plain.rule.reordered(columns)
    assert permuted.evidence == plain.evidence
    assert np.array_equal(columns[permuted.out_of_fold], plain.out_of_fold)


def test_permuted_columns_of_a_multilabel_target_permute_the_rule() -> None:
    columns = np.array([2, 5, 0, 1, 4, 3])
    scores, truth = planted.multilabel([0.3, 0.3, 0.2, 0.2, 0.1, 0.05], documents=300)
    scores = scores + SHIFTS
    plain, permuted = tune_decision(scores, truth), tune_decision(scores[:, columns], truth[:, columns])
    assert permuted.rule == plain.rule.reordered(columns)
    assert np.array_equal(permuted.out_of_fold, plain.out_of_fold[:, columns])


def test_a_constant_added_to_each_row_changes_nothing() -> None:
    scores, truth = planted.calibrated([60, 60, 40, 12, 3], prior_strength=0.0)
    scores = (scores * 256).round() / np.float32(256)  # so that float32 represents the sums exactly
    scores[::5, 0] = -np.inf
    shift = np.random.default_rng(0).integers(0, 50, size=(len(scores), 1)).astype(np.float32)
    plain, shifted = tune_decision(scores, truth), tune_decision(scores + shift, truth)
    assert shifted == plain
    assert np.array_equal(shifted.rule.decide(scores + shift), plain.rule.decide(scores))


def test_labels_with_one_to_three_documents_use_the_common_rule() -> None:
    scores, truth = planted.calibrated([200, 100, 40, 3, 1], prior_strength=0.0)
    scores[:, 3:] -= 6  # so that separate offsets would be far from it
    sample = single_label.Sample.of_all(scores.astype(np.float64), truth)
    common = logit_adjustment(sample)[0]
    assert isinstance(common, LogitAdjustment)
    for rule in per_label_offsets(sample):
        assert isinstance(rule, PerLabelOffsets)
        assert rule.offsets[3:] == tuple(common.offsets[3:])
    evidence = tune_decision(scores, truth).evidence
    assert evidence.fallback_labels == 2
    assert evidence.sentences[-1].startswith("2 labels with fewer than 4 documents")


def test_labels_that_few_documents_have_or_lack_use_the_common_threshold() -> None:
    scores, truth = planted.multilabel([0.3] * 4, documents=300)
    truth[:, 2:] = False
    truth[:3, 2] = True
    truth[3:, 3] = True
    sample = multilabel.Sample.of_all(scores, truth)
    common = single_threshold(sample)[0]
    assert isinstance(common, SingleThreshold)
    for rule in per_label_thresholds(sample):
        assert isinstance(rule, PerLabelThresholds)
        assert rule.thresholds[2:] == (common.threshold, common.threshold)


@pytest.mark.parametrize("kind", ["single", "multilabel"])
def test_columns_that_a_folds_head_has_not_seen_are_handled(kind: str) -> None:
    scores, truth = (
        planted.calibrated([200, 100, 40, 2, 1]) if kind == "single" else planted.multilabel([0.3, 0.2, 0.01])
    )
    scores[::3, -1] = -np.inf
    scores[::2, -2] = -np.inf
    scores[1] = -np.inf
    extra = np.full((len(scores), 1), -np.inf, dtype=np.float32)  # a label that only the test split has
    truth = truth if kind == "single" else np.column_stack([truth, np.zeros(len(truth), dtype=bool)])
    decision = tune_decision(np.column_stack([scores, extra]), truth)
    predicted = decision.out_of_fold
    has_extra = predicted[:, -1] if kind == "multilabel" else predicted == scores.shape[1]
    assert not has_extra.any()
    json.dumps(decision.to_json(), allow_nan=False)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 12), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_any_number_of_documents_gives_a_rule(documents: int, labels: int, multilabel: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(documents, labels)).astype(np.float32)
    truth = random.random(scores.shape) < 0.4 if multilabel else random.integers(labels, size=documents)
    decision = tune_decision(scores, truth, groups=random.integers(3, size=documents))
    assert decision.rule.decide(scores).shape == decision.out_of_fold.shape == truth.shape
    assert decision.out_of_fold.dtype == (np.bool_ if multilabel else np.int64)


class Recording(DecisionRule):
    """A rule that records what it was fitted to and what it decides."""

    family = "recording"

    def __init__(self, fitted: NDArray[Any], seen: list[tuple[set[float], set[float]]]) -> None:
        self.fitted, self.seen = set(fitted[:, 0].tolist()), seen

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        self.seen.append((self.fitted, set(scores[:, 0].tolist())))
        return np.asarray(scores > 0)


def test_no_rule_decides_a_document_or_a_group_that_it_was_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[float], set[float]]] = []

    def family(sample: Any) -> list[DecisionRule]:
        return [Recording(sample.all_scores[sample.rows], seen)]

    objective = Objective(MACRO_F1, (family, family), family)
    monkeypatch.setattr(problem, "find_objective", lambda *_, **__: objective)
    group = np.arange(60) // 3
    # one column, which names the group of each document
    tune_decision(group[:, None].astype(np.float32), np.arange(60)[:, None] % 2 == 0, groups=group)
    cross_fitted = [pair for pair in seen if len(pair[1]) < 20]
    # each fold is decided to compare candidates, and by the best of them
    assert len(cross_fitted) == 2 * 2 * problem.FOLDS * tuning.REPEATS
    assert all(not fitted & decided for fitted, decided in cross_fitted)


def test_the_scores_of_a_label_are_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, truth = planted.multilabel([0.3, 0.2, 0.1])
    sort, sorted_columns = np.argsort, []

    def count(values: NDArray[Any], *arguments: Any, **options: Any) -> NDArray[Any]:
        if np.issubdtype(values.dtype, np.floating):
            sorted_columns.append(len(values))
        return np.asarray(sort(values, *arguments, **options))

    monkeypatch.setattr(np, "argsort", count)
    assert isinstance(tune_decision(scores, truth).rule, DecisionRule)
    assert sorted_columns == [*[len(scores)] * 3, scores.size]  # and all of them together


def test_the_evidence_measures_the_out_of_fold_predictions() -> None:
    scores, truth = planted.calibrated([200] * 6)
    decision = tune_decision(scores + SHIFTS, truth)
    comparison = decision.evidence.selected
    assert macro_f1(truth, decision.out_of_fold, 6) == pytest.approx(comparison.cross_fitted, abs=0.01)
    assert last(decision).cross_fitted < last(decision).in_sample


def test_the_default_decision_is_argmax_or_a_threshold_of_one_half() -> None:
    scores, truth = planted.calibrated([50, 50])
    decision = default_decision(scores, truth)
    assert decision.rule == Argmax()
    assert np.array_equal(decision.out_of_fold, scores.argmax(axis=1))
    assert [comparison.family for comparison in decision.evidence.comparisons] == ["argmax"]
    assert default_decision(*planted.multilabel([0.4])).rule == FixedThreshold()
    ordinal = default_decision(*planted.ordinal(50), ordinal=True)
    assert ordinal.rule == Argmax()
    assert [comparison.metric for comparison in ordinal.evidence.comparisons] == ["mean absolute error"]


@pytest.mark.parametrize("sample", [planted.calibrated([60, 20, 3]), planted.multilabel([0.3, 0.2])])
def test_a_decision_comes_back_from_json(sample: tuple[Any, Any]) -> None:
    decision = tune_decision(*sample)
    assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision


@pytest.mark.parametrize("content", [{}, {"rule": {"family": "argmax"}}, {"rule": {}, "evidence": {}}])
def test_content_that_is_not_a_decision_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the content is not a decision"):
        Decision.from_json(content)


def test_many_documents_are_decided_by_the_rule_of_a_sample_in_whole_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SAMPLE", 60)
    monkeypatch.setattr(tuning, "SAMPLE_PER_LABEL", 1)
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 600)
    scores = np.stack([random.normal(size=600) - truth + 2, random.normal(size=600) + truth], axis=1)
    groups, fitted = np.arange(600) // 2, list[Any]()
    tune = tuning._tune

    def watch(scores: Any, truth: Any, groups: Any, *rest: Any) -> Any:
        fitted.append(groups)
        return tune(scores, truth, groups, *rest)

    monkeypatch.setattr(tuning, "_tune", watch)
    decision = tune_decision(scores, truth, groups)
    assert decision.evidence.documents == len(fitted[0]) <= 62
    assert set(np.unique(fitted[0], return_counts=True)[1]) == {2}
    others = ~np.isin(groups, fitted[0])
    np.testing.assert_array_equal(decision.out_of_fold[others], decision.rule.decide(scores)[others])
    assert decision.out_of_fold.shape == (600,) and decision.evidence.comparisons[-1].metric == "macro-F1"


@pytest.mark.parametrize("positives", [32, 34, 36, 38, 40])
def test_a_label_may_be_rare_in_some_folds_and_not_in_others(positives: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((400, 2), dtype=bool)
    truth[:positives, 0], truth[200:, 1] = True, True
    decision = tune_decision(rng.normal(size=(400, 2)) + 2 * truth, truth)
    assert decision.out_of_fold.shape == truth.shape


@pytest.mark.parametrize("seed", [23, 29])
def test_of_two_rules_with_one_number_the_better_one_is_selected(seed: int) -> None:
    rng, shares = np.random.default_rng(seed), [0.7, 0.2, 0.07, 0.03]
    truth = rng.choice(4, size=500, p=shares)
    scores = rng.normal(size=(500, 4)) + 1.5 * np.eye(4)[truth] + 0.6 * np.log(shares)
    comparisons = {each.family: each for each in tune_decision(scores, truth).evidence.comparisons}
    weighted, adjusted = comparisons["weighted probabilities"], comparisons["logit adjustment"]
    assert weighted.selected
    assert adjusted.baseline == "weighted probabilities"
    assert 0 < adjusted.cross_fitted_gain < adjusted.standard_error  # each is better than argmax by its margin
    assert adjusted.selected


def test_a_family_that_was_fitted_in_one_repeat_is_compared_in_that_repeat() -> None:
    scores, truth = planted.calibrated([40, 40])
    built = problem.Problem.build(
        scores, truth, problem.Selection.of(truth, None, None, ordinal=False, labels_only=False)
    )
    right, wrong = built.truth, 1 - built.truth
    half = np.where(np.arange(len(right)) % 2, right, wrong)
    values = [built.signed_value(each) for each in (right, wrong, wrong)]
    current = tuning._FittedFamily(Argmax(), 2.0, 1.0, [right, wrong, wrong], values)
    candidate = tuning._FittedFamily(Argmax(), 0.0, 1.0, [half], [built.signed_value(half)])
    assert np.mean(values) < candidate.values[0] < values[0]
    comparison = candidate.compare(current, built, 0)
    assert comparison.cross_fitted_gain < -0.4 and not comparison.selected


def test_a_label_that_nearly_all_documents_have_counts_as_rare() -> None:
    scores, truth = planted.multilabel([0.5, 0.5], documents=60)
    truth[:, 1] = True
    assert tune_decision(scores, truth).evidence.fallback_labels == 0
    truth[:2, 1] = False
    assert tune_decision(scores, truth).evidence.fallback_labels == 1


@pytest.mark.parametrize(("objective", "seed"), [("hf1", 1), ("hf1", 2), ("distance", 1)])
def test_no_rule_is_compared_twice(objective: str, seed: int) -> None:
    parents = {"a": (), "b": (), "a/x": ("a",), "a/y": ("a",), "b/w": ("b",), "b/z": ("b",)}
    hierarchy = Hierarchy.of(Taxonomy(parents), ("a/x", "a/y", "b/w", "b/z"))
    random = np.random.default_rng(seed)
    truth = random.choice(4, size=60, p=[0.55, 0.25, 0.15, 0.05])
    scores = random.normal(size=(60, 4)) * 1.5 + np.eye(4)[truth]
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    decision = tune_decision(scores.astype(np.float32), truth, seed=seed, hierarchy=hierarchy, objective=objective)
    names = [each.family for each in decision.evidence.comparisons]
    assert len({*names}) == len(names)
