"""A decision with its parts: what each part reads, and the way to JSON and back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from heads.evaluation.decisions import ABSTAINED, Decision, Evidence, RuleComparison
from heads.evaluation.decisions.abstention import Abstention
from heads.evaluation.decisions.label_sets import LabelSetOptions, LabelSetRule
from heads.evaluation.decisions.label_shift import LabelShift, ShiftEvidence
from heads.evaluation.decisions.rules import Argmax, FixedThreshold
from heads.evaluation.score_matrix import scores_to_probabilities

EVIDENCE = Evidence(3, 0, 0, 0, (RuleComparison("argmax", None, 0.5, 0.5, 0.0, 0.0, 0.0, selected=True),))
PLAIN = Decision(Argmax(), EVIDENCE)
SHIFT = LabelShift((1 / 2, 1 / 2), (2 / 3, 1 / 3), (1.0, 1.0), 1.0, False, ShiftEvidence(9, 9, 0, 1, "", 0, 0, 0, True))
SCORES = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], dtype=np.float32))


def test_a_plain_decision_is_its_rule_and_the_probabilities_of_the_scores() -> None:
    assert PLAIN.decide(SCORES).tolist() == [0, 1, 1]
    np.testing.assert_array_equal(PLAIN.probabilities(SCORES), scores_to_probabilities(SCORES, multilabel=False))
    assert PLAIN.sets(SCORES, ["1", "2", "3"]) is None


def test_the_kind_of_the_rule_is_that_of_the_probabilities() -> None:
    decision = Decision(FixedThreshold(), EVIDENCE)
    np.testing.assert_array_equal(decision.probabilities(SCORES), scores_to_probabilities(SCORES, multilabel=True))


def test_a_shift_moves_what_the_rule_reads_and_the_probabilities() -> None:
    # the second document has odds of 1.5 to 1 for the second label, and 1.5 to 2 with twice as many of the first
    decision = replace(PLAIN, label_shift=SHIFT)
    assert decision.decide(SCORES).tolist() == [0, 0, 1]
    assert decision.probabilities(SCORES)[1].tolist() == pytest.approx([4 / 7, 3 / 7])


def test_documents_below_a_confidence_are_left_undecided() -> None:
    decision = replace(PLAIN, abstention=Abstention(0.7))
    assert decision.decide(SCORES).tolist() == [0, ABSTAINED, 1]


def test_every_part_comes_back_from_json() -> None:
    shift, undecided, sets = (
        SHIFT,
        Abstention(0.7),
        LabelSetRule(LabelSetOptions(level=0.9), (-0.1, -np.inf)),
    )
    for decision in (PLAIN, replace(PLAIN, label_shift=shift, abstention=undecided, label_sets=sets)):
        assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision
