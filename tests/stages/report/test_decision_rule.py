"""What a decision rule changed, counted by hand."""

from dataclasses import replace

import numpy as np

from stages.report.decision_rule import RuleEffect, measure_rule_effect
from tests.stages.report.example_runs import example_run


def test_a_changed_document_became_right_or_wrong_or_remained_wrong() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1]] * 5)  # the plain decision is 0 for each
    truth, predicted = np.array([0, 1, 0, 2, 0]), np.array([0, 1, 1, 1, 0])
    run = replace(example_run("abc", 5), truth=truth, predicted=predicted, probabilities=probabilities)
    assert measure_rule_effect(run) == RuleEffect(decisions=5, changed=3, corrected=1, broken=1)
    assert measure_rule_effect(run).still_wrong == 1


def test_in_multilabel_runs_each_pair_of_document_and_label_is_a_decision() -> None:
    probabilities = np.array([[0.6, 0.5], [0.7, np.nan]])  # plain: yes no, yes no
    truth, predicted = np.array([[True, True], [False, False]]), np.array([[True, True], [True, True]])
    run = replace(example_run("ab", 2, multilabel=True), truth=truth, predicted=predicted, probabilities=probabilities)
    assert measure_rule_effect(run) == RuleEffect(decisions=4, changed=2, corrected=1, broken=1)
    assert measure_rule_effect(run).still_wrong == 0


def test_a_label_of_unknown_probability_is_not_the_most_probable_one() -> None:
    probabilities = np.array([[np.nan, 0.2, -np.inf]])
    run = replace(example_run("abc", 1), truth=np.array([1]), predicted=np.array([1]), probabilities=probabilities)
    assert measure_rule_effect(run).changed == 0
