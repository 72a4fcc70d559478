"""The hierarchical head: one network with a softmax per node."""

import re
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError, UnknownName
from heads.classifiers.attention import AttentionHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.layermix import BODIES, LayerMixHead
from heads.classifiers.mlp import MLPHead
from heads.core.hyperparameters import hyperparameters_of
from heads.planted_signals import Planted, make_bags, mean_signal, tabular_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from tests.heads.planted import QUICK, tree_signal

# all labels that the contract uses
TREE = {label: ("pair", label) for label in ("label-0", "label-1")} | {
    label: (label,)
    for label in (
        "label-2",
        "single",
        "rare",
        "common",
        *(f"{a}, {b}" for a in ("oil", "gas") for b in ("small", "large")),
    )
}


class TestHierarchicalHeadKeepsTheContract(HeadContract):
    head = HierarchicalHead(tree=TREE, tau=0.0, hidden=16, training=QUICK)  # tau finds rare labels without weights
    exceptions: ClassVar = {
        **MINI_BATCHES,
        "numbered_labels": "cross_val_predict numbers the labels for its scores, and the tree knows them by name",
    }


class TestHierarchicalHeadWithoutATreeKeepsTheContract(HeadContract):
    head = HierarchicalHead(tau=0.0, hidden=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


def test_it_learns_the_planted_tree() -> None:
    train, test = tree_signal(documents=300).halves()
    head = HierarchicalHead(tree=train.tree, hidden=16, training=QUICK).fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.9


def test_it_reads_what_its_trunk_reads() -> None:
    assert HierarchicalHead().reads == ("cls", "mean", "max")
    assert HierarchicalHead(trunk="attention").reads == ("segments",)


@pytest.mark.parametrize("trunk", ["attention", "mil"])
def test_any_network_is_the_trunk(trunk: Literal["attention", "mil"], tmp_path: Path) -> None:
    train, test = tree_signal(documents=300).halves()
    head = HierarchicalHead(tree=train.tree, trunk=trunk, hidden=16, training=QUICK).fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.8
    head.save(tmp_path)
    loaded = HierarchicalHead.load(tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(test.bags), head.decision_function(test.bags))


def test_scores_are_log_probabilities() -> None:
    planted = tree_signal()
    head = HierarchicalHead(tree=planted.tree, hidden=8, training=QUICK).fit(planted.bags, planted.y)
    np.testing.assert_allclose(np.exp(head.decision_function(planted.bags)).sum(axis=1), 1, atol=1e-5)


def test_a_label_that_the_tree_lacks_is_named() -> None:
    planted = mean_signal()
    with pytest.raises(UnknownName, match=r"The tree has no 'label-2'\."):
        HierarchicalHead(tree={"label-0": (), "label-1": ()}).fit(planted.bags, planted.y)


def test_a_trunk_without_tabular_columns_says_so() -> None:
    planted = tabular_signal(documents=40)
    training = training_of(epochs=1, min_steps=1)
    head = HierarchicalHead(trunk="attention", hidden=4, training=training).fit(planted.bags, planted.y)
    assert head.tabular_labels == ()
    assert "The trunk attention reads the text alone, not the tabular columns." in head.notes_


def test_every_trunk_takes_the_values_of_hidden_that_a_sweep_tries() -> None:
    (hidden,) = (item for item in hyperparameters_of(HierarchicalHead) if item.name == "hidden")
    assert hidden.search is not None and hidden.default in hidden.search.choices
    for trunk in BODIES:
        for value in hidden.search.choices:
            HierarchicalHead(trunk=trunk, hidden=value)._trunk().build(2, 2)  # type: ignore[arg-type]  # a choice


@pytest.mark.parametrize("hidden", [0, 30])
def test_a_width_that_a_transformer_cannot_have_is_named_as_the_user_knows_it(hidden: int) -> None:
    planted = mean_signal(documents=20)
    message = f"hidden is {hidden}; with trunk=transformer it must be a multiple of 4, and not 0."
    with pytest.raises(CallError, match=re.escape(message)):
        HierarchicalHead(trunk="transformer", hidden=hidden).fit(planted.bags, planted.y)
    with pytest.raises(CallError, match=re.escape(message.replace("trunk", "body"))):
        LayerMixHead(body="transformer", hidden=hidden).fit(planted.bags, planted.y)


def test_advice_on_truncated_documents_is_for_heads_with_that_hyperparameter() -> None:
    rng = np.random.default_rng(0)
    bags = make_bags([rng.normal(size=(513 if row == 0 else 2, 4)) for row in range(20)])
    y, training = np.array(["a", "b"] * 10, dtype=object), training_of(epochs=1, min_steps=1)
    truncated = "1 of 20 documents have more than 512 positions and were truncated."
    assert truncated in HierarchicalHead(trunk="attention", hidden=4, training=training).fit(bags, y).notes_
    assert (
        f"{truncated} Raise max_positions to read all of them." in AttentionHead(training=training).fit(bags, y).notes_
    )


def rare_leaves(parents: int = 4, leaves: int = 20, documents: int = 4, dim: int = 16) -> Planted:
    """The first axes tell the parent clearly; each of its leaves has a center of its own, and few documents."""
    codes = np.tile(np.arange(parents * leaves), documents)
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(parents * leaves, dim))
    centers[:, :parents] += 3 * np.eye(parents)[np.arange(parents * leaves) // leaves]
    vectors = rng.normal(size=(len(codes), 1, dim)) + centers[codes][:, None]
    names = np.array([f"parent-{code // leaves}/leaf-{code}" for code in codes], dtype=object)
    tree = {name: (name.split("/")[0], name) for name in names}
    return Planted(make_bags(list(vectors)), names, tree)


def test_rare_leaves_under_a_clear_parent_are_found_through_it() -> None:
    planted = rare_leaves()
    half = len(planted) // 2
    train, test = planted[np.arange(half)], planted[np.arange(half, 2 * half)]
    training = training_of(lr=0.01, epochs=5, min_steps=20, device="cpu")
    flat = MLPHead(hidden=32, training=training).fit(train.bags, train.y).predict(test.bags)
    head = HierarchicalHead(tree=planted.tree, hidden=32, training=training).fit(train.bags, train.y)
    found = head.predict(test.bags)

    def parent_accuracy(predicted: NDArray[np.object_]) -> float:
        parents = [[name.split("/")[0] for name in names] for names in (predicted, test.y)]
        return float(np.mean(np.array(parents[0]) == np.array(parents[1])))

    assert parent_accuracy(found) > parent_accuracy(flat) + 0.08
    assert (found == test.y).mean() > (flat == test.y).mean()
