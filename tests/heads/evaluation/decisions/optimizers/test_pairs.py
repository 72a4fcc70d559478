"""The best thresholds of multi-label predictions, compared with trying all of them."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.expected_rules import BestExpectedFBeta
from heads.evaluation.decisions.multilabel import Sample, per_label_thresholds, single_threshold
from heads.evaluation.decisions.objective_metrics import FBeta
from heads.evaluation.decisions.optimizers.pairs import DocumentFBeta, LabelFBeta, MicroFBeta, PairValue, SameSet
from heads.evaluation.decisions.rules import PerLabelThresholds, SingleThreshold
from heads.evaluation.metrics import METRICS, Metric

VALUES: dict[str, tuple[PairValue, Metric]] = {
    "macro-F1": (LabelFBeta(), METRICS["macro-f1"]),
    "macro-F2": (LabelFBeta(2.0), FBeta.of("macro", 2.0)),
    "weighted F1": (LabelFBeta(weighted=True), METRICS["weighted-f1"]),
    "micro-F1": (MicroFBeta(), METRICS["micro-f1"]),
    "micro-F0.5": (MicroFBeta(0.5), FBeta.of("micro", 0.5)),
    "samples F1": (DocumentFBeta(), METRICS["samples-f1"]),
    "accuracy": (SameSet(), METRICS["accuracy"]),
}
EXACT = ("macro-F1", "macro-F2", "weighted F1", "micro-F1", "micro-F0.5")


def draw(seed: int, documents: int = 16, labels: int = 3) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    truth = random.random((documents, labels)) < 0.45
    truth[:4], truth[4:8] = True, False  # each label has enough documents, and lacks enough
    scores = random.normal(size=truth.shape) + 1.2 * truth - 0.5
    scores[random.random(truth.shape) < 0.05] = -np.inf
    return scores.astype(np.float32), truth


def value(metric: Metric, truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    return float(metric.value(ConfusionCounts.from_predictions(truth, predicted, truth.shape[1])))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("seed", range(4))
def test_no_common_threshold_is_better(name: str, seed: int) -> None:
    scores, truth = draw(seed, 40)
    pair_value, metric = VALUES[name]
    (rule,) = single_threshold(Sample.of_all(scores, truth, (), pair_value))
    assert isinstance(rule, SingleThreshold)
    tried = [value(metric, truth, scores > threshold) for threshold in np.append(np.unique(scores), -9.0)]
    assert value(metric, truth, rule.decide(scores)) == pytest.approx(max(tried))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", range(3))
def test_no_thresholds_of_labels_are_better(name: str, seed: int) -> None:
    scores, truth = draw(seed, 12, 2)
    pair_value, metric = VALUES[name]
    rule = per_label_thresholds(Sample.of_all(scores, truth, (), pair_value))[-1]
    columns = [np.append(np.unique(scores[:, label]), -9.0) for label in range(2)]
    tried = [value(metric, truth, scores > np.array(each)) for each in product(*columns)]
    assert value(metric, truth, rule.decide(scores)) == pytest.approx(max(tried))


@pytest.mark.parametrize("name", ["samples F1", "accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_of_one_label_is_better_if_the_others_stay(name: str, seed: int) -> None:
    scores, truth = draw(seed)
    pair_value, metric = VALUES[name]
    rule = per_label_thresholds(Sample.of_all(scores, truth, (), pair_value))[-1]
    assert isinstance(rule, PerLabelThresholds)
    reached = value(metric, truth, rule.decide(scores))
    for label in range(3):
        for threshold in np.append(np.unique(scores[:, label]), -9.0):
            other = np.where(np.arange(3) == label, threshold, rule.thresholds)
            assert value(metric, truth, scores > other) <= reached + 1e-12


def test_smoothing_keeps_a_rare_label_from_a_low_threshold() -> None:
    truth = np.zeros((200, 1), dtype=bool)
    truth[[20, 80, 140, 199], 0] = True
    scores = np.linspace(2, -2, 200)[:, None].astype(np.float32)
    sample = Sample.of_all(scores, truth)
    plain, smoothed = (sample.best_thresholds(smoothed=smoothed)[0] for smoothed in (False, True))
    assert np.count_nonzero(scores > plain) == 21  # one true positive
    assert np.count_nonzero(scores > smoothed) == 0
    thresholds = [rule.thresholds[0] for rule in per_label_thresholds(sample) if isinstance(rule, PerLabelThresholds)]
    assert len(thresholds) == 10 and {plain, smoothed} <= set(thresholds)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_set_of_labels_has_a_higher_expected_value(beta: float) -> None:
    random = np.random.default_rng(0)
    probabilities = random.beta(0.6, 0.8, size=(12, 5))
    sets = np.array(list(product([False, True], repeat=5)))
    chance = np.where(sets[None], probabilities[:, None], 1 - probabilities[:, None]).prod(axis=2)
    shared, sizes = sets.astype(int) @ sets.T.astype(int), sets.sum(axis=1)
    size = beta**2 * sizes[:, None] + sizes
    table = np.where(size > 0, (1 + beta**2) * shared / np.maximum(size, 1e-9), 1.0)  # of true and predicted sets
    logits = np.log(probabilities / (1 - probabilities))
    predicted = BestExpectedFBeta(beta=beta).decide(logits)
    chosen = [int(np.flatnonzero((sets == row).all(axis=1))[0]) for row in predicted]
    expected = chance @ table
    np.testing.assert_allclose(expected[np.arange(12), chosen], expected.max(axis=1))
