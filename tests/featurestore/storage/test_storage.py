"""The contract of storage, of each kind that there is: one class, as zarr's StoreTests."""

import hashlib
import threading
from collections import Counter
from pathlib import Path

import pytest

from data.errors import StorageFailed
from featurestore.storage.location import Location
from featurestore.storage.places import child_folders, storage_at
from featurestore.storage.storage import Storage, read

DATA = b"some bytes"
NAME = f"{hashlib.sha256(DATA).hexdigest()}.h5"


@pytest.fixture
def storage(location: Location) -> Storage:
    made = storage_at(location)
    made.prepare()
    return made


def again(storage: Storage) -> Storage:
    """The same files, as another process sees them."""
    return storage_at(storage.location)


class TestStorage:
    """What every storage does."""

    def test_an_empty_one_has_no_files(self, storage: Storage) -> None:
        assert storage.names() == [] and storage.states() == {} and storage.state("a") is None
        with pytest.raises(FileNotFoundError):
            storage.open("a")
        storage.remove("a")
        storage.sync()

    def test_a_file_is_read_and_listed_by_others_once_it_is_written(self, storage: Storage) -> None:
        storage.replace("b", iter([b"one ", b"two"]), None)
        storage.replace("a", DATA, None)
        storage.replace(".hidden", DATA, None)
        other = again(storage)
        assert other.names() == ["a", "b"] == list(other.states()) and read(other, "b") == b"one two"
        state = other.state("a")
        assert state is not None and state == other.states()["a"] and state.size == len(DATA) and state.modified > 1e9

    def test_the_files_of_a_subfolder_are_its_own(self, storage: Storage) -> None:
        storage.subfolder("below").replace("a", DATA, None)
        other = again(storage)
        assert other.subfolder("below").names() == ["a"] and other.state("a") is None
        assert storage.is_local or other.names() == []

    def test_the_first_writer_of_a_file_that_must_be_absent_wins(self, storage: Storage) -> None:
        storage.write_if_absent("a", b"first")
        again(storage).write_if_absent("a", b"second")
        assert read(storage, "a") == b"first"

    def test_of_8_that_write_at_once_exactly_one_wins(self, storage: Storage) -> None:
        start = threading.Barrier(8)

        def write(number: int) -> None:
            own = again(storage)
            start.wait()
            own.write_if_absent("a", str(number).encode())

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(read(again(storage), "a") for _ in range(4)).most_common(1)[0][1] == 4

    def test_a_file_named_by_its_hash_is_there_once_and_whole(self, storage: Storage) -> None:
        assert storage.write_under_hash(DATA, ".h5") == again(storage).write_under_hash(memoryview(DATA), ".h5") == NAME
        assert storage.names() == [NAME] and read(storage, NAME) == DATA

    def test_half_a_file_under_its_hash_is_replaced_by_the_whole(self, storage: Storage) -> None:
        storage.replace(NAME, DATA[:4], None)
        again(storage).write_under_hash(DATA, ".h5")
        assert read(storage, NAME) == DATA

    def test_a_file_that_did_not_change_is_replaced(self, storage: Storage) -> None:
        storage.replace("a", b"one", None)
        storage.replace("a", b"two", again(storage).state("a"))
        assert read(storage, "a") == b"two"

    def test_a_file_that_changed_meanwhile_is_kept_in_a_bucket_with_a_sentence(self, storage: Storage) -> None:
        storage.replace("a", b"one", None)
        before = storage.state("a")
        again(storage).replace("a", b"other", before)
        if storage.is_local:  # the last writer wins
            storage.replace("a", b"two", before)
            return
        for state in (before, None):
            with pytest.raises(
                StorageFailed, match=r"/a was changed by another process\. Run the same command again\.$"
            ):
                storage.replace("a", b"two", state)
            storage.replace("a", b"other", state)  # what it would write is there
        assert read(storage, "a") == b"other"

    def test_a_removed_file_is_gone_for_all(self, storage: Storage) -> None:
        storage.replace("a", DATA, None)
        again(storage).remove("a")
        assert storage.state("a") is None and again(storage).names() == []

    def test_a_file_is_moved_twice_under_names_of_its_own(self, storage: Storage) -> None:
        for data in (b"one", b"two"):
            storage.replace("a", data, None)
            storage.move("a", storage.subfolder("quarantine"))
        moved = again(storage).subfolder("quarantine")
        assert storage.state("a") is None and {read(moved, name) for name in moved.names()} == {b"one", b"two"}

    def test_files_are_fetched_in_order_without_those_that_are_gone(self, storage: Storage) -> None:
        names = [storage.write_under_hash(data, ".h5") for data in (b"one", b"two", b"three")]
        other, done = again(storage), []
        storage.remove(names[1])
        paths = other.fetch([names[2], names[0]], lambda *bytes: done.append(bytes))
        assert list(paths) == [names[2], names[0]]
        assert [path.read_bytes() for path in paths.values()] == [b"three", b"one"]
        assert not other.is_local or not done

    def test_a_fresh_copy_is_what_the_file_is_now(self, storage: Storage) -> None:
        storage.write_under_hash(DATA, ".h5")
        storage.fetch([NAME])
        storage.replace(NAME, b"damaged", storage.state(NAME))
        with storage.fresh_copy(NAME) as path:
            assert path.read_bytes() == b"damaged" and path.name == NAME
        with pytest.raises(FileNotFoundError), storage.fresh_copy("f" * 64) as path:
            path.read_bytes()

    def test_of_two_processes_one_has_a_lock_and_the_file_is_read_and_written(self, storage: Storage) -> None:
        storage.replace("a", DATA, None)
        for _ in range(2):
            with storage.lock("a") as keep_lock:
                keep_lock()
                with pytest.raises(StorageFailed, match="Another process is rewriting"), again(storage).lock("a"):
                    pass
                assert read(again(storage), "a") == DATA and again(storage).names() == ["a"]
                again(storage).replace("a", DATA, storage.state("a"))
                keep_lock()

    def test_its_folders_are_listed(self, storage: Storage) -> None:
        for name in ("b", "a"):
            storage.subfolder(name).replace("file", DATA, None)
        storage.subfolder("b").subfolder("deeper").replace("file", DATA, None)
        assert sorted(map(str, child_folders(storage.location))) == [f"{storage.location}/{name}" for name in "ab"]
        assert child_folders(storage.location / "nothing") == []

    def test_no_temporary_file_is_left(self, storage: Storage, own_cache: Path) -> None:
        storage.write_under_hash(DATA, ".h5")
        again(storage).fetch([NAME])
        assert not [*own_cache.rglob(".tmp-*")] and storage.remove_temporary_files(0.0) == 0
