"""The features of new texts, block by block: memory is bounded by the length of texts and the size of features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featurestore import Shard, shard_bytes, text_key
from stages.embed.batching.budget import TokenBudget, create_budget
from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.background import SHARD_BYTES, prefetch
from stages.embed.pipeline.encode_slice import EncodedSlice, encode_slice
from stages.embed.pipeline.length_buckets import BUFFER_CHARACTERS, stored_bytes
from stages.embed.windows.window_arrays import Integers, Windows

# texts that are tokenized together at most; enough of them fill batches
BLOCK_DOCUMENTS = 4096


@dataclass(frozen=True)
class FeatureBlock:
    """The features of consecutive texts.

    texts: their numbers. is_encoded: bool (texts,), whether a text has features; its vectors are not finite if not.
    shards: one per encoder, each with the texts that have features, in their order.
    """

    texts: range
    is_encoded: NDArray[np.bool_]
    shards: Sequence[Shard]


@dataclass(frozen=True)
class _TokenizedBlock:
    """Consecutive texts from number `first` on: their keys, and their windows for each encoder."""

    first: int
    keys: Sequence[str]
    windows: Sequence[Windows]


def iter_feature_blocks(texts: Sequence[str], encoders: Sequence[Encoder]) -> Iterator[FeatureBlock]:
    """Encode texts, and read their features as a store would read them, so that a head gets the same input from both.

    As in `embed`, some million characters are tokenized while others are encoded, as many documents at once as fill a
    shard: memory does not grow with the number of texts or with their length.

    Args:
        texts: one per document.
        encoders: at least one.

    Returns:
        Blocks with all texts, in their order.

    Raises:
        EmbedOnceError: what `encode_slice` raises.
    """
    budgets = [create_budget(encoder) for encoder in encoders]
    for block in prefetch(lambda is_cancelled: _tokenize_blocks(texts, encoders, is_cancelled)):
        for rows in _divide_by_size(block, encoders):
            encoded, shards = _encode_rows(block, rows, encoders, budgets)
            yield FeatureBlock(range(block.first + rows.start, block.first + rows.stop), encoded, shards)


def _tokenize_blocks(
    texts: Sequence[str], encoders: Sequence[Encoder], is_cancelled: Callable[[], bool]
) -> Iterator[_TokenizedBlock]:
    block: list[str] = []
    characters = 0
    for end, text in enumerate(texts, start=1):
        block.append(text)
        characters += len(text)
        if len(block) == BLOCK_DOCUMENTS or characters >= BUFFER_CHARACTERS or end == len(texts):
            windows = [encoder.tokenizer.tokenize(block, encoder.windowing, is_cancelled) for encoder in encoders]
            yield _TokenizedBlock(end - len(block), [text_key(text) for text in block], windows)
            block, characters = [], 0


def _divide_by_size(block: _TokenizedBlock, encoders: Sequence[Encoder]) -> Iterator[range]:
    """Yield consecutive rows whose features take about as many bytes as a shard; at least one row at a time."""
    parts = zip(block.windows, encoders, strict=True)
    number = np.cumsum(sum(stored_bytes(windows, encoder) for windows, encoder in parts)) // SHARD_BYTES
    ends = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(block.keys)]
    return (range(start, stop) for start, stop in pairwise(ends))


def _encode_rows(
    block: _TokenizedBlock, rows: range, encoders: Sequence[Encoder], budgets: Sequence[TokenBudget]
) -> tuple[NDArray[np.bool_], list[Shard]]:
    """Encode some rows of a block; returns which have features, and one shard per encoder."""
    kept = np.arange(rows.start, rows.stop)
    while True:
        slices = [
            encode_slice([block.keys[row] for row in kept.tolist()], windows.select(kept), encoder, budget)
            for windows, encoder, budget in zip(block.windows, encoders, budgets, strict=True)
        ]
        complete: Integers = reduce(np.intersect1d, [part.complete for part in slices])
        kept = kept[complete]
        if all(len(part.complete) == len(kept) for part in slices):
            shards = [_read_as_shard(part, encoder) for part, encoder in zip(slices, encoders, strict=True)]
            return np.isin(np.arange(rows.start, rows.stop), kept), shards
        # one encoder fails for a text for which another does not: all encode the same texts


def _read_as_shard(encoded: EncodedSlice, encoder: Encoder) -> Shard:
    return Shard.of_bytes(shard_bytes(encoded.content, encoder.recipe), encoder.recipe)
