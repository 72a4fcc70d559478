"""The last layer is balanced afterwards, and nothing before it changes."""

from typing import Any

import numpy as np
import pytest
import torch

from data.errors import CallError
from featurestore import Bags, as_bags
from heads.classifiers.mlp import MLPHead
from heads.evaluation.metrics import macro_f1
from heads.training.loop import Training

QUICK: dict[str, Any] = {"epochs": 4, "steps": 30, "lr": 0.01, "device": "cpu"}
QUICK |= {"validation": 0.1, "label_smoothing": 0.0}


def unbalanced(seed: int) -> tuple[Bags, np.ndarray]:
    """Three labels of 300, 60 and 20 documents that overlap."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], [300, 60, 20])
    return as_bags((1.5 * np.eye(6)[y] + rng.normal(size=(len(y), 6))).astype(np.float32)), y


def fitted(how: str, **more: Any) -> MLPHead:
    training = Training(**{**QUICK, **more}, rebalance=how)  # type: ignore[arg-type]  # by name
    return MLPHead(hidden=8, dropout=0.0, class_weight="none", training=training).fit(*unbalanced(0))


@pytest.fixture(scope="module")
def plain() -> MLPHead:
    return fitted("none")


@pytest.mark.parametrize("how", ["crt", "tau", "lws"])
def test_what_comes_before_the_last_layer_stays_and_rare_labels_are_named_more_often(plain: MLPHead, how: str) -> None:
    head = fitted(how)
    before, after = plain.network_.state_dict(), head.network_.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(name.startswith("network.layers.4.") for name in changed)
    bags, y = unbalanced(1)
    rare, was = (one.predict(bags) for one in (head, plain))
    assert (rare != 0).sum() > (was != 0).sum()
    assert macro_f1(y, rare, 3) > macro_f1(y, was, 3) - 0.02


def test_one_factor_a_label_is_learned(plain: MLPHead) -> None:
    before, after = (each.network_.state_dict()["network.layers.4.weight"] for each in (plain, fitted("lws")))
    ratio = after / before
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert ratio[:, 0].std() > 1e-3


def test_normalised_weights_are_as_long_as_the_chosen_tau_leaves_them(plain: MLPHead) -> None:
    head = fitted("tau")
    tau = float(head.notes_[-1].split()[2].rstrip(","))
    before, after = (each.network_.state_dict()["network.layers.4.weight"].norm(dim=1) for each in (plain, head))
    torch.testing.assert_close(after, before ** (1 - tau))
    assert not head.network_.state_dict()["network.layers.4.bias"].any()


def test_tau_is_not_chosen_on_documents_that_were_learned_from() -> None:
    with pytest.raises(CallError, match=r"chosen on a validation part: set validation, as 0\.1"):
        fitted("tau", validation=0.0)
    training = Training(**QUICK, rebalance="tau")
    head = MLPHead(hidden=8, training=training).fit(unbalanced(0)[0][:8], [0, 1] * 4)
    assert "Too few documents a label to choose tau on: the last layer is as it was learned." in head.notes_


def test_several_labels_are_refused() -> None:
    bags, y = unbalanced(0)
    head = MLPHead(training=Training(**QUICK, rebalance="crt"))
    with pytest.raises(CallError, match=r"^rebalance 'crt' is for one label a document\. Leave it out, and take class"):
        head.fit(bags, np.eye(3, dtype=bool)[y])
    assert not hasattr(head, "history_")  # nothing was learned for it


def test_a_new_last_layer_starts_as_the_others_did() -> None:
    head = fitted("crt", lr=1e-9, init="truncated_normal")
    assert float(head.network_.state_dict()["network.layers.4.weight"].std()) < 0.03


def test_favouring_rare_labels_twice_is_told() -> None:
    head = MLPHead(hidden=4, training=Training(**{**QUICK, "epochs": 1}, sampler="balanced")).fit(*unbalanced(0))
    assert head.notes_[-1] == (
        "Rare labels are favoured twice, by the sampler balanced and by class_weight: set that to none."
    )
