"""What a store survives: damage, kills, full disks, several writers, folders that move or cannot be written to."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest

from data.errors import StorageFailed, StoreDamaged
from featurestore import CorpusTable, FeatureStore, image, inspection, mapped, text_key
from tests.featurestore.made import ALL_KEPT, RECIPE, as_float32, content, rows_of

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = ["one", "two", "three", "four"]
KEYS = [text_key(text) for text in TEXTS]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Four documents in one shard."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(TEXTS))
    return store


def assert_whole(folder: Path, documents: int = len(TEXTS)) -> None:
    """Nothing wrong, nothing half-written, and the first four documents as they were put in."""
    store = FeatureStore.open(folder)
    assert store.verify() == [] and store.documents == documents
    assert list(folder.rglob(".tmp-*")) == []
    bags = store.bags(KEYS)
    for row, each in enumerate(rows_of(content(TEXTS), "mean")):
        np.testing.assert_array_equal(bags.view("mean").row(row), as_float32(each))


def script(body: str, *arguments: object, limits: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A process of its own that runs `body`, with what a test has at hand."""
    opening = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom featurestore import FeatureStore, text_key\n"
        "from tests.featurestore.made import RECIPE, content\n"
    )
    command = [sys.executable, "-c", opening + body, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, preexec_fn=limits
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


# ---- damage


def damaged(tmp_path: Path) -> tuple[FeatureStore, Path, bytes]:
    store = FeatureStore.create(tmp_path / "small", ALL_KEPT)
    path = store.commit(content(["one", "two"], ALL_KEPT, dim=2))
    return store, path, path.read_bytes()


def assert_found(store: FeatureStore, path: Path) -> None:
    """Both by verify and by a reader, and in a sentence."""
    (wrong,) = FeatureStore.open(store.folder).verify()
    assert path.name in wrong and "Run `embedonce store repair`, then `embedonce embed` again" in wrong
    with pytest.raises(StoreDamaged, match="its bytes are not those of its name"):
        FeatureStore.open(store.folder).bags([text_key("one")])


def test_one_flipped_byte_anywhere_is_found_and_never_read_as_a_feature(tmp_path: Path) -> None:
    store, path, data = damaged(tmp_path)
    rng = np.random.default_rng(0)
    for place in sorted({0, len(data) - 1, *rng.integers(len(data), size=200).tolist()}):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << rng.integers(8))]) + data[place + 1 :])
        assert_found(store, path)
    path.write_bytes(data)
    assert FeatureStore.open(store.folder).verify() == []


def test_a_shard_cut_off_at_any_length_is_found(tmp_path: Path) -> None:
    store, path, data = damaged(tmp_path)
    for length in {0, 1, len(data) - 1, *np.random.default_rng(0).integers(len(data), size=40).tolist()}:
        path.write_bytes(data[:length])
        assert_found(store, path)


def test_a_shard_with_something_behind_its_end_is_found(tmp_path: Path) -> None:
    store, path, data = damaged(tmp_path)
    path.write_bytes(data + b"\0")
    assert_found(store, path)


def test_a_damaged_shard_is_made_good_by_committing_its_documents_again(store: FeatureStore) -> None:
    (path,) = (store.folder / "shards").iterdir()
    path.write_bytes(b"")
    store.commit(content(TEXTS))
    assert_whole(store.folder)


def test_a_shard_that_changes_under_a_reader_is_not_read(store: FeatureStore) -> None:
    bags = store.bags(KEYS)
    (path,) = (store.folder / "shards").iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)
    # a map that was opened before would go on showing the old file
    mapped._opened.cache_clear()
    with pytest.raises(StoreDamaged, match="was changed while it was in use"):
        bags.view("cls").gather()
    path.unlink()
    with pytest.raises(StoreDamaged, match="cannot be read any more: No such file or directory"):
        bags.view("cls").gather()


def test_a_pipe_in_a_shards_place_is_not_waited_for(store: FeatureStore) -> None:
    os.mkfifo(store.folder / "shards" / f"{'0' * 64}.h5")
    with pytest.raises(StoreDamaged, match="cannot be read: not a plain file"):
        _ = FeatureStore.open(store.folder).documents


# ---- disks


class Failing:
    """A system call that fails at its `at`-th call, once or from then on."""

    def __init__(self, real: Callable[..., Any], at: int, number: int, *, for_good: bool) -> None:
        self.real, self.at, self.number, self.for_good = real, at, number, for_good
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.at or (self.for_good and self.calls > self.at):
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*arguments, **named)


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize(("call", "at"), [("write", 1), ("fsync", 1), ("replace", 1)])
def test_a_disk_that_fails_says_so_in_a_sentence_and_leaves_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, call: str, at: int, for_good: bool
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, call, Failing(getattr(os, call), at, errno.ENOSPC, for_good=for_good))
        with pytest.raises(StorageFailed) as failed:
            store.commit(content(["new"], seed=1))
    size = len(image(content(["new"], seed=1), RECIPE))
    assert str(failed.value) == (
        f"{size:,} bytes cannot be written to {store.folder / 'shards'}: No space left on device. "
        "Make room and run the same command again; what was committed before is whole."
    )
    assert_whole(store.folder)
    store.commit(content(["new"], seed=1))
    assert_whole(store.folder, documents=5)


