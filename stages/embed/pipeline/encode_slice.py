"""Encodes a slice of documents into the arrays of a shard."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from featurestore import ShardContent
from stages.embed.batching.budget import BatchStrategy, empty_gpu_cache, is_out_of_memory
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.tokens import never_stop
from stages.embed.windows.window_arrays import Integers, Windows, expand_ranges, offsets_from_counts

_ARRAY_NAMES = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
}

# the state of a window
_PENDING, _FINITE, _NOT_FINITE = np.int8(0), np.int8(1), np.int8(2)

# rows of windows, what was pooled of them, and the seconds that it took
EncodedBatch = tuple[Integers, dict[str, NDArray[np.float32]], float]
# called after each batch with its windows, their own tokens, its positions without and with padding, and its seconds
BatchCallback = Callable[[int, int, int, int, float], None]


@dataclass(frozen=True)
class EncodedSlice:
    """The result of encoding some documents.

    content: what a shard keeps of the documents that are complete. complete: int64, their rows. failed: int64, rows of
    the documents whose vectors are not finite even in float32. Rows in neither were not reached.
    """

    content: ShardContent
    complete: Integers
    failed: Integers


def encode_slice(
    keys: Sequence[str],
    windows: Windows,
    encoder: Encoder,
    batch_strategy: BatchStrategy,
    on_batch: BatchCallback | None = None,
    is_stopping: Callable[[], bool] = never_stop,
) -> EncodedSlice:
    """Encode documents, batch by batch.

    Args:
        keys: the key of each document's text.
        windows: the windows of these documents.
        encoder: its network is loaded with the first batch.
        batch_strategy: splits the windows into batches.
        on_batch: called after each batch.
        is_stopping: whether to stop after the current batch.

    Raises:
        EmbedOnceError: a value is too large for the number type kept, or a single window for the memory.
    """
    vectors, states = _encode_windows(windows, encoder, batch_strategy, on_batch, is_stopping)
    firsts = windows.offsets[:-1]
    is_complete = np.logical_and.reduceat(states == _FINITE, firsts) if len(windows) else np.zeros(0, bool)
    has_failed = np.logical_or.reduceat(states == _NOT_FINITE, firsts) if len(windows) else np.zeros(0, bool)
    complete = np.flatnonzero(is_complete)
    if not is_complete.all():
        vectors = _select_vectors(vectors, windows, complete, encoder)
        windows = windows.select(complete)
    arrays = _document_arrays(windows, encoder) | {
        _ARRAY_NAMES[name]: convert_to_dtype(array, encoder.recipe.dtype) for name, array in vectors.items()
    }
    content = ShardContent([keys[row] for row in complete.tolist()], arrays)
    return EncodedSlice(content, complete, np.flatnonzero(has_failed))


def _document_arrays(windows: Windows, encoder: Encoder) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "documents/chunk_offsets": windows.offsets,
        "documents/token_offsets": offsets_from_counts(windows.length)[windows.offsets],
        "documents/dropped_tokens": windows.dropped,
        "chunks/span": windows.span,
        "tokens/id": windows.window_ids(),
    }
    if "segments" in encoder.recipe.keep:
        arrays["documents/segment_offsets"] = offsets_from_counts(
            encoder.pooling.vector_counts("segments", windows.length)
        )[windows.offsets]
    return arrays


def _encode_windows(
    windows: Windows,
    encoder: Encoder,
    batch_strategy: BatchStrategy,
    on_batch: BatchCallback | None,
    is_stopping: Callable[[], bool],
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int8]]:
    """float32 arrays by name, filled batch by batch; and int8 (windows,), the state of each window."""
    counts = {name: encoder.pooling.vector_counts(name, windows.length) for name in encoder.recipe.keep}
    starts = {name: offsets_from_counts(counts[name]) for name in counts}
    layers = len(encoder.recipe.layers)
    item = (encoder.dim,) if layers == 1 else (layers, encoder.dim)
    # zeros, because a window without any position is never encoded
    vectors = {name: np.zeros((starts[name][-1], *item), np.float32) for name in starts}
    positions = windows.length + encoder.extra_positions
    states = np.where(positions > 0, _PENDING, _FINITE)
    for rows, pooled, seconds in _encode_batches(positions, states, windows, encoder, batch_strategy):
        for name, array in vectors.items():
            array[expand_ranges(starts[name][rows], counts[name][rows])] = pooled[name]
        states[rows] = np.where(np.isfinite(pooled["mean"]).reshape(len(rows), -1).all(1), _FINITE, _NOT_FINITE)
        if on_batch is not None:
            tokens, padded = windows.length[rows].sum(), len(rows) * positions[rows].max()
            on_batch(len(rows), int(tokens), int(positions[rows].sum()), int(padded), seconds)
        if is_stopping():
            break
    return vectors, states


def _encode_batches(
    positions: Integers,
    states: NDArray[np.int8],
    windows: Windows,
    encoder: Encoder,
    batch_strategy: BatchStrategy,
) -> Iterator[EncodedBatch]:
    """Encode the pending windows batch by batch.

    If a batch does not fit into memory, it and all later batches are made smaller.
    """
    rows = np.zeros(0, np.int64)
    while len(pending := np.flatnonzero(states == _PENDING)):
        try:
            batches = (rows := pending[batch] for batch in batch_strategy.split(positions[pending]))
            overlap = encoder.is_asynchronous and not batch_strategy.is_timed
            yield from _run_batches(batches, windows, encoder, overlap=overlap)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(rows) == 1:
                raise EmbedOnceError(
                    f"One window of {int(positions[rows[0]]):,} positions does not fit into memory. "
                    "Use --device cpu, or embed with a smaller --window."
                ) from error
            batch_strategy.halve(len(rows) * int(positions[rows].max()))
        empty_gpu_cache()  # after the except block, which keeps tensors alive through the error


def _run_batches(
    batches: Iterable[Integers], windows: Windows, encoder: Encoder, *, overlap: bool
) -> Iterator[EncodedBatch]:
    """Encode batches in order. overlap: the device gets the next batch before the vectors of the last are fetched."""
    running: deque[tuple[Integers, Callable[[], dict[str, NDArray[np.float32]]]]] = deque()
    started = time.perf_counter()
    for rows in chain(batches, [None]):
        if rows is not None:
            running.append((rows, encoder.start_batch(windows, rows)))
        while len(running) > (overlap and rows is not None):
            oldest, fetch = running.popleft()
            pooled = fetch()
            yield oldest, pooled, time.perf_counter() - started
            started = time.perf_counter()


def _select_vectors(
    vectors: dict[str, NDArray[np.float32]], windows: Windows, documents: Integers, encoder: Encoder
) -> dict[str, NDArray[np.float32]]:
    rows = expand_ranges(windows.offsets[:-1][documents], np.diff(windows.offsets)[documents])
    selected = {}
    for name, array in vectors.items():
        counts = encoder.pooling.vector_counts(name, windows.length)
        selected[name] = array[expand_ranges(offsets_from_counts(counts)[:-1][rows], counts[rows])]
    return selected


def convert_to_dtype(vectors: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """`vectors` in the number type kept; bfloat16 as uint16. Raises EmbedOnceError if a value is too large for it."""
    if dtype == "float32":
        return vectors
    import torch  # converts with all threads

    if dtype == "bfloat16":
        return torch.from_numpy(vectors).bfloat16().view(torch.uint16).numpy()
    kept = torch.from_numpy(vectors).half()
    if not kept.isfinite().all():
        raise EmbedOnceError(
            f"The encoder's vectors have values up to {np.abs(vectors).max():,.0f}, but float16 ends at 65,504. "
            "Embed with --dtype bfloat16 or float32, into another store."
        )
    return kept.numpy()
