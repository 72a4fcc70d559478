"""Exact conversion of stored float16 and bfloat16 numbers to wider types."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# numbers that are converted at a time
_BLOCK = 1 << 16


def numpy_dtype(dtype: np.dtype[Any], *, bfloat16: bool) -> np.dtype[Any]:
    """Return the narrowest NumPy type that holds every stored number: float32 for bfloat16, else `dtype`."""
    return np.dtype(np.float32) if bfloat16 else dtype


def widen(values: NDArray[Any], dtype: DTypeLike, *, bfloat16: bool) -> NDArray[Any]:
    """Convert `values` to `dtype`; the same array is returned if nothing has to change.

    bfloat16: `values` is uint16, the upper halves of float32 numbers.
    """
    if bfloat16:
        upper = values.astype(np.uint32)
        upper <<= 16
        values = upper.view(np.float32)
    elif values.dtype == np.float16 and dtype == np.float32:
        return _widen_float16(values)
    return values.astype(dtype, copy=False)


def _widen_float16(values: NDArray[np.float16]) -> NDArray[np.float32]:
    """Convert by a lookup table: faster than `astype`, as the table's 256 KB stay in a core's cache."""
    flat = np.ascontiguousarray(values).view(np.uint16).reshape(-1)
    wide = np.empty(flat.shape, dtype=np.float32)
    for start in range(0, len(flat), _BLOCK):  # `take` first converts each index to 8 bytes
        block = slice(start, start + _BLOCK)
        _float16_table().take(flat[block], out=wide[block], mode="clip")
    return wide.reshape(values.shape)


@cache
def _float16_table() -> NDArray[np.float32]:
    """The value of each bit pattern of a float16: float32 (65536,)."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
