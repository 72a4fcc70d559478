"""The file in memory that HDF5 writes headers into is a file like any other, whatever its length."""

import io
from pathlib import Path

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.shards.hdf5_streaming import ReservedArray, _SparseFile, reserve_arrays

PLACES = st.integers(0, 10_000)
STEPS = st.lists(st.tuples(PLACES, st.binary(max_size=9_000) | PLACES), max_size=8)


@settings(deadline=None)
@given(STEPS)
def test_what_is_written_is_read_as_from_bytes_in_memory(steps: list[tuple[int, bytes | int]]) -> None:
    sparse, plain = _SparseFile(), io.BytesIO()
    for place, step in steps:
        assert sparse.seek(place) == plain.seek(place)
        if isinstance(step, bytes):
            assert sparse.write(step) == plain.write(step)
        else:
            assert sparse.read(step) == plain.read(step)
        assert sparse.tell() == plain.tell()
    copy = io.BytesIO()
    sparse.write_to(copy)
    assert copy.getvalue() == plain.getvalue()
    assert sparse.seek(0, io.SEEK_END) == len(plain.getvalue())


def test_a_terabyte_is_reserved_in_some_kilobytes(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    wanted = {
        "chunks/cls": ReservedArray(np.dtype("<f2"), (2**30, 512), {"number_type": "float16"}),
        "chunks/none": ReservedArray(np.dtype("<i8"), (0, 2), {}),
        "end": ReservedArray(np.dtype("<i4"), (2,), {}),
    }
    with path.open("wb") as file:
        offsets = reserve_arrays(file, wanted, {"about": "a store", "ids": ["a", "é" * 9_000], "nobody": []}, 64)
        file.seek(offsets["end"])
        file.write(np.array([7, 8], "<i4").data)
    assert path.stat().st_size > 2**40 and path.stat().st_blocks * 512 < 200_000
    with h5py.File(path) as file:
        assert file["chunks/cls"].shape == (2**30, 512) and file["chunks/cls"].attrs["number_type"] == "float16"
        assert file["chunks/none"].shape == (0, 2) and file["end"][()].tolist() == [7, 8]
        assert file["chunks/cls"].id.get_offset() % 64 == 0
        assert file["about"].asstr()[()] == "a store" and file["ids"].asstr()[()].tolist() == ["a", "é" * 9_000]
        assert file["nobody"].shape == (0,)
