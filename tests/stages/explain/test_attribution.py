"""Every method finds the planted evidence, with the right sign; for a linear head, its exact value."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from featurestore import Bags, Ragged
from heads.classifiers.attention import AttentionHead
from heads.classifiers.knn import KNNHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mil import MILHead
from heads.core.head import Head
from heads.planted_signals import Planted, mean_signal, multilabel_signal
from heads.registry import HEADS, make_head
from heads.testing import training_of
from stages.explain import attribution as attribution_module
from stages.explain.attribution import METHODS, AttributionInput, attention, check_method, gradient, occlusion
from stages.explain.explanation import Explanation
from stages.explain.levels import TokenLayout
from tests.heads.planted import single_position_signal

SHORT = training_of(lr=0.01, epochs=8, min_steps=15)
SMALL = {"lightgbm": {"leaf_documents": "2"}}


def make_inputs(head: Head, bags: Bags, label: Any, by: str = "chunks", against: int | None = None) -> AttributionInput:
    """Of one document, whose every chunk is one segment of one token."""
    count = int(bags.view("segments").length[0])
    owners = TokenLayout(np.ones(count, dtype=np.int64), 1).owners_of(head.reads, by)
    return AttributionInput(
        head, bags.select_views(head.reads), by, owners, count, list(head.classes_).index(label), against
    )


def fitted(head: Head) -> tuple[Head, Planted, np.ndarray[Any, Any]]:
    planted, places = single_position_signal()
    if hasattr(head, "training"):
        head.set_params(training=SHORT)
    if hasattr(head, "hidden"):
        head.set_params(hidden=32)
    return head.fit(planted.bags[:90], planted.y[:90]), planted[90:], places[90:]


@pytest.mark.parametrize("name", [name for name in HEADS if name != "tfidf"])  # which reads no vector
def test_for_every_head_occlusion_finds_the_chunk_that_determines_the_label(name: str) -> None:
    head, planted, places = fitted(make_head(name, SMALL.get(name, {})))
    assert head.score(planted.bags, planted.y) > 0.9
    found = [occlusion(make_inputs(head, planted.bags[row], planted.y[row])) for row in range(len(planted))]
    first = [int(each.argmax()) == place for each, place in zip(found, places, strict=True)]
    assert np.mean(first) > 0.9, name
    assert all(each[place] > 0 for each, place in zip(found, places, strict=True))


def test_evidence_for_one_label_is_evidence_against_the_others() -> None:
    head, planted, places = fitted(AttentionHead())
    for row, place in enumerate(places):
        other = next(label for label in head.classes_ if label != planted.y[row])
        found = occlusion(make_inputs(head, planted.bags[row], other))
        assert found.argmin() == place and found[place] < 0


def test_occlusion_of_a_linear_head_is_the_change_of_the_mean() -> None:
    head, planted, _ = fitted(LinearHead(pooling=("segments",)))
    bags = planted.bags[0]
    steps, weights = bags.view("segments").row(0).astype(float), head.linear_.coefficients
    found = occlusion(make_inputs(head, bags, head.classes_[0], by="segments", against=2))
    means = np.array([np.delete(steps, place, axis=0).mean(axis=0) for place in range(len(steps))])
    np.testing.assert_allclose(found, (steps.mean(axis=0) - means) @ (weights[0] - weights[2]), atol=1e-4)


def test_a_constant_added_to_all_scores_does_not_change_the_margin() -> None:
    head, planted, _ = fitted(LinearHead())
    inputs = make_inputs(head, planted.bags[0], head.classes_[1])
    before = inputs.margins(inputs.bags)
    share = head.predict_proba(inputs.bags)[0, 1].astype(float)
    np.testing.assert_allclose(before, np.log(share / (1 - share)), atol=1e-2)
    linear = head.linear_
    head.linear_ = replace(linear, intercepts=linear.intercepts + 3)
    np.testing.assert_allclose(inputs.margins(inputs.bags), before, atol=1e-4)


def test_the_margin_of_a_multilabel_head_is_the_logit_of_the_label() -> None:
    planted = multilabel_signal()
    head = LinearHead().fit(planted.bags, planted.y)
    inputs = make_inputs(head, planted.bags[3], 1)
    assert inputs.margins(inputs.bags) == head.decision_function(planted.bags[3])[:, 1]


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_log_odds_against_a_label_are_a_difference_if_documents_may_have_both(is_multilabel: bool) -> None:
    planted = multilabel_signal() if is_multilabel else mean_signal()
    head = LinearHead().fit(planted.bags, planted.y)
    margin = make_inputs(head, planted.bags[3], head.classes_[1], against=0).margins(planted.bags[3])
    shares = head.predict_proba(planted.bags[3])[0].astype(float)
    odds = shares / (1 - shares)
    ratio = odds[1] / odds[0] if is_multilabel else shares[1] / shares[0]
    np.testing.assert_allclose(margin, np.log(ratio), atol=1e-2)


@pytest.mark.parametrize(("is_multilabel", "relation"), [(False, "against"), (True, "minus those of")])
def test_the_sentence_on_contributions_says_what_is_compared(is_multilabel: bool, relation: str) -> None:
    unread: dict[str, Any] = dict.fromkeys(each.name for each in fields(Explanation))
    compared = {"label": "oil", "against": "gas", "margin": 1.5, "is_multilabel": is_multilabel}
    explanation = Explanation(**unread | compared | {"level": "chunks", "method": "occlusion"})
    odds = f"log-odds {relation} 'gas' (+1.50)"
    assert explanation.meaning == f"Decrease of the label's {odds} when the chunk is left out."


def test_contributions_do_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    head, planted, _ = fitted(LinearHead())
    inputs, reports = make_inputs(head, planted.bags[0], planted.y[0]), []
    whole = occlusion(inputs)
    monkeypatch.setattr(attribution_module, "_BLOCK_BYTES", 1)
    np.testing.assert_allclose(occlusion(inputs, lambda done, total: reports.append((done, total))), whole, atol=1e-5)
    assert reports == [(done, len(whole)) for done in range(1, len(whole) + 1)]


def test_units_are_removed_from_fine_views_and_not_from_coarse_ones() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    bags = Bags({"cls": Ragged.from_rows([rows[:2]]), "segments": Ragged.from_rows([rows])})
    head = KNNHead(pooling=("cls", "segments"))
    owners = {"cls": None, "segments": np.arange(4)}
    mask = np.array([[True, False, False, True], [False, False, False, False]])
    altered = AttributionInput(head, bags, "segments", owners, 4, 0, None).remove_units(mask)
    assert altered.view("segments").row(0).tolist() == rows[1:3].tolist()
    assert altered.view("segments").row(1).tolist() == rows.tolist()
    assert altered.view("cls").row(0).tolist() == altered.view("cls").row(1).tolist() == rows[:2].tolist()


def test_attention_sums_to_one_and_finds_the_planted_evidence() -> None:
    head, planted, places = fitted(AttentionHead())
    found = [
        attention(make_inputs(head, planted.bags[row], planted.y[row], by="segments")) for row in range(len(places))
    ]
    np.testing.assert_allclose([each.sum() for each in found], 1, atol=1e-5)
    assert np.mean([each.argmax() == place for each, place in zip(found, places, strict=True)]) > 0.9


def test_gradients_find_the_planted_evidence() -> None:
    head, planted, places = fitted(make_head("lstm", {}))
    found = [
        gradient(make_inputs(head, planted.bags[row], planted.y[row], by="segments")) for row in range(len(places))
    ]
    assert np.mean([each.argmax() == place for each, place in zip(found, places, strict=True)]) > 0.9


def test_gradients_of_a_linear_network_sum_to_the_difference_from_the_mean_document() -> None:
    planted, _ = single_position_signal()
    head = MILHead(over="segments", hidden=0, training=SHORT).fit(planted.bags, planted.y)
    inputs = make_inputs(head, planted.bags[0], head.classes_[0], by="segments", against=1)
    mean = Bags({"segments": Ragged.from_rows([head.network_.mean.numpy()[None]])})
    difference = inputs.margins(inputs.bags) - inputs.margins(mean)
    np.testing.assert_allclose(gradient(inputs).sum(), difference[0], atol=1e-4)


@pytest.mark.parametrize("method", ["attention", "gradient"])
def test_a_unit_that_a_network_does_not_read_contributes_nothing(method: str) -> None:
    head, planted, _ = fitted(AttentionHead(max_positions=2))
    found = METHODS[method](make_inputs(head, planted.bags[0], planted.y[0], by="segments"), None)
    assert found[:2].all() and not found[2:].any()


def test_a_method_that_does_not_work_for_a_head_is_refused() -> None:
    for method, sentence in (
        ("attention", "linear has no attention weights; the head attention has"),
        ("gradient", r"linear is not a network and has no gradients\. Use --method occlusion"),
        ("coefficients", "linear has no coefficients of n-grams; tfidf and fused have"),
    ):
        with pytest.raises(CallError, match=sentence):
            check_method(LinearHead(), method)
    check_method(LinearHead(), "occlusion")
