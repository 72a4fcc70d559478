"""The transformer head reads a document all at once, with its order."""

import math
from typing import Any, ClassVar

import pytest

from data.errors import CallError
from heads.classifiers.transformer import TransformerHead, sinusoidal_embedding
from heads.planted_signals import mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from tests.heads.planted import QUICK, order_signal


class TestTransformerHeadKeepsTheContract(HeadContract):
    head = TransformerHead(width=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


@pytest.mark.parametrize(
    "form", [{}, pytest.param({"pooling": "cls", "position_embedding": "learned"}, marks=pytest.mark.long)]
)
def test_it_finds_the_order_of_two_markers(form: Any) -> None:
    planted = order_signal(documents=600)
    train, test = planted[:300], planted[300:]
    training = training_of(lr=0.02, epochs=8, min_steps=15, device="cpu")
    head = TransformerHead(width=32, training=training, **form)
    assert head.fit(train.bags, train.y).score(test.bags, test.y) > 0.9


def test_sines_have_wavelengths_from_two_pi_up() -> None:
    table = sinusoidal_embedding(3, 4)
    assert table[2].tolist() == pytest.approx([math.sin(2), math.cos(2), math.sin(2 / 100), math.cos(2 / 100)])


def test_an_odd_width_has_positions_too() -> None:
    assert sinusoidal_embedding(3, 5).shape == (3, 5)


def test_a_width_that_its_heads_do_not_divide_is_a_sentence() -> None:
    planted = mean_signal()
    with pytest.raises(CallError, match=r"^width is 10; it must be a multiple of attention_heads=4\.$"):
        TransformerHead(width=10).fit(planted.bags, planted.y)


def test_its_size_is_that_of_its_layers() -> None:
    planted = mean_signal()
    head = TransformerHead(width=8, layers=2, training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    attention, feed_forward, norms = 4 * (8 * 8 + 8), (8 * 16 + 16) + (16 * 8 + 8), 2 * 16
    ends = (6 * 8 + 8) + 16 + (8 * 3 + 3)
    assert head.parameter_count_ == 2 * (attention + feed_forward + norms) + ends
