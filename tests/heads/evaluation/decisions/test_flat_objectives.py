"""Objectives of labels without a taxonomy: the metric that is raised, the rules that are compared, what is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision, tune_decision
from heads.evaluation.decisions.expected_rules import BestExpectedFBeta, LowestExpectedCost
from heads.evaluation.decisions.objective_metrics import FBeta, measure_costs
from heads.evaluation.decisions.objective_request import ObjectiveRequest, find_objective
from heads.evaluation.decisions.objectives import FLAT_OBJECTIVES
from heads.evaluation.decisions.optimizers.flips import NegativeCost
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.decisions.rules import LogitAdjustment
from heads.evaluation.decisions.single_label import Sample, tempered_expected_cost
from tests.heads.evaluation.decisions import planted

SINGLE = planted.calibrated([300, 80, 30, 20], prior_strength=3.0)
SEVERAL = planted.multilabel([0.35, 0.2, 0.1], documents=400)
COSTS = np.array([[0.0, 1, 1, 1], [9, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]])


def request(name: str) -> ObjectiveRequest:
    return ObjectiveRequest(name=name, beta=2.0 if name.endswith("fbeta") else None)


def of_kind(several: bool) -> list[str]:
    return [name for name, makers in FLAT_OBJECTIVES.items() if makers[several] is not None]


@pytest.mark.parametrize(
    ("name", "several"), [(name, several) for several in (False, True) for name in of_kind(several)]
)
def test_the_rule_of_an_objective_raises_its_metric(name: str, several: bool) -> None:
    scores, truth = SEVERAL if several else SINGLE
    scores = scores - 2.5 if several else scores  # so that the default is far from the best
    evidence = tune_decision(scores, truth, objective=request(name)).evidence
    untuned, selected = evidence.comparisons[0], evidence.selected
    assert selected.cross_fitted > untuned.cross_fitted + 0.01
    metric = find_objective(request(name), None, is_multilabel=several).metric
    decided = tune_decision(scores, truth, objective=request(name)).out_of_fold
    value = float(metric.value(ConfusionCounts.from_predictions(truth, decided, scores.shape[1])))
    assert value == pytest.approx(selected.cross_fitted, abs=0.02)
    assert evidence.metric == metric.name


def test_f_beta_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import fbeta_score

    predicted = np.roll(SINGLE[1], 7)
    for truth, other in ((SINGLE[1], predicted), (SEVERAL[1], np.roll(SEVERAL[1], 3, axis=0))):
        labels = 4 if truth.ndim == 1 else 3
        counts = ConfusionCounts.from_predictions(truth, other, labels)
        for average, beta in (("macro", 2.0), ("micro", 0.5)):
            expected = fbeta_score(truth, other, beta=beta, average=average)
            metric = FBeta.of("macro" if average == "macro" else "micro", beta)
            assert float(metric.value(counts)) == pytest.approx(expected, abs=1e-12)
    assert FBeta.of("macro", 0.5).name == "macro-F0.5"


def test_balanced_accuracy_divides_by_the_shares_of_labels() -> None:
    scores, truth = planted.calibrated([600, 60, 40])
    rule = tune_decision(scores, truth, objective="balanced-accuracy").rule
    assert isinstance(rule, LogitAdjustment) and 0.8 < rule.strength < 1.2
    untuned = default_decision(scores, truth, objective="balanced-accuracy").rule
    assert isinstance(untuned, LogitAdjustment) and untuned.strength == 1.0


def test_the_fitted_logit_adjustment_has_another_name_than_that_of_balanced_accuracy() -> None:
    scores, truth = planted.calibrated([600, 60, 40], prior_strength=2.0)
    compared = tune_decision(scores, truth, objective="balanced-accuracy").evidence.comparisons
    names = [comparison.family for comparison in compared]
    assert names[:3] == ["argmax", "logit adjustment of strength 1", "logit adjustment"]
    assert len({*names}) == len(names)


def mean_cost(truth: NDArray[Any], predicted: NDArray[Any], costs: NDArray[np.float64]) -> float:
    return float(measure_costs(truth, predicted, costs)["cost"].mean())


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_costs_are_those_of_their_labels_in_any_order(order: list[int]) -> None:
    scores, truth = planted.calibrated([60, 200, 100, 80])
    columns = np.array(order)
    scores, truth, costs = scores[:, columns], np.argsort(columns)[truth], COSTS[np.ix_(columns, columns)]
    decision = tune_decision(scores, truth, objective=ObjectiveRequest(name="cost", costs=costs))
    assert isinstance(decision.rule, LowestExpectedCost)
    untuned, selected = decision.evidence.comparisons[0], decision.evidence.selected
    assert selected.cross_fitted < untuned.cross_fitted - 0.02
    assert untuned.cross_fitted == pytest.approx(mean_cost(truth, scores.argmax(axis=1), costs))
    assert mean_cost(truth, decision.out_of_fold, costs) == pytest.approx(selected.cross_fitted, abs=0.02)
    assert "lowers the mean cost by" in decision.evidence.sentences[1]


def test_no_label_has_a_lower_expected_cost() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 4))
    scores[:5, 2] = -np.inf
    probabilities = np.exp(scores / 0.5) / np.exp(scores / 0.5).sum(axis=1, keepdims=True)
    rule = LowestExpectedCost.of(COSTS, 0.5)
    expected = probabilities @ COSTS
    expected[:5, 2] = np.inf  # a label without a score is never predicted
    assert np.array_equal(rule.decide(scores), expected.argmin(axis=1))
    order = [3, 1, 0, 2]
    assert np.array_equal(np.array(order)[rule.reordered(order).decide(scores[:, order])], rule.decide(scores))
    assert rule.decide(np.full((2, 4), -np.inf)).tolist() == [0, 0]
    assert rule_from_json(rule.to_json()) == rule and rule.name == "lowest expected cost with temperature"


def test_the_temperature_restores_scores_that_were_multiplied() -> None:
    scores, truth = planted.calibrated([2000, 1000, 500])
    value = NegativeCost(np.ones((3, 3)) - np.eye(3))
    (rule,) = tempered_expected_cost(Sample.of_all(3 * scores.astype(np.float64), truth, value))
    assert isinstance(rule, LowestExpectedCost) and rule.temperature == pytest.approx(3.0, rel=0.1)
    (rule,) = tempered_expected_cost(Sample.of_all(np.full((2, 3), -np.inf), np.array([0, 1]), value))
    assert isinstance(rule, LowestExpectedCost) and rule.temperature == 1.0


def test_the_exact_set_of_a_document_is_compared_for_samples_f1() -> None:
    scores, truth = SEVERAL
    decision = default_decision(scores, truth, objective="samples-f1")
    assert decision.rule == BestExpectedFBeta()
    families = [one.family for one in tune_decision(scores, truth, objective="samples-f1").evidence.comparisons]
    assert families[:2] == ["threshold 0.5", "highest expected F of a document"]
    assert rule_from_json(BestExpectedFBeta(beta=2.0).to_json()) == BestExpectedFBeta(beta=2.0)


REFUSED = {
    "--objective samples-f1 needs documents with several labels": ObjectiveRequest(name="samples-f1"),
    "--objective macro-fbeta needs --beta, a number above 0": ObjectiveRequest(name="macro-fbeta"),
    "--beta is -1, but must be a number above 0": ObjectiveRequest(name="micro-fbeta", beta=-1.0),
    "--beta is for --objective macro-fbeta and micro-fbeta, not for mcc": ObjectiveRequest(name="mcc", beta=2.0),
    "--objective cost needs --costs, a CSV file": ObjectiveRequest(name="cost"),
    "--costs is for --objective cost, not for macro-f1": ObjectiveRequest(costs=COSTS),
    "--objective recall-at-precision needs --at, the lowest": ObjectiveRequest(name="recall-at-precision", label=0),
    "--at is 1, but must be between 0 and 1": ObjectiveRequest(name="precision-at-recall", at=1.0, label=0),
    "--objective precision-at-recall needs --for-label NAME": ObjectiveRequest(name="precision-at-recall", at=0.9),
    "--for-label and --per-label are for --objective recall-at-precision": ObjectiveRequest(name="mcc", label=0),
    "--objective absolute-error is for ordinal labels": ObjectiveRequest(name="absolute-error"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_one_label_per_document_is_refused(message: str) -> None:
    with pytest.raises(CallError, match=message):
        find_objective(REFUSED[message], None)


@pytest.mark.parametrize("name", ["mcc", "balanced-accuracy", "cost"])
def test_what_does_not_fit_several_labels_is_refused(name: str) -> None:
    costs = COSTS if name == "cost" else None
    with pytest.raises(CallError, match=f"--objective {name} needs one label per document, and these documents"):
        find_objective(ObjectiveRequest(name=name, costs=costs), None, is_multilabel=True)
    both = ObjectiveRequest(name="recall-at-precision", at=0.9, label=0, per_label=True)
    with pytest.raises(CallError, match="--for-label is for one label, and --per-label for each of them"):
        find_objective(both, None, is_multilabel=True)


def test_ordinal_labels_may_have_any_objective_of_one_label() -> None:
    scores, truth = planted.ordinal(300)
    for name in ("absolute-error", "accuracy", "macro-f1"):
        decision = tune_decision(scores, truth, ordinal=True, objective=name)
        assert decision.evidence.metric == {"absolute-error": "mean absolute error", "macro-f1": "macro-F1"}.get(
            name, name
        )
