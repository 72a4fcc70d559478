"""The rule with the best expected F-measure of all documents together."""

import numpy as np
import pytest

from heads.evaluation.decisions import tune_decision
from heads.evaluation.decisions.expected_rules import WeightedProbabilities
from heads.evaluation.decisions.optimizers.flips import FBetaSum
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.metrics import macro_f1
from tests.heads.evaluation.decisions import planted

DOCUMENTS = [600, 200, 60, 30, 20]


def fitted(prior_strength: float = 1.0, value: FBetaSum | None = None) -> WeightedProbabilities:
    scores, truth = planted.calibrated(DOCUMENTS, prior_strength=prior_strength)
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    return WeightedProbabilities.fit(shifted, truth, value or FBetaSum())


@pytest.mark.parametrize("prior_strength", [1.0, 0.0, 2.0])
def test_it_raises_macro_f1_of_new_documents_whatever_prior_the_head_has(prior_strength: float) -> None:
    new, labels = planted.calibrated([10 * each for each in DOCUMENTS], seed=1, prior_strength=prior_strength)
    rule = fitted(prior_strength)
    argmax = macro_f1(labels, new.argmax(axis=1), 5)
    assert macro_f1(labels, rule.decide(new), 5) > argmax + 0.001
    exact, _ = planted.calibrated([10 * each for each in DOCUMENTS], seed=1)
    assert macro_f1(labels, rule.decide(new), 5) > macro_f1(labels, fitted().decide(exact), 5) - 0.02


def test_a_higher_beta_predicts_rare_labels_more_often() -> None:
    scores, _ = planted.calibrated(DOCUMENTS)
    predicted = [fitted(value=FBetaSum(beta)).decide(scores) for beta in (0.5, 1.0, 3.0)]
    rare = [int((each >= 2).sum()) for each in predicted]
    assert rare[0] < rare[1] < rare[2]
    assert (fitted(value=FBetaSum(weighted=True)).decide(scores) >= 2).sum() < rare[1]


def test_it_is_selected_comes_back_from_json_and_follows_its_columns() -> None:
    scores, truth = planted.calibrated(DOCUMENTS, prior_strength=0.0)
    families = [one.family for one in tune_decision(scores, truth).evidence.comparisons]
    assert families[1] == "weighted probabilities"
    rule = fitted()
    assert rule_from_json(rule.to_json()) == rule
    order = [4, 1, 0, 3, 2]
    assert np.array_equal(np.array(order)[rule.reordered(order).decide(scores[:, order])], rule.decide(scores))


def test_labels_that_the_head_has_not_seen_are_not_predicted() -> None:
    scores, truth = planted.calibrated([40, 20, 3])
    scores[:, 2], scores[0] = -np.inf, -np.inf
    shifted = np.where(np.isfinite(scores), scores - 1.0, -np.inf).astype(np.float64)
    rule = WeightedProbabilities.fit(shifted, truth, FBetaSum())
    assert np.isfinite(rule.weights).all() and not (rule.decide(scores[1:]) == 2).any()
    with pytest.raises(ValueError, match="the rule is for 3 labels, but the scores have 2 columns"):
        rule.decide(scores[:, :2])
