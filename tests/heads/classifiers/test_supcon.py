"""The contrast head learns a layer that draws a label's documents together."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone

from data.errors import CallError, UnknownName
from heads.classifiers import supcon as contrast
from heads.classifiers.linear import LinearHead
from heads.classifiers.supcon import SupConHead
from heads.planted_signals import Planted, make_bags, mean_signal, multilabel_signal
from heads.testing import MINI_BATCHES, HeadContract
from tests.heads.planted import tree_signal

SMALL = SupConHead(hidden=32, projection_dim=8, steps=40, batch_size=64, lr=0.01, device="cpu")


class TestSupConKeepsTheContract(HeadContract):
    head = SMALL
    exceptions: ClassVar = MINI_BATCHES


def in_a_ring(documents: int = 400, seed: int = 0) -> Planted:
    """ "inner" lies within "outer" on all sides: no line parts them, and a layer that draws each together does."""
    rng = np.random.default_rng(seed)
    inner = rng.random(documents) < 0.5
    angle = rng.uniform(0, 2 * np.pi, documents)
    radius = np.where(inner, 1.0, 3.0) + 0.2 * rng.normal(size=documents)
    vectors = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return Planted(make_bags(list(vectors[:, None])), np.where(inner, "inner", "outer").astype(object))


@pytest.mark.parametrize("layer", ["hidden", "projection"])
@pytest.mark.parametrize("concatenate_features", [True, False])
def test_it_parts_what_no_line_parts(layer: Any, concatenate_features: bool, tmp_path: Path) -> None:
    train, test = in_a_ring().halves()
    assert LinearHead().fit(train.bags, train.y).score(test.bags, test.y) < 0.7
    head = (
        clone(SMALL)
        .set_params(layer=layer, concatenate_features=concatenate_features, steps=150)
        .fit(train.bags, train.y)
    )
    assert head.score(test.bags, test.y) > 0.95
    assert head.linear_.coefficients.shape == (2, {"hidden": 32, "projection": 8}[layer] + 6 * concatenate_features)
    head.save(tmp_path)
    assert SupConHead.load(tmp_path).score(test.bags, test.y) == head.score(test.bags, test.y)


def test_it_finds_the_labels_of_a_tree_and_draws_branches_together() -> None:
    train, test = tree_signal(documents=400).halves()
    near = {}
    for tree in (None, train.tree):
        head = (
            clone(SMALL)
            .set_params(tree=tree, parent_weight=1.0, concatenate_features=False, temperature=0.5)
            .fit(train.bags, train.y)
        )
        assert head.score(test.bags, test.y) > 0.85
        projected = head._representations(head._features(test.bags))
        mean = {label: projected[test.y == label].mean(axis=0) for label in head.classes_}
        near[tree is None] = float(mean["rec.sport"] @ mean["rec.autos"] - mean["rec.sport"] @ mean["sci.med"])
    assert near[False] > near[True] + 0.2


def test_a_tree_that_lacks_a_label_is_refused() -> None:
    planted = mean_signal()
    with pytest.raises(UnknownName, match=r"The tree has no 'label-1'\. Did you mean 'label-0'\?"):
        clone(SMALL).set_params(tree={"label-0": ("label-0",)}).fit(planted.bags, planted.y)


def test_a_tree_for_several_labels_is_refused() -> None:
    planted = multilabel_signal()
    with pytest.raises(CallError, match=r"supcon takes a tree with one label per document, but y is multi-label\."):
        clone(SMALL).set_params(tree={0: ("0",)}).fit(planted.bags, planted.y)


def test_a_tree_comes_back_from_disk(tmp_path: Path) -> None:
    planted = tree_signal()
    head = clone(SMALL).set_params(tree=planted.tree).fit(planted.bags, planted.y)
    head.save(tmp_path)
    loaded = SupConHead.load(tmp_path)
    assert loaded.tree == planted.tree
    np.testing.assert_array_equal(loaded.decision_function(planted.bags), head.decision_function(planted.bags))


def test_torch_goes_on_as_if_nothing_had_been_drawn() -> None:
    planted = mean_signal()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    clone(SMALL).fit(planted.bags, planted.y)
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_draws_other_weights() -> None:
    planted = mean_signal()
    one, other = (clone(SMALL).set_params(seed=seed).fit(planted.bags, planted.y) for seed in (0, 1))
    assert not torch.equal(one.network_.last.weight, other.network_.last.weight)


def test_blocks_of_documents_are_no_other_than_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = mean_signal()
    head = clone(SMALL).fit(planted.bags, planted.y)
    whole = head.decision_function(planted.bags)
    monkeypatch.setattr(contrast, "SCORED", 7)
    np.testing.assert_allclose(head.decision_function(planted.bags), whole, atol=1e-4)


def test_a_regression_that_stops_early_says_so() -> None:
    planted = mean_signal()
    head = clone(SMALL).set_params(max_iter=1).fit(planted.bags, planted.y)
    assert head.notes_ == (
        "The logistic regression of supcon did not converge in 1 iterations. Raise max_iter, or lower C.",
    )


def test_labels_of_a_graph_are_as_similar_as_the_nodes_above_them() -> None:
    planted = tree_signal()
    graph = {label: (label.split(".")[0],) for label in planted.tree} | {"sci.space": ("sci", "rec")}
    head = clone(SMALL).set_params(tree=graph)
    assert head.fit(planted.bags, planted.y).score(planted.bags, planted.y) > 0.85
