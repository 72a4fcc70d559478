"""The lstm head reads a document in order."""

from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from heads.classifiers.lstm import LSTMHead
from heads.classifiers.recurrent import Recurrence
from heads.planted_signals import mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from tests.heads.planted import QUICK, order_signal


class TestLSTMHeadKeepsTheContract(HeadContract):
    head = LSTMHead(hidden=8, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


@pytest.mark.parametrize("readout", ["max", *(pytest.param(name, marks=pytest.mark.long) for name in ("mean", "last"))])
def test_it_finds_the_order_of_two_markers(readout: Any) -> None:
    planted = order_signal(documents=600)
    train, test = planted[:300], planted[300:]
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    head = LSTMHead(hidden=16, readout=readout, training=training)
    assert head.fit(train.bags, train.y).score(test.bags, test.y) > 0.9


@pytest.mark.long
def test_one_direction_is_enough_for_the_order() -> None:
    planted = order_signal(documents=600)
    train, test = planted[:300], planted[300:]
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    head = LSTMHead(hidden=16, bidirectional=False, training=training).fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.9


@pytest.mark.parametrize("readout", ["max", "mean", "last"])
def test_readouts_are_those_of_an_unpadded_document(readout: str) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    network = Recurrence(lstm, 2, readout, dropout=0.0)
    vectors = torch.randn(2, 5, 3)
    with torch.no_grad():
        logits = network(Batch.of_padded(vectors, torch.tensor([2, 5])))
        states, (last, _) = lstm(vectors[:1, :2])
        read = {"max": states.amax(dim=1), "mean": states.mean(dim=1), "last": torch.cat([last[0], last[1]], dim=1)}
        torch.testing.assert_close(logits[:1], network.output(read[readout]))


def test_its_size_is_that_of_its_gates_and_its_output() -> None:
    planted = mean_signal()
    head = LSTMHead(hidden=5, training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    assert head.parameter_count_ == 2 * 4 * 5 * (6 + 5 + 2) + (10 * 3 + 3)
