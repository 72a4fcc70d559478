"""New texts are encoded block by block: in their order, with the same features, however they are divided."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from featurestore import text_key
from stages.embed import Encoder
from stages.embed.pipeline import feature_blocks
from stages.embed.pipeline.feature_blocks import iter_feature_blocks
from stages.embed.windows.tokens import TextTokenizer
from tests.encoding import encode
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import CountingNetwork, counting
from tests.tiny_encoder import SENTENCES

TEXTS = [*SENTENCES, "", "oil", *(f"{sentence} {row}" for row, sentence in enumerate(SENTENCES))]


class FailingNetwork(CountingNetwork):
    """A network that gives NaN for windows with one token."""

    def __init__(self, encoder: Encoder, word: str) -> None:
        super().__init__(encoder.dim)
        self.token = int(encoder.tokenizer.tokenize([word], encoder.windowing).ids[0])

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        hidden = super().__call__(ids, lengths)[0]
        hidden[(ids == self.token).any(1)] = torch.nan
        return [hidden]


def failing(encoder: Encoder, word: str) -> Encoder:
    network = FailingNetwork(encoder, word)
    return replace(encoder, open_network=lambda _: network)


@pytest.mark.parametrize(
    ("documents", "characters", "size", "count"),
    [
        (99, 10**6, 10**6, 1),
        (3, 10**6, 10**6, 6),
        (99, 1, 10**6, 15),  # the empty text is read with the next one
        (99, 10**6, 1, 16),
        (5, 10**6, 1, 16),
    ],
)
def test_features_do_not_depend_on_how_texts_are_divided(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, documents: int, characters: int, size: int, count: int
) -> None:
    for name, value in (("BLOCK_DOCUMENTS", documents), ("BUFFER_CHARACTERS", characters), ("SHARD_BYTES", size)):
        monkeypatch.setattr(feature_blocks, name, value)
    encoder, _ = counting(tiny(window=6))
    blocks = list(iter_feature_blocks(TEXTS, [encoder]))
    assert [number for block in blocks for number in block.texts] == list(range(len(TEXTS)))
    assert all(block.is_encoded.all() for block in blocks)
    expected = encode(TEXTS, encoder).arrays["chunks/mean"]
    means = [np.asarray(block.shards[0].arrays["chunks/mean"]) for block in blocks]
    np.testing.assert_array_equal(np.concatenate(means), expected)
    assert len(blocks) == count


def test_a_block_is_bounded_by_characters_not_by_texts(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def count(tokenizer: TextTokenizer, texts: Sequence[str], *rest: object) -> object:
        lengths.append([len(text) for text in texts])
        return tokenize(tokenizer, texts, *rest)  # type: ignore[arg-type]

    tokenize = TextTokenizer.tokenize
    encoder, _ = counting(tiny())
    monkeypatch.setattr(TextTokenizer, "tokenize", count)
    monkeypatch.setattr(feature_blocks, "BUFFER_CHARACTERS", 1000)
    list(iter_feature_blocks([*["oil " * 100] * 5, *["oil"] * 50, "oil " * 1000, "oil"], [encoder]))
    assert [sum(block) for block in lengths] == [1200, 2 * 400 + 150 + 4000, 3]


def test_texts_without_finite_vectors_are_left_out_and_marked(tiny: Open) -> None:
    encoder = failing(tiny(), "graphics")
    texts = ["oil", "graphics", "price", "new graphics", "cup"]
    (block,) = iter_feature_blocks(texts, [encoder])
    assert block.is_encoded.tolist() == [True, False, True, False, True]
    keys = [np.asarray(key).tobytes().hex() for key in block.shards[0].arrays["documents/key"]]  # type: ignore[union-attr]
    assert keys == [text_key(text) for text in ("oil", "price", "cup")]
    (block,) = iter_feature_blocks(["graphics"], [encoder])
    assert (block.is_encoded.tolist(), len(block.shards[0])) == ([False], 0)


def test_two_encoders_encode_the_texts_that_both_can(tiny: Open) -> None:
    encoders = [failing(tiny(), "graphics"), failing(tiny("roberta"), "oil")]
    (block,) = iter_feature_blocks(["price", "graphics", "oil", "cup", "oil graphics"], encoders)
    assert block.is_encoded.tolist() == [True, False, False, True, False]
    assert [len(shard) for shard in block.shards] == [2, 2]


def test_no_texts_have_no_blocks(tiny: Open) -> None:
    assert list(iter_feature_blocks([], [tiny()])) == []
