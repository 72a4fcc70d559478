"""The gru head reads a document in order."""

from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from heads.classifiers.gru import GRUHead
from heads.classifiers.recurrent import Recurrence
from heads.planted_signals import mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from tests.heads.planted import QUICK, order_signal


class TestGRUHeadKeepsTheContract(HeadContract):
    head = GRUHead(hidden=8, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


@pytest.mark.parametrize("readout", ["max", pytest.param("last", marks=pytest.mark.long)])
def test_it_finds_the_order_of_two_markers(readout: Any) -> None:
    planted = order_signal(documents=600)
    train, test = planted[:300], planted[300:]
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    head = GRUHead(hidden=16, readout=readout, training=training)
    assert head.fit(train.bags, train.y).score(test.bags, test.y) > 0.9


def test_the_last_state_is_that_of_an_unpadded_document() -> None:
    torch.manual_seed(0)
    gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    network = Recurrence(gru, 2, "last", dropout=0.0)
    vectors = torch.randn(2, 5, 3)
    with torch.no_grad():
        logits = network(Batch.of_padded(vectors, torch.tensor([2, 5])))
        last = gru(vectors[:1, :2])[1]
        torch.testing.assert_close(logits[:1], network.output(torch.cat([last[0], last[1]], dim=1)))


def test_its_recurrent_matrices_start_orthogonal_a_gate() -> None:
    network = Recurrence(nn.GRU(3, 4, batch_first=True), 2, "last", dropout=0.0)
    for gate in network.layer.get_parameter("weight_hh_l0").detach().chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4), atol=1e-5, rtol=0)


def test_its_size_is_that_of_three_gates_and_its_output() -> None:
    planted = mean_signal()
    head = GRUHead(hidden=5, training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    assert head.parameter_count_ == 2 * 3 * 5 * (6 + 5 + 2) + (10 * 3 + 3)
