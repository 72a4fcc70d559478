"""Files and folders on disk: where the cache folder is, and what an atomic write leaves behind."""

import errno
from pathlib import Path

import pytest

from data.atomic_write import build_folder, cache_folder, create_atomically, open_atomically
from data.errors import StorageFailed


def test_the_cache_folder_is_our_own_variable_then_the_desktops_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EMBEDONCE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("EMBEDONCE_CACHE")
    assert cache_folder() == Path("/b/embedonce")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path("/c/.cache/embedonce")


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), open_atomically(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with open_atomically(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_created_file_does_not_replace_one_that_another_process_made_first(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with create_atomically(path) as temporary:
        temporary.write_bytes(b"mine")
        path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("existing", "kept"), [(None, "new"), ("complete", "complete"), ("damaged", "new")])
def test_a_built_folder_replaces_a_damaged_one_only(tmp_path: Path, existing: str | None, kept: str) -> None:
    folder = tmp_path / "graphs" / "one"
    if existing:
        folder.mkdir(parents=True)
        (folder / "content").write_text(existing)
    with build_folder(folder, is_complete=lambda path: (path / "content").read_text() != "damaged") as temporary:
        (temporary / "content").write_text("new")
    assert (folder / "content").read_text() == kept and list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_cannot_be_built_is_reported_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageFailed, match=r"file: Not a directory|cannot be made: File exists"),
        build_folder(tmp_path / "file" / "one", next_step="Fit again."),
    ):
        pass
    with (
        pytest.raises(StorageFailed, match=r"one cannot be written: No space left on device\. Fit again\.$"),
        build_folder(tmp_path / "one", next_step="Fit again."),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
