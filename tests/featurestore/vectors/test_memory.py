"""What is free: of the machine, and of the control groups that a container or a scheduler's job is in."""

import platform
import resource
from pathlib import Path

import numpy as np
import pytest

from featurestore import free_memory, keep_freed_memory, return_freed_memory, share_memory
from featurestore.vectors import memory

MEMINFO = "MemTotal:       2000 kB\nMemFree:  10 kB\nMemAvailable:   1000 kB\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 kB free and no groups."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    return tmp_path


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_this_machine_has_some() -> None:
    assert (free_memory() or 0) > 2**20


def test_without_groups_it_is_what_the_machine_has(machine: Path) -> None:
    assert free_memory() == 1000 * 1024
    (machine / "membership").write_text("0::/\n3:cpuset:/\n")
    assert free_memory() == 1000 * 1024


def test_a_job_has_what_the_tightest_group_above_it_leaves(machine: Path) -> None:
    (machine / "membership").write_text("0::/slurm/job_7/step\n")
    stat = "anon 1\ninactive_file 300\n"
    group(machine / "groups/slurm/job_7", memory__max="1000\n", memory__current="900\n", memory__stat=stat)
    group(machine / "groups/slurm/job_7/step", memory__max="max\n", memory__current="900\n", memory__stat=stat)
    assert free_memory() == 400


def test_a_container_that_sees_its_own_group_as_the_root(machine: Path) -> None:
    (machine / "membership").write_text("4:memory:/docker/7f\n1:cpu,cpuacct:/docker/7f\n")
    stat = "total_inactive_file 0\n"
    own = machine / "groups/memory"
    group(own, memory__limit_in_bytes="500", memory__usage_in_bytes="700", memory__stat=stat)
    assert free_memory() == 0
    group(own, memory__limit_in_bytes="9223372036854771712")
    assert free_memory() == 1000 * 1024


def test_a_machine_without_meminfo_has_what_it_was_built_with(machine: Path) -> None:
    (machine / "meminfo").unlink()
    assert (free_memory() or 0) > 2**20


def test_processes_that_are_alike_have_a_part_each(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_processes", 1)
    share_memory(4)
    assert free_memory() == 250 * 1024


@pytest.mark.parametrize("library", ["none", "without malloc_trim"])
def test_freed_memory_is_left_to_another_c_library(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    def load(name: str) -> object:
        if library == "none":
            raise OSError(name)
        return object()

    monkeypatch.setattr("ctypes.CDLL", load)
    return_freed_memory()
    with keep_freed_memory():
        pass


def fresh_pages(rounds: int) -> int:
    """How many pages the system gave for blocks of 64 MB that were freed at once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.full(2**26, 1, dtype=np.int8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left alone")
def test_freed_memory_is_kept_inside_the_block_and_returned_after_it() -> None:
    with keep_freed_memory():
        fresh_pages(1)
        assert fresh_pages(5) < 5
    assert fresh_pages(5) > 5 * 16
