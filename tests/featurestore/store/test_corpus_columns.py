"""Tabular columns next to a corpus's table: exact, never those of another table, and right after a user's edit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.atomic_write import write_atomically
from data.errors import StorageFailed, StoreDamaged
from data.tabular import Tabular, TabularColumn
from featurestore.storage.local import LocalStorage
from featurestore.storage.storage import FileState
from featurestore.store import corpora
from featurestore.store.corpora import is_saved, load, save
from tests.featurestore.store.test_corpora import SINGLE

COLUMNS = Tabular(
    (
        TabularColumn("price", "number", np.array([0.1, np.nan, 3])),
        TabularColumn("sent", "date", np.array([20513.25, np.nan, 0])),
        TabularColumn("land", "category", np.array([1, -1, 0], np.int32), ("AT", "Öst")),
    )
)
TABLE = replace(SINGLE, tabular=COLUMNS)


def column_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_columns_come_back(tmp_path: Path) -> None:
    save(TABLE, LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)) == TABLE
    assert is_saved(TABLE, LocalStorage(tmp_path))
    assert corpora.list_names(LocalStorage(tmp_path)) == ["made"]


def test_other_columns_replace_the_file_and_no_columns_remove_it(tmp_path: Path) -> None:
    save(replace(TABLE, name="made.other"), LocalStorage(tmp_path))
    save(TABLE, LocalStorage(tmp_path))
    other = replace(TABLE, tabular=COLUMNS[::-1])
    assert not is_saved(other, LocalStorage(tmp_path)) and not is_saved(SINGLE, LocalStorage(tmp_path))
    save(other, LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)).tabular == COLUMNS[::-1]
    assert len(column_files(tmp_path)) == 2
    save(SINGLE, LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)).tabular is None
    assert load("made.other", LocalStorage(tmp_path)).tabular == COLUMNS
    assert len(column_files(tmp_path)) == 1


def test_rows_that_a_user_sorted_or_removed_keep_their_columns(tmp_path: Path) -> None:
    save(TABLE, LocalStorage(tmp_path))
    path = tmp_path / "made.csv"
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, rows[2], rows[0]]))
    assert load("made", LocalStorage(tmp_path)).tabular == COLUMNS[[2, 0]]
    path.write_text("".join([header, *rows]).replace("\na,", "\nz,"))
    with pytest.raises(StoreDamaged, match="it has no document 'z'"):
        load("made", LocalStorage(tmp_path))


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_damaged_file_is_named_and_written_again(tmp_path: Path, damage: str) -> None:
    save(TABLE, LocalStorage(tmp_path))
    (path,) = column_files(tmp_path)
    path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreDamaged, match=r"made\.\w+\.safetensors cannot be read"):
        load("made", LocalStorage(tmp_path))
    assert not is_saved(TABLE, LocalStorage(tmp_path))
    save(TABLE, LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)) == TABLE


@pytest.mark.parametrize("written", [1, 2])
def test_a_save_that_stops_leaves_the_table_with_its_own_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    save(TABLE, LocalStorage(tmp_path))
    writes = iter([True] * (written - 1))

    def stop(self: LocalStorage, name: str, data: bytes, before: FileState | None) -> None:
        if next(writes, False):
            write_atomically(self.location / name, data)
        else:
            raise StorageFailed("full")

    monkeypatch.setattr(LocalStorage, "replace", stop)
    with pytest.raises(StorageFailed):
        save(replace(TABLE, tabular=COLUMNS[::-1], ids=["a", "b", "d"]), LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)) == TABLE
