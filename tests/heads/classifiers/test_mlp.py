"""The mlp head: what pooling knows and what it cannot."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from featurestore import Bags
from heads.classifiers.mlp import MLPHead, PooledMLP
from heads.planted_signals import mean_signal, tabular_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from heads.training.loop import network_scores
from tests.heads.planted import QUICK, order_signal


class TestMLPHeadKeepsTheContract(HeadContract):
    head = MLPHead(hidden=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


def test_it_finds_what_lies_in_the_mean() -> None:
    train, test = mean_signal(documents=300).halves()
    assert MLPHead().fit(train.bags, train.y).score(test.bags, test.y) > 0.9


def test_the_order_of_chunks_is_chance_to_it() -> None:
    planted = order_signal(documents=600)
    train, test = planted[:300], planted[300:]
    # 300 coin tosses: 0.12 is four standard deviations
    assert MLPHead().fit(train.bags, train.y).score(test.bags, test.y) == pytest.approx(0.5, abs=0.12)


def test_it_reads_what_is_kept_of_cls_mean_and_max() -> None:
    planted = mean_signal()
    some = Bags({view: planted.bags.view(view) for view in ("mean", "segments")})
    assert MLPHead().reads == ("cls", "mean", "max")
    assert MLPHead().fit(some, planted.y).reads == ("mean",)


@pytest.mark.parametrize(("summed", "pooled"), [(False, [2.0, 4.0]), (True, [4.0, 8.0])])
def test_pooling_is_the_mean_or_the_sum_of_a_documents_own_chunks(summed: bool, pooled: list[float]) -> None:
    network = PooledMLP(2, 2, hidden=0, dropout=0.0, summed=summed).eval()
    with torch.no_grad():
        network.get_parameter("layers.1.weight").copy_(torch.eye(2))
        network.get_parameter("layers.1.bias").zero_()
        vectors = torch.tensor([[[1.0, 3.0], [3.0, 5.0], [99.0, 99.0]]])
        assert network(Batch.of_padded(vectors, torch.tensor([2]))).tolist() == [pooled]


def test_its_size_is_that_of_its_two_layers() -> None:
    planted = mean_signal()  # 6 numbers of each of three views, three labels
    head = MLPHead(hidden=10, training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    assert head.parameter_count_ == (18 * 10 + 10) + (10 * 3 + 3)
    assert np.isfinite(head.decision_function(planted.bags)).all()


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_pooling_once_before_the_training_gives_the_logits_of_pooling_in_the_network(pooling: Any) -> None:
    planted = mean_signal(chunks=(1, 9))
    planted = replace(planted, bags=replace(planted.bags, tabular=tabular_signal(len(planted)).bags.tabular))
    head = MLPHead(pooling=pooling, training=training_of(epochs=1, min_steps=1, device="cpu")).fit(
        planted.bags, planted.y
    )
    unpooled = network_scores(head.network_, head._sequences(planted.bags), torch.arange(len(planted)))
    np.testing.assert_allclose(head.decision_function(planted.bags), unpooled, atol=1e-4)


def test_a_plain_array_is_read_once_although_it_has_three_view_names() -> None:
    planted = mean_signal(chunks=(1, 1))
    head = MLPHead(hidden=0, training=training_of(epochs=1)).fit(planted.bags.pooled(("mean",)), planted.y)
    assert head.parameter_count_ == 6 * 3 + 3
