"""A slice of documents to the arrays of a shard."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from featurestore import ShardContent
from stages.embed.batches import batches
from stages.embed.encoder import Encoder
from stages.embed.windows import Integers, Windows, offsets_of, ranges

_FILES = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
}

# called after each batch with its windows, their own tokens, its positions without and with padding, and its seconds
Tell = Callable[[int, int, int, int, float], None]


def encode_slice(
    keys: Sequence[str], windows: Windows, encoder: Encoder, tell: Tell | None = None
) -> tuple[ShardContent, list[int]]:
    """Encode documents; returns what a shard keeps of them, and the rows of those left out.

    A document is left out when its vectors are not finite even in float32. Raises EmbedOnceError when a number is too
    large for the number type kept.
    """
    vectors, bad = _vectors(windows, encoder, tell)
    failed = np.unique(np.searchsorted(windows.offsets, bad, side="right") - 1).tolist()
    if failed:
        good = np.setdiff1d(np.arange(len(keys)), failed)
        content, _ = encode_slice([keys[row] for row in good], windows.of(good), encoder)
        return content, failed
    arrays = _documents(windows, encoder) | {
        _FILES[name]: as_kept(array, encoder.recipe.dtype) for name, array in vectors.items()
    }
    return ShardContent(keys=list(keys), arrays=arrays), []


def _documents(windows: Windows, encoder: Encoder) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "documents/chunk_offsets": windows.offsets,
        "documents/token_offsets": offsets_of(windows.length)[windows.offsets],
        "documents/dropped_tokens": windows.dropped,
        "chunks/span": windows.span,
        "tokens/id": windows.window_ids(),
    }
    if "segments" in encoder.recipe.keep:
        arrays["documents/segment_offsets"] = offsets_of(encoder.pooling.counts("segments", windows.length))[
            windows.offsets
        ]
    return arrays


def _vectors(windows: Windows, encoder: Encoder, tell: Tell | None) -> tuple[dict[str, NDArray[np.float32]], Integers]:
    """float32 arrays by name, filled batch by batch; and the windows whose vectors are not finite."""
    counts = {name: encoder.pooling.counts(name, windows.length) for name in encoder.recipe.keep}
    starts = {name: offsets_of(counts[name]) for name in counts}
    layers = len(encoder.recipe.layers)
    item = (encoder.dim,) if layers == 1 else (layers, encoder.dim)
    # zeros, because a window without any position is never encoded
    vectors = {name: np.zeros((starts[name][-1], *item), np.float32) for name in starts}
    bad = [np.zeros(0, np.int64)]
    positions = windows.length + encoder.around
    for rows in batches(positions, encoder.budget):
        started = time.perf_counter()
        pooled = encoder.pooled(windows, rows)
        for name, array in vectors.items():
            array[ranges(starts[name][rows], counts[name][rows])] = pooled[name]
        bad.append(rows[~np.isfinite(pooled["mean"]).reshape(len(rows), -1).all(1)])
        if tell is not None:
            own, real, padded = windows.length[rows].sum(), positions[rows].sum(), len(rows) * positions[rows[0]]
            tell(len(rows), int(own), int(real), int(padded), time.perf_counter() - started)
    return vectors, np.concatenate(bad)


def as_kept(vectors: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """`vectors` in the number type kept; bfloat16 as uint16. Raises EmbedOnceError where one does not fit."""
    if dtype == "float32":
        return vectors
    if dtype == "bfloat16":
        import torch

        return torch.from_numpy(vectors).bfloat16().view(torch.uint16).numpy()
    with np.errstate(over="ignore"):
        kept = vectors.astype(np.float16)
    if not np.isfinite(kept).all():
        raise EmbedOnceError(
            f"The encoder gives numbers up to {np.abs(vectors).max():,.0f}; float16 holds none above 65,504. "
            "Keep them as another number type, with --dtype bfloat16 or float32, in a store of its own."
        )
    return kept
