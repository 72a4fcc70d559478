"""The location of each array in an HDF5 file; anything that is not a plain array within the file is refused."""

import math
from typing import Any, BinaryIO, NamedTuple

import numpy as np


class Extent(NamedTuple):
    """The bytes of one dataset, from `offset` on."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def read_extents(file: BinaryIO, size: int) -> dict[str, Extent]:
    """Locate every dataset of a file of `size` bytes, by name; contents are not read.

    Raises ValueError for a file that HDF5 cannot read, for links, external and virtual storage, and for an array whose
    declared shape extends beyond the end of the file.
    """
    import h5py

    try:
        with h5py.File(file, "r") as parsed:
            return {name: _extent(parsed, name, size) for name in _dataset_names(parsed)}
    # h5py raises any of these for a damaged file
    except (OSError, RuntimeError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _dataset_names(parsed: Any) -> list[str]:
    """List the datasets in one level of groups; links are refused."""
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
        raise ValueError(f"{name} is not an array of numbers")
    properties = dataset.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise ValueError(f"{name} is not stored in one piece in this file")
    # Python integers do not overflow, whatever shape is declared
    length = math.prod(dataset.shape) * dataset.dtype.itemsize
    offset = dataset.id.get_offset()  # None for an array without items
    if length and (offset is None or offset + length > size):
        raise ValueError(f"{name} extends beyond the end of the file")
    return Extent(dataset.dtype, dataset.shape, offset or 0)
