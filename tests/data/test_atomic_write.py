"""Files and folders on disk: where the cache folder is, and what an atomic write leaves behind."""

import errno
import os
from pathlib import Path

import pytest

from data.atomic_write import (
    build_folder,
    cache_folder,
    check_writable,
    create_atomically,
    open_atomically,
    write_if_absent,
)
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
        build_folder(tmp_path / "file" / "one", next_step=" and fit again."),
    ):
        pass
    with (
        pytest.raises(
            StorageFailed, match=r"one cannot be written: No space left on device\. Make room and fit again\.$"
        ),
        build_folder(tmp_path / "one", next_step=" and fit again."),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def refuse(call: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call of `os` fail with an error."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_a_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refuse("link", number, monkeypatch)
    with create_atomically(tmp_path / "study.db") as temporary:
        temporary.write_bytes(b"mine")
    for content in (b"first", b"second"):
        write_if_absent(tmp_path / "recipe.json", content)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "study.db": b"mine",
        "recipe.json": b"first",
    }


def test_a_system_without_hard_links_renames_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "link")
    write_if_absent(tmp_path / "recipe.json", b"content")
    assert (tmp_path / "recipe.json").read_bytes() == b"content"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_fsync_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse("fsync", number, monkeypatch)
    with open_atomically(tmp_path / "page.html") as file:
        file.write(b"new")
    with build_folder(tmp_path / "run") as temporary:
        (temporary / "run.json").write_bytes(b"{}")
    assert (tmp_path / "page.html").read_bytes() == b"new" and (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EACCES, "runs cannot be written: Permission denied. Make it writable, or name another folder."),
        (errno.EROFS, "runs cannot be written: Read-only file system. Make it writable, or name another folder."),
        (errno.EDQUOT, "runs cannot be written: Disk quota exceeded. Make room, or name another folder."),
        (errno.ENOSPC, "runs cannot be written: No space left on device. Make room, or name another folder."),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_reported_with_the_true_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    refuse("fsync", number, monkeypatch)
    with pytest.raises(StorageFailed) as failed:
        check_writable(tmp_path / "runs")
    assert str(failed.value) == f"{tmp_path}/{sentence}"
    assert list(tmp_path.iterdir()) == []


def test_the_check_of_a_folder_writes_the_expected_size_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def record_size(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", record_size)
    for folder in (tmp_path, tmp_path / "new" / "runs"):
        check_writable(folder, 3 * 2**20)
    assert sizes.count(3 * 2**20) == 2 and list(tmp_path.iterdir()) == []
