"""Where the arrays of an HDF5 file lie in it, and a refusal of all that is not a plain array in that file."""

import math
from typing import Any, BinaryIO, NamedTuple

import numpy as np


class Extent(NamedTuple):
    """One dataset's bytes: `offset` is the first of them."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def read_extents(file: BinaryIO, size: int) -> dict[str, Extent]:
    """Every dataset of a file of `size` bytes, by its name; nothing of their content is read.

    Raises ValueError for what HDF5 cannot read, for links, external and virtual storage, and for an array that would
    end behind the end of the file, whatever shape it declares.
    """
    import h5py

    try:
        with h5py.File(file, "r") as parsed:
            return {name: _extent(parsed, name, size) for name in _names(parsed)}
    # what HDF5 does not like it says by any of these
    except (OSError, RuntimeError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _names(parsed: Any) -> list[str]:
    """The datasets, in one level of groups; a link that leads elsewhere is not followed."""
    import h5py

    names: list[str] = []
    for top in parsed:
        _refuse_link(parsed, top)
        inside = [f"{top}/{name}" for name in parsed[top]] if isinstance(parsed[top], h5py.Group) else []
        for name in inside:
            _refuse_link(parsed, name)
        names += inside or [top]
    return names


def _refuse_link(parsed: Any, name: str) -> None:
    import h5py

    if not isinstance(parsed.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link")


def _extent(parsed: Any, name: str, size: int) -> Extent:
    import h5py

    dataset = parsed[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf":
        raise ValueError(f"{name} is no array of numbers")
    properties = dataset.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise ValueError(f"{name} is not stored in one piece in this file")
    # Python's whole numbers, which no declared shape makes overflow
    length = math.prod(dataset.shape) * dataset.dtype.itemsize
    offset = dataset.id.get_offset()  # None for an array without items
    if length and (offset is None or offset + length > size):
        raise ValueError(f"{name} ends behind the end of the file")
    return Extent(dataset.dtype, dataset.shape, offset or 0)
