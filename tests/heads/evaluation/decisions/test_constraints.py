"""A requested precision or recall holds on new documents, and the evidence says what is reached."""

import json
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import Decision, multilabel, single_label, tune_decision
from heads.evaluation.decisions.constraints import fit
from heads.evaluation.decisions.objective_metrics import Constraint
from heads.evaluation.decisions.objective_request import ObjectiveRequest
from heads.evaluation.decisions.rules import PerLabelOffsets, PerLabelThresholds, SingleThreshold
from tests.heads.evaluation.decisions import planted

Bounded = Literal["precision", "recall"]
SHARES = [0.4, 0.3, 0.2]


def value(bounded: str, truth: NDArray[Any], predicted: NDArray[Any], label: int | None = None) -> float:
    labels = truth.shape[1] if truth.ndim == 2 else int(truth.max()) + 1
    counts = ConfusionCounts.from_predictions(truth, predicted, labels)
    return float(getattr(counts, f"micro_{bounded}") if label is None else getattr(counts, bounded)[label])


@pytest.mark.parametrize("bounded", ["precision", "recall"])
@pytest.mark.parametrize("label", [None, 1])
def test_thresholds_that_miss_the_constraint_on_new_documents_are_rare(bounded: Bounded, label: int | None) -> None:
    unseen, labels = planted.multilabel(SHARES, documents=20_000, seed=999)
    missed = 0
    for seed in range(40):
        sample = multilabel.Sample.of_all(*planted.multilabel(SHARES, documents=300, seed=seed))
        (rule,) = fit(Constraint(bounded, 0.85, label), sample)
        missed += value(bounded, labels, rule.decide(unseen), label) < 0.85
    assert missed <= 6  # 2 are expected, and more than 6 have a probability below 1 %


def test_the_threshold_has_the_highest_recall_of_those_whose_bound_reaches_the_precision() -> None:
    from scipy.stats import beta

    scores, truth = planted.multilabel([0.3], documents=200)
    (rule,) = fit(Constraint("precision", 0.7, 0), multilabel.Sample.of_all(scores, truth))
    assert isinstance(rule, PerLabelThresholds)
    order = np.argsort(-scores[:, 0])
    hits, predicted = np.cumsum(truth[order, 0]), np.arange(1, 201)
    reached = np.flatnonzero(beta.ppf(0.05, hits, predicted - hits + 1) >= 0.7)
    assert np.count_nonzero(rule.decide(scores)) == reached[np.argmax(hits[reached])] + 1


def test_pairs_of_one_document_count_as_fewer_than_independent_ones() -> None:
    scores, truth = planted.multilabel([0.4], documents=120)
    copies, same = np.repeat(scores, 5, axis=1), np.repeat(truth, 5, axis=1)  # five labels that occur together
    copies = copies + np.linspace(0, 1e-3, 5, dtype=np.float32)
    alone = fit(Constraint("precision", 0.8, 0), multilabel.Sample.of_all(scores, truth))[0]
    together = fit(Constraint("precision", 0.8), multilabel.Sample.of_all(copies, same))[0]
    assert isinstance(alone, PerLabelThresholds) and isinstance(together, SingleThreshold)
    assert np.count_nonzero(together.decide(copies)[:, 0]) == pytest.approx(
        np.count_nonzero(alone.decide(scores)), abs=3
    )


def test_one_label_per_document_gets_an_offset_of_that_label() -> None:
    scores, truth = planted.calibrated([300, 200, 100])
    sample = single_label.Sample.of_all(scores.astype(np.float64), truth)
    (rule,) = fit(Constraint("precision", 0.97, 1), sample)
    assert isinstance(rule, PerLabelOffsets)
    assert rule.offsets[1] < 0 and (rule.offsets[0], rule.offsets[2]) == (0, 0)
    assert value("precision", truth, rule.decide(scores), 1) >= 0.97


def test_each_label_has_a_threshold_of_its_own() -> None:
    scores, truth = planted.multilabel([0.5, 0.2, 0.2], documents=600)
    (rule,) = fit(Constraint("recall", 0.9, per_label=True), multilabel.Sample.of_all(scores, truth))
    assert isinstance(rule, PerLabelThresholds) and len(set(rule.thresholds)) == 3
    assert min(value("recall", truth, rule.decide(scores), label) for label in range(3)) >= 0.9


def tuned(request: ObjectiveRequest, *, single: bool = False) -> tuple[Decision, NDArray[Any], NDArray[Any]]:
    """A decision on problems whose most frequent label is not the first column."""
    scores, truth = planted.calibrated([100, 300, 200]) if single else planted.multilabel([0.2, 0.4, 0.3])
    return tune_decision(scores, truth, objective=request), scores, truth


@pytest.mark.parametrize("single", [False, True])
def test_the_constraint_is_that_of_the_named_label(single: bool) -> None:
    request = ObjectiveRequest(name="recall-at-precision", at=0.9, label=1, label_name="b")
    decision, scores, truth = tuned(request, single=single)
    reached = decision.evidence.reached
    assert reached is not None and reached.unreached == 0
    assert value("precision", truth, decision.rule.decide(scores), 1) >= 0.9
    out_of_fold = value("precision", truth, decision.out_of_fold, 1)
    assert reached.value == pytest.approx(out_of_fold, abs=0.02) and reached.low < out_of_fold < reached.high
    assert decision.evidence.sentences[-1].startswith("Out of fold the precision of 'b' is 0.9")
    assert decision.evidence.metric == "recall of 'b'"
    assert decision.evidence.selected.cross_fitted == pytest.approx(reached.other)
    assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision


def test_a_precision_that_no_threshold_reaches_is_reported() -> None:
    decision, _, _ = tuned(ObjectiveRequest(name="recall-at-precision", at=0.9999))
    last = decision.evidence.sentences[-1]
    assert last.startswith("No threshold reaches it with 95 % confidence for these scores; the one whose confidence")
    per_label, _, _ = tuned(ObjectiveRequest(name="precision-at-recall", at=0.999, per_label=True))
    assert "0.999 out of fold; their mean recall is" in per_label.evidence.sentences[-2]
    assert "for 3 of 3 labels; the one" in per_label.evidence.sentences[-1]


def test_a_constraint_is_fitted_to_any_scores() -> None:
    scores, truth = planted.calibrated([40, 30, 3])
    scores[::3, 1], scores[1] = -np.inf, -np.inf
    request = ObjectiveRequest(name="recall-at-precision", at=0.8, label=2, label_name="c")
    assert tune_decision(scores, truth, objective=request).out_of_fold.shape == truth.shape
    several, labels = planted.multilabel([0.3, 0.01], documents=60)
    several[::4] = -np.inf
    labels[:, 1] = False
    for request in (
        ObjectiveRequest(name="precision-at-recall", at=0.8, per_label=True),
        ObjectiveRequest(name="recall-at-precision", at=0.8),
    ):
        assert tune_decision(several, labels, objective=request).out_of_fold.shape == labels.shape
