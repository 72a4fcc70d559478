"""The perceptron head classifies each step and pools what they say."""

from typing import ClassVar

import pytest
import torch

from heads.classifiers.mil import InstanceMLP, MILHead
from heads.planted_signals import mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from tests.heads.classifiers.test_attention import one_step_in_forty
from tests.heads.planted import QUICK


class TestMILHeadKeepsTheContract(HeadContract):
    head = MILHead(hidden=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


def test_the_maximum_finds_the_one_step_that_says_it() -> None:
    train, test = one_step_in_forty().halves()
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    head = MILHead(pooling="max", hidden=32, training=training)
    assert head.fit(train.bags, train.y).score(test.bags, test.y) > 0.9


@pytest.mark.parametrize("pooling", ["mean", "max", "logsumexp"])
def test_logits_are_pooled_over_a_documents_own_steps(pooling: str) -> None:
    torch.manual_seed(0)
    network = InstanceMLP(dim=3, labels=2, pooling=pooling, hidden=4, dropout=0.0)
    vectors = torch.randn(2, 5, 3)
    with torch.no_grad():
        steps = network.layers(vectors[0, :2])
        pooled = {"mean": steps.mean(dim=0), "max": steps.amax(dim=0), "logsumexp": steps.exp().mean(dim=0).log()}
        torch.testing.assert_close(network(Batch.of_padded(vectors, torch.tensor([2, 5])))[0], pooled[pooling])


def test_its_size_is_that_of_its_layers() -> None:
    planted = mean_signal()
    head = MILHead(hidden=8, training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    assert head.parameter_count_ == (12 * 8 + 8) + (8 * 3 + 3)  # cls and mean side by side
