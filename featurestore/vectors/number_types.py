"""Kept numbers as numbers that can be computed with: float16 and bfloat16 to wider ones, exactly."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# numbers that are widened at a time
_BLOCK = 1 << 16


def numpy_dtype(dtype: np.dtype[Any], *, bfloat16: bool) -> np.dtype[Any]:
    """The narrowest NumPy type that holds every kept number: float32 for bfloat16, else the type itself."""
    return np.dtype(np.float32) if bfloat16 else dtype


def widen(values: NDArray[Any], dtype: DTypeLike, *, bfloat16: bool) -> NDArray[Any]:
    """`values` in `dtype`, the same array where nothing has to change.

    bfloat16: `values` is uint16, the upper halves of float32 numbers.
    """
    if bfloat16:
        upper = values.astype(np.uint32)
        upper <<= 16
        values = upper.view(np.float32)
    elif values.dtype == np.float16 and dtype == np.float32:
        return _from_half(values)
    return values.astype(dtype, copy=False)


def _from_half(values: NDArray[np.float16]) -> NDArray[np.float32]:
    """Looked up: faster than `astype`, as the table's 256 KB stay in a core's own cache."""
    flat = np.ascontiguousarray(values).view(np.uint16).reshape(-1)
    wide = np.empty(flat.shape, dtype=np.float32)
    for start in range(0, len(flat), _BLOCK):  # `take` makes eight bytes of each index first
        block = slice(start, start + _BLOCK)
        _every_half().take(flat[block], out=wide[block], mode="clip")
    return wide.reshape(values.shape)


@cache
def _every_half() -> NDArray[np.float32]:
    """float32 (65536,): the value of each pattern of bits of a float16."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
