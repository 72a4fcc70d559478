"""A store stands in any folder: moved, of any name, one that cannot be written to."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from data.errors import StorageFailed
from featurestore import CorpusTable, FeatureStore
from featurestore.shards.subprocess_parser import ShardParser
from featurestore.storage.places import storage_at
from tests.faults.whole import KEYS, TEXTS, assert_whole
from tests.featurestore.made import RECIPE, content


def test_a_store_that_was_moved_is_whole_under_any_name(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "mes données").mkdir()
    moved = store.folder.rename(tmp_path / "mes données" / "the store 🗄️ of 2024")
    assert_whole(moved)
    again = FeatureStore.create(moved, RECIPE)
    again.save_corpus(CorpusTable("été 🌞", "", "single", None, TEXTS, KEYS, [None] * 4, [None] * 4, [None] * 4))
    again.commit(content(["new"], seed=1))
    assert_whole(moved, documents=5)
    assert again.corpora() == ["été 🌞"] and again.name == "the store 🗄️ of 2024"


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A store that this process may read and not write, even when it is run by root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    FeatureStore.create(folder / "store", RECIPE).commit(content(TEXTS))
    inside = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in inside:
        path.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder / "store"
    if root:
        os.seteuid(0)
    for path in inside:
        path.chmod(0o755)
    rmtree(folder)


def test_a_store_that_cannot_be_written_to_is_read_and_says_so_on_a_write(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # this user may not run the interpreter, which another process would need
    monkeypatch.setattr(ShardParser, "find_fault", lambda _, path: None)
    assert_whole(read_only)
    store = FeatureStore.create(read_only, RECIPE)
    for act in (lambda: store.commit(content(["new"])), lambda: store.save_record("embed", {})):
        with pytest.raises(StorageFailed, match=r"Permission denied\. Make it writable and run"):
            act()
    assert_whole(read_only)


def test_a_file_that_another_user_has_is_locked(read_only: Path) -> None:
    storage = storage_at(read_only)
    with (
        storage.lock("recipe.json"),
        pytest.raises(StorageFailed, match="Another process is rewriting"),
        storage.lock("recipe.json"),
    ):
        pass
