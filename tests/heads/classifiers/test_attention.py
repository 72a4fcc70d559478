"""The attention head reads the steps that matter."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from heads.classifiers.attention import AttentionHead, GatedAttention
from heads.classifiers.mlp import MLPHead
from heads.planted_signals import Planted, make_bags, mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from tests.heads.planted import QUICK

SHORT = training_of(epochs=1, min_steps=1)


class TestAttentionHeadKeepsTheContract(HeadContract):
    head = AttentionHead(hidden=16, gate=8, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


def one_step_in_forty(documents: int = 500, seed: int = 0) -> Planted:
    """Forty steps of noise, one marked along axis 0 whose axis 1 has the label's sign: the mean drowns it."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(documents) % 2)
    rows = rng.normal(size=(documents, 40, 4))
    marked = rng.integers(40, size=documents)
    rows[np.arange(documents), marked, :2] = np.column_stack([np.full(documents, 6.0), 4.0 * codes - 2])
    return Planted(make_bags(list(rows)), np.array(["minus", "plus"], dtype=object)[codes])


@pytest.mark.parametrize(
    "form", [{}, *(pytest.param(form, marks=pytest.mark.long) for form in ({"queries": 3}, {"hidden": 0}))]
)
def test_it_finds_the_one_step_that_the_mean_drowns(form: Any) -> None:
    train, test = one_step_in_forty().halves()
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    found = (
        AttentionHead(training=training, **{"hidden": 32, "gate": 16} | form)
        .fit(train.bags, train.y)
        .score(test.bags, test.y)
    )
    averaged = MLPHead(hidden=32, training=training).fit(train.bags, train.y).score(test.bags, test.y)
    assert averaged < 0.8
    assert found > 0.9


def test_weights_of_a_query_sum_to_one_over_a_documents_own_steps() -> None:
    torch.manual_seed(0)
    network = GatedAttention(dim=3, labels=2, queries=2, hidden=0, gate=4, dropout=0.0)
    batch = Batch.of_padded(torch.randn(2, 5, 3), torch.tensor([2, 5]))
    weights = network.weights(batch)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 2))
    assert weights[0, 2:].abs().max() == 0


def test_logits_are_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    network = GatedAttention(dim=3, labels=2, queries=1, hidden=0, gate=4, dropout=0.0)
    steps = torch.randn(5, 3)
    with torch.no_grad():
        asked = [network.query(network.content(h).tanh() * network.gate(h).sigmoid()).exp() for h in steps]
        mean = sum(share / sum(asked) * h for share, h in zip(asked, steps, strict=True))
        torch.testing.assert_close(network(Batch.of_padded(steps[None], torch.tensor([5])))[0], network.output(mean))


def test_its_size_is_that_of_its_layers() -> None:
    planted = mean_signal()
    head = AttentionHead(queries=2, hidden=8, gate=5, training=SHORT).fit(planted.bags, planted.y)
    assert head.parameter_count_ == (6 * 8 + 8) + 2 * (8 * 5 + 5) + 5 * 2 + (16 * 3 + 3)
