"""The command `embed` on a disk that fills up: one sentence, exit code 1, and later it goes on where it stopped."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import embedding
from tests.faults.whole import assert_equal, committed_windows

pytestmark = pytest.mark.usefixtures("served")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, short_texts: Path, tiny: Path, served: None) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EMBEDONCE_CACHE", str(folder.parent / "cache"))
        code, said = embedding.start(folder, short_texts, str(tiny)).end()
    assert code == 0, said
    return folder


def assert_reported(said: str, reason: str) -> None:
    """The last line, and no other, tells of an error."""
    *before, last = said.splitlines()
    assert last.startswith("Error: ") and not any("rror" in line for line in before)
    assert last.endswith(f"{reason}. Make room and run the same command again; what was committed before is intact.")


def goes_on(store: Path, undisturbed: Path, source: Path, model: Path) -> int:
    """Embed the rest, now that there is room; returns how many documents had been committed before."""
    committed = committed_windows(store)
    assert list(store.parent.rglob(".tmp-*")) == []
    resumed = embedding.start(store, source, str(model))
    code, said = resumed.end()
    assert code == 0, said
    assert_equal(store, undisturbed)
    windows = committed_windows(store)
    assert set(Counter(windows).values()) == {1} and Counter(committed) + Counter(resumed.windows) == Counter(windows)
    return len(committed)


# bytes in which there is no room for the recipe, the table of the corpus, a shard
@pytest.mark.parametrize("limit", [*(pytest.param(size, marks=pytest.mark.long) for size in (100, 2_000)), 30_000])
def test_a_limit_on_the_size_of_files_is_reported_and_embed_resumes_without_it(
    tmp_path: Path, short_texts: Path, tiny: Path, undisturbed: Path, limit: int
) -> None:
    pytest.importorskip("resource")
    store = tmp_path / "store"
    limited = embedding.Setting(file_bytes=limit, shard_bytes=2**20, counted=False)
    code, said = embedding.start(store, short_texts, str(tiny), limited).end()
    assert code == 1
    assert_reported(said, "File too large")
    goes_on(store, undisturbed, short_texts, tiny)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB; none may be mounted without the right to."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() or mount(folder, "size=100k"):
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


def mount(folder: Path, options: str) -> int:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, timeout=60).returncode


def test_a_disk_that_fills_up_is_reported_and_embed_resumes_once_there_is_room(
    small_disk: Path, short_texts: Path, tiny: Path, undisturbed: Path
) -> None:
    store = small_disk / "store"
    code, said = embedding.start(store, short_texts, str(tiny)).end()
    assert code == 1
    assert_reported(said, "No space left on device")
    assert mount(small_disk, "remount,size=10m") == 0
    assert 0 < goes_on(store, undisturbed, short_texts, tiny) < 300


def test_a_disk_that_is_full_from_the_start_is_reported_and_embed_begins_once_there_is_room(
    small_disk: Path, short_texts: Path, tiny: Path, undisturbed: Path
) -> None:
    with (small_disk / "other").open("wb", buffering=0) as other, pytest.raises(OSError, match="No space left"):
        while True:
            other.write(bytes(4096))
    code, said = embedding.start(small_disk / "store", short_texts, str(tiny)).end()
    assert code == 1
    assert_reported(said, "No space left on device")
    (small_disk / "other").unlink()
    assert mount(small_disk, "remount,size=10m") == 0
    assert goes_on(small_disk / "store", undisturbed, short_texts, tiny) == 0
