"""A sample of a corpus, and the estimate of its tokens."""

import numpy as np
import pytest

from stages.embed.batching.sample import draw_sample, estimate_tokens
from tests.stages.embed.conftest import Open
from tests.tiny_encoder import SENTENCES

TEXTS = [f"{sentence} {number}" for number in range(10) for sentence in SENTENCES]


def test_a_sample_has_the_requested_positions_and_is_the_same_each_time(tiny: Open) -> None:
    encoder = tiny(window=9)
    one, other = draw_sample(TEXTS, encoder, 300), draw_sample(TEXTS, encoder, 300)
    positions = one.windows.length[one.rows] + encoder.extra_positions
    assert 300 <= positions.sum() < 300 + 11
    np.testing.assert_array_equal(one.rows, other.rows)
    assert sorted(np.concatenate(list(one.split_into_batches(encoder)))) == sorted(one.rows)
    assert one.tokens == positions.sum() - 2 * len(one.rows)


def test_tokens_are_estimated_from_characters(tiny: Open) -> None:
    encoder = tiny(window=9, stride=3)
    read = encoder.tokenizer.tokenize(TEXTS * 10, encoder.windowing).tokens_to_encode.sum()
    assert estimate_tokens(TEXTS * 10, encoder) == pytest.approx(read, rel=0.1)
    assert estimate_tokens([], encoder) == estimate_tokens([""], encoder) == 0
