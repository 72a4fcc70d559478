"""A disk that is full or refuses is told in a sentence; what was there stays, and the same command goes on later."""

import errno
import os
from dataclasses import replace

import pytest

from data.errors import StorageFailed
from featurestore import CorpusTable, FeatureStore, shard_bytes
from tests.faults.failing import Failing
from tests.faults.processes import ended, script
from tests.faults.whole import KEYS, TEXTS, assert_whole
from tests.featurestore.made import RECIPE, content


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize(("call", "at"), [("write", 1), ("fsync", 1), ("replace", 1)])
def test_a_disk_that_fails_says_so_in_a_sentence_and_leaves_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, call: str, at: int, for_good: bool
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, call, Failing(getattr(os, call), at, errno.ENOSPC, for_good=for_good))
        with pytest.raises(StorageFailed) as failed:
            store.commit(content(["new"], seed=1))
    size = len(shard_bytes(content(["new"], seed=1), RECIPE))
    assert str(failed.value) == (
        f"{size:,} bytes cannot be written to {store.folder / 'shards'}: No space left on device. "
        "Make room and run the same command again; what was committed before is intact."
    )
    assert_whole(store.folder)
    store.commit(content(["new"], seed=1))
    assert_whole(store.folder, documents=5)


def test_a_failing_fsync_of_the_folder_is_reported_and_the_complete_shard_stays(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", Failing(os.fsync, 2, errno.EIO, for_good=False))
        with pytest.raises(StorageFailed, match=r"Input/output error\. Check that it can be written to and run"):
            store.commit(content(["new"], seed=1))
    assert_whole(store.folder, documents=5)


@pytest.mark.parametrize("what", ["corpus", "record"])
def test_a_full_disk_leaves_the_older_table_and_no_half_a_record(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    table = CorpusTable("made", "", "single", None, TEXTS, KEYS, [None] * 4, [None] * 4, [("a",)] * 4)
    store.save_corpus(table)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", Failing(os.write, 1, errno.EDQUOT, for_good=True))
        with pytest.raises(StorageFailed, match="Make room and run the same command again"):
            if what == "corpus":
                store.save_corpus(replace(table, labels=[("b",)] * 4))
            else:
                store.save_record("embed", {"seconds": 1})
    assert_whole(store.folder)
    assert store.corpus("made") == table and list(store.folder.glob("records/*")) == []


def test_writes_that_take_a_part_each_add_up(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:999]))
    store.commit(content(["new"], seed=1))
    assert_whole(store.folder, documents=5)


def test_an_interrupt_while_writing_leaves_nothing(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.commit(content(["new"], seed=1))
    assert_whole(store.folder)


def test_a_limit_on_the_size_of_files_is_a_sentence(store: FeatureStore) -> None:
    resource = pytest.importorskip("resource")
    body = "FeatureStore.open(Path(sys.argv[1])).commit(content(['new'], dim=4000))"
    limit = 20_000
    code, out = ended(
        script(body, store.folder, limits=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    )
    assert code == 1 and "StorageFailed: " in out and "File too large. Make room" in out
    assert_whole(store.folder)
