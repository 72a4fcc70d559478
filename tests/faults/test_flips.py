"""A changed shard under the name of its own changed bytes, which no hash gives away: the parser refuses or reads it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from featurestore import shard_bytes
from tests.conftest import ROOT
from tests.faults import flipping
from tests.featurestore.made import ALL_KEPT, content

if not Path("/proc/self/statm").exists():
    pytest.skip("this system has no limit on memory that a test could set", allow_module_level=True)

SECONDS = 900
SHARD = bytes(shard_bytes(content(["one", "two"], ALL_KEPT, dim=2), ALL_KEPT))


def older_format(data: bytes) -> bytes:
    """The same arrays in a file of HDF5's first format, whose headers have no checksums."""
    older = io.BytesIO()
    with h5py.File(io.BytesIO(data)) as shard, h5py.File(older, "w", libver="earliest") as file:
        for name in shard:
            shard.copy(name, file)
    return older.getvalue()


def fates(folder: Path, data: bytes, step: int) -> dict[int, str]:
    """Try every `step`-th change: those that were odd, and those that the process died of."""
    (folder / "shard").write_bytes(data)
    found: dict[int, str] = {}
    first, last = 0, len(data) * len(flipping.MASKS)
    while first < last:
        command = [sys.executable, "-m", "tests.faults.flipping", str(folder), str(first), str(step)]
        # a thread of OpenBLAS reserves as much memory as the limit allows for all
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)
        said = [line.partition(" ") for line in ended.stdout.splitlines()]
        found |= {int(number): odd for number, _, odd in said if odd}
        if not ended.returncode:
            break
        assert said, ended.stderr
        first = int(said[-1][0])
        found[first] = f"code {ended.returncode}: {ended.stderr}"
        first += step
    return found


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.long)])
def test_no_flip_behind_the_hash_crashes_hangs_or_is_read_as_something_else(tmp_path: Path, step: int) -> None:
    assert fates(tmp_path, SHARD, step) == {}


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.long)])
def test_no_flip_in_a_file_without_checksums_crashes_hangs_or_is_read_as_something_else(
    tmp_path: Path, step: int
) -> None:
    assert fates(tmp_path, older_format(SHARD), step) == {}
