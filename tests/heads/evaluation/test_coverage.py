"""hF1 against coverage, the choice of a metric by name, and paired differences of hierarchical metrics."""

import json
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given, settings

from commandline.fit_options import MAXIMIZED, METRIC_NAMES
from data.errors import CallError
from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.coverage import coverage_curve, node_confidence
from heads.evaluation.metrics import (
    HF1,
    MACRO_F1,
    METRICS,
    find_metric,
    level_accuracy,
    ranking_metric,
    scorecard,
)
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric
from tests.heads.evaluation.example_hierarchies import (
    ART,
    FILM,
    GOLF,
    HOCKEY,
    SMALL,
    SPORT,
    draw_labels,
    draw_nodes,
    hierarchies,
)


def test_paired_differences_of_hierarchical_metrics_are_positive_if_better() -> None:
    truth = np.array([HOCKEY, GOLF, FILM, SPORT] * 10)
    worse, better = np.where(np.arange(40) % 2, truth, ART), np.where(np.arange(40) % 4, truth, SPORT)
    for metric in (*(METRICS[name] for name in ("hf1", "macro-hf1", "tree-distance", "lca-f1")), level_accuracy(1)):
        (difference,) = paired_differences(SampledMetric.of(truth, [[worse], [better]], 4, metric, SMALL))
        values = [
            metric.signed_value(ConfusionCounts.from_predictions(truth, each, 4, SMALL)) for each in (worse, better)
        ]
        assert difference.value == pytest.approx(values[1] - values[0]) and difference.low > 0


def test_the_command_line_names_every_metric_and_selection_maximizes() -> None:
    assert set(METRIC_NAMES) == set(METRICS)
    assert {METRICS[name].sign for name in MAXIMIZED} == {1}


def test_a_metric_that_labels_do_not_have_is_refused() -> None:
    assert find_metric("hf1", "path", has_taxonomy=True, of="x") == HF1
    for name, kind, has_taxonomy, message in (
        ("hf1", "single", False, "--metric hf1 needs a taxonomy, and the labels of x have none"),
        ("quadratic-kappa", "single", True, "--metric quadratic-kappa is for ordinal labels"),
        ("tree-distance", "multilabel", True, "needs one label per document, and x is multi-label"),
        ("hf2", "path", True, "There is no metric 'hf2'. Did you mean 'hf1'?"),
    ):
        with pytest.raises(CallError, match=message):
            find_metric(name, kind, has_taxonomy=has_taxonomy, of="x")  # type: ignore[arg-type]  # literals


def test_predictions_are_ranked_by_the_metric_that_selected_all_rules() -> None:
    truth, predicted = draw_nodes(SMALL, 0)
    flat = scorecard(truth, truth, SMALL.names[:4], resamples=2)
    card = scorecard(truth, predicted, SMALL.names[:4], resamples=2, hierarchy=SMALL)
    assert ranking_metric([card, card], ["hF1", "hF1"]) == HF1
    assert ranking_metric([card, card], ["hF1", "macro-F1"]) == MACRO_F1
    assert ranking_metric([card, flat], ["hF1", "hF1"]) == MACRO_F1
    assert attrgetter("hf1.value")(card) == HF1.signed_value(card)


def test_coverage_counts_the_most_confident_documents_first_and_equal_ones_together() -> None:
    truth, predicted = np.array([HOCKEY, GOLF, FILM, GOLF]), np.array([HOCKEY, GOLF, SPORT, ART])
    probabilities = np.array([[0, 0, 0.9, 0.1], [0, 0.8, 0, 0.2], [0.2, 0.3, 0.3, 0.2], [0.8, 0.2, 0, 0]])
    # sport has what golf, hockey and sport have; art has what film has
    assert node_confidence(predicted, probabilities, SMALL) == pytest.approx([0.9, 0.8, 0.8, 0.8])
    curve = coverage_curve(truth, predicted, probabilities, SMALL)
    assert curve.coverage.tolist() == [0.25, 1.0]
    assert curve.hf1 == pytest.approx([1.0, 2 * 4 / (6 + 8)])
    assert curve.area == pytest.approx(0.25 + 0.75 * curve.hf1[1])
    assert curve.confidence == pytest.approx([0.9, 0.8])
    assert json.dumps(curve.to_json())


def test_coverage_of_all_documents_has_the_metric_of_all_and_is_thinned() -> None:
    random = np.random.default_rng(0)
    for truth, predicted in (draw_nodes(SMALL, 1, 1000), draw_labels(SMALL, 1, 1000)):
        curve = coverage_curve(truth, predicted, random.random((1000, 4)), SMALL, max_points=50)
        assert len(curve.coverage) <= 50 and curve.coverage[-1] == 1 and (np.diff(curve.coverage) > 0).all()
        assert curve.hf1[-1] == pytest.approx(float(ConfusionCounts.from_predictions(truth, predicted, 4, SMALL).hf1))
        assert (np.diff(curve.confidence) < 0).all()


@settings(deadline=None, max_examples=25)
@given(hierarchies(most_parents=3))
def test_a_taxonomy_that_was_saved_numbers_its_nodes_as_before(hierarchy: Hierarchy) -> None:
    parents = {
        name: tuple(hierarchy.names[parent] for parent in above)
        for name, above in zip(hierarchy.names, hierarchy.parents, strict=True)
    }
    taxonomy = Taxonomy.from_parents(parents).restricted_to(hierarchy.names[: hierarchy.labels])
    saved = Taxonomy.from_json(json.loads(json.dumps(taxonomy.to_json())))
    labels = hierarchy.names[: hierarchy.labels]
    assert Hierarchy.of(saved, labels).names == Hierarchy.of(taxonomy, labels).names
