"""A slice of documents to the arrays of a shard."""

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
from stages.embed.batching.budget import Batching, empty_gpu_cache, is_out_of_memory
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.tokens import never_stop
from stages.embed.windows.window_arrays import Integers, Windows, expand_ranges, offsets_from_counts

_FILES = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
}

# what became of a window
_WAITING, _FINITE, _UNSOUND = np.int8(0), np.int8(1), np.int8(2)

# called after each batch with its windows, their own tokens, its positions without and with padding, and its seconds
BatchCallback = Callable[[int, int, int, int, float], None]


@dataclass(frozen=True)
class EncodedSlice:
    """What became of some documents.

    content: what a shard keeps of those encoded whole. done: int64, their rows. failed: int64, rows of those whose
    vectors are not finite even in float32. Rows that are in neither were not reached.
    """

    content: ShardContent
    done: Integers
    failed: Integers


def encode_slice(
    keys: Sequence[str],
    windows: Windows,
    encoder: Encoder,
    budget: Batching,
    tell: BatchCallback | None = None,
    stopping: Callable[[], bool] = never_stop,
) -> EncodedSlice:
    """Encode documents, batch by batch until all are done or `stopping` says so.

    Raises EmbedOnceError when a number is too large for the number type kept, or a single window for the memory.
    """
    vectors, state = _vectors(windows, encoder, budget, tell, stopping)
    firsts = windows.offsets[:-1]
    whole = np.logical_and.reduceat(state == _FINITE, firsts) if len(windows) else np.zeros(0, bool)
    bad = np.logical_or.reduceat(state == _UNSOUND, firsts) if len(windows) else np.zeros(0, bool)
    done = np.flatnonzero(whole)
    if not whole.all():
        vectors = _of_documents(vectors, windows, done, encoder)
        windows = windows.select(done)
    arrays = _documents(windows, encoder) | {
        _FILES[name]: convert_to_dtype(array, encoder.recipe.dtype) for name, array in vectors.items()
    }
    return EncodedSlice(ShardContent([keys[row] for row in done.tolist()], arrays), done, np.flatnonzero(bad))


def _documents(windows: Windows, encoder: Encoder) -> dict[str, NDArray[Any]]:
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


def _vectors(
    windows: Windows, encoder: Encoder, budget: Batching, tell: BatchCallback | None, stopping: Callable[[], bool]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int8]]:
    """float32 arrays by name, filled batch by batch; and int8 (windows,), what became of each window."""
    counts = {name: encoder.pooling.vector_counts(name, windows.length) for name in encoder.recipe.keep}
    starts = {name: offsets_from_counts(counts[name]) for name in counts}
    layers = len(encoder.recipe.layers)
    item = (encoder.dim,) if layers == 1 else (layers, encoder.dim)
    # zeros, because a window without any position is never encoded
    vectors = {name: np.zeros((starts[name][-1], *item), np.float32) for name in starts}
    positions = windows.length + encoder.extra_positions
    state = np.where(positions > 0, _WAITING, _FINITE)
    for rows, pooled, seconds in _batches(positions, state, windows, encoder, budget):
        for name, array in vectors.items():
            array[expand_ranges(starts[name][rows], counts[name][rows])] = pooled[name]
        state[rows] = np.where(np.isfinite(pooled["mean"]).reshape(len(rows), -1).all(1), _FINITE, _UNSOUND)
        if tell is not None:
            own, real, padded = windows.length[rows].sum(), positions[rows].sum(), len(rows) * positions[rows].max()
            tell(len(rows), int(own), int(real), int(padded), seconds)
        if stopping():
            break
    return vectors, state


def _batches(
    positions: Integers, state: NDArray[np.int8], windows: Windows, encoder: Encoder, budget: Batching
) -> Iterator[tuple[Integers, dict[str, NDArray[np.float32]], float]]:
    """The windows that wait, batch by batch: rows, what was pooled of them, and seconds.

    A batch that does not fit into memory is cut smaller, and so are those behind it.
    """
    rows = np.zeros(0, np.int64)
    while len(waiting := np.flatnonzero(state == _WAITING)):
        try:
            batches = (rows := waiting[some] for some in budget.batches(positions[waiting]))
            yield from _overlapped(batches, windows, encoder, beside=encoder.is_asynchronous and not budget.timed)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(rows) == 1:
                raise EmbedOnceError(
                    f"Memory does not hold one window of {int(positions[rows[0]]):,} positions. "
                    "Take a smaller --window, or --device cpu."
                ) from error
            budget.halve(len(rows) * int(positions[rows].max()))
        empty_gpu_cache()  # only here, where the error holds no tensors any more


def _overlapped(
    batches: Iterable[Integers], windows: Windows, encoder: Encoder, *, beside: bool
) -> Iterator[tuple[Integers, dict[str, NDArray[np.float32]], float]]:
    """As `_batches`. beside: the device gets the next batch before the last one's vectors are fetched from it."""
    begun: deque[tuple[Integers, Callable[[], dict[str, NDArray[np.float32]]]]] = deque()
    started = time.perf_counter()
    for rows in chain(batches, [None]):
        if rows is not None:
            begun.append((rows, encoder.start_batch(windows, rows)))
        while len(begun) > (beside and rows is not None):
            done, finish = begun.popleft()
            pooled = finish()
            yield done, pooled, time.perf_counter() - started
            started = time.perf_counter()


def _of_documents(
    vectors: dict[str, NDArray[np.float32]], windows: Windows, documents: Integers, encoder: Encoder
) -> dict[str, NDArray[np.float32]]:
    rows = expand_ranges(windows.offsets[:-1][documents], np.diff(windows.offsets)[documents])
    found = {}
    for name, array in vectors.items():
        counts = encoder.pooling.vector_counts(name, windows.length)
        found[name] = array[expand_ranges(offsets_from_counts(counts)[:-1][rows], counts[rows])]
    return found


def convert_to_dtype(vectors: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """`vectors` in the number type kept; bfloat16 as uint16. Raises EmbedOnceError where one does not fit."""
    if dtype == "float32":
        return vectors
    import torch

    # torch converts with all threads
    if dtype == "bfloat16":
        return torch.from_numpy(vectors).bfloat16().view(torch.uint16).numpy()
    kept = torch.from_numpy(vectors).half()
    if not kept.isfinite().all():
        raise EmbedOnceError(
            f"The encoder gives numbers up to {np.abs(vectors).max():,.0f}; float16 holds none above 65,504. "
            "Keep them as another number type, with --dtype bfloat16 or float32, in a store of its own."
        )
    return kept.numpy()