def test_a_failing_fsync_of_the_folder_is_told_and_the_whole_shard_stays(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", Failing(os.fsync, 2, errno.EIO, for_good=False))
        with pytest.raises(StorageFailed, match=r"Input/output error\. See that it can be written to and run"):
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
                store.record("embed", {"seconds": 1})
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


# ---- kills


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_between_write_and_rename_leaves_no_shard(store: FeatureStore, moment: str) -> None:
    body = (
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "FeatureStore.open(Path(sys.argv[1])).commit(content(['new'], seed=1))"
    )
    code, _ = ended(script(body, store.folder))
    assert code == -signal.SIGKILL
    (left,) = store.folder.rglob(".tmp-*")
    again = FeatureStore.open(store.folder)
    assert again.documents == 4 and again.verify() == []
    assert again.missing([*KEYS, text_key("new")]) == [text_key("new")]
    left.unlink()
    assert_whole(store.folder)


def test_a_kill_while_a_store_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    body = (
        "Path.hardlink_to = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "FeatureStore.create(Path(sys.argv[1]), RECIPE)"
    )
    code, _ = ended(script(body, tmp_path / "store"))
    assert code == -signal.SIGKILL and not (tmp_path / "store" / "recipe.json").exists()
    assert FeatureStore.create(tmp_path / "store", RECIPE).verify() == []


# ---- several at once


def test_two_processes_that_commit_at_once_lose_and_double_nothing(store: FeatureStore) -> None:
    body = (
        "store = FeatureStore.open(Path(sys.argv[1]))\n"
        "for number in range(8):\n"
        "    store.commit(content([f'{sys.argv[2]} {number}', f'both {number}'], seed=int(sys.argv[2])))\n"
    )
    for process in [script(body, store.folder, writer) for writer in (1, 2)]:
        assert ended(process) == (0, "")
    assert_whole(store.folder, documents=4 + 8 + 8 + 8)
    assert len(FeatureStore.open(store.folder).shards()) == 17


def test_two_processes_that_commit_the_same_content_at_once_make_one_shard(store: FeatureStore) -> None:
    body = "for _ in range(20):\n    FeatureStore.open(Path(sys.argv[1])).commit(content(['new'], seed=1))\n"
    for process in [script(body, store.folder) for _ in range(2)]:
        assert ended(process) == (0, "")
    assert_whole(store.folder, documents=5)
    assert len(FeatureStore.open(store.folder).shards()) == 2


def test_of_two_recipes_that_make_one_store_at_once_one_stays_and_the_other_is_refused(tmp_path: Path) -> None:
    rounds = 30
    body = (
        "import time\nfrom dataclasses import replace\nfrom data.errors import RecipeMismatch\n"
        "recipe = replace(RECIPE, window=int(sys.argv[2]))\n"
        "print('ready', flush=True); time.sleep(max(0, float(input()) - time.time()))\n"
        f"for number in range({rounds}):\n"
        "    try:\n"
        "        made = FeatureStore.create(Path(sys.argv[1]) / str(number), recipe).recipe\n"
        "        print('made' if made == recipe else 'wrong')\n"
        "    except RecipeMismatch:\n"
        "        print('refused')\n"
    )
    processes = [script(body, tmp_path, window) for window in (100, 200)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    start = f"{time.time() + 0.2}\n"
    answers = [process.communicate(start, timeout=120)[0].split() for process in processes]
    assert len(answers[0]) == rounds
    assert all(sorted(pair) == ["made", "refused"] for pair in zip(*answers, strict=True))
    assert list(tmp_path.rglob(".tmp-*")) == []


# ---- places


def test_a_store_that_was_moved_is_whole_under_any_name(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "mes données").mkdir()
    moved = store.folder.rename(tmp_path / "mes données" / "the store 🗄️ of 2024")
    assert_whole(moved)
    again = FeatureStore.create(moved, RECIPE)
    again.save_corpus(CorpusTable("été 🌞", "", "single", None, TEXTS, KEYS, [None] * 4, [None] * 4, [()] * 4))
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


def test_a_store_that_cannot_be_written_to_is_read_and_says_so_when_asked_to_write(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # this user may not run the interpreter, which another process would need
    monkeypatch.setattr(inspection, "faults", lambda paths, _: [None] * len(paths))
    assert_whole(read_only)
    store = FeatureStore.create(read_only, RECIPE)
    for act in (lambda: store.commit(content(["new"])), lambda: store.record("embed", {})):
        with pytest.raises(StorageFailed, match=r"Permission denied\. See that it can be written to and run"):
            act()
    assert_whole(read_only)


def test_a_store_of_more_shards_than_files_may_be_open_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # 150 of them take seconds
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for number in range(150):
        store.commit(content([f"text {number}"], seed=number))
    body = (
        "store = FeatureStore.open(Path(sys.argv[1]))\n"
        "bags = store.bags([text_key(f'text {number}') for number in reversed(range(150))])\n"
        "print(len(store.shards()), float(bags[[149, 0, 75]].pooled().sum()), float(bags.pooled().sum()))"
    )
    code, out = ended(script(body, store.folder, limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))))
    bags = store.bags([text_key(f"text {number}") for number in reversed(range(150))])
    assert (code, out) == (0, f"150 {bags[[149, 0, 75]].pooled().sum()} {bags.pooled().sum()}\n")
