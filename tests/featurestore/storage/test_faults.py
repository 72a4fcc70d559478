"""What can go wrong with a bucket or its cache: one sentence, nothing lost, and the next attempt goes on."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore, S3Store

from data.errors import BucketFailed, CallError, EmbedOnceError, StorageFailed
from featurestore import FeatureStore, plan_compaction, run_compaction, text_key
from featurestore.storage import bucket, object_store, shard_cache
from featurestore.storage.location import StoreUrl
from featurestore.storage.places import storage_at
from featurestore.storage.shard_cache import LIMIT_VARIABLE, ShardCache
from featurestore.storage.storage import FileState, Storage, read
from tests.featurestore.made import RECIPE, content

SECRET = "wJalrXUtnFEMI-hidden"
URL = StoreUrl("s3", "features", "store")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(memory: MemoryStore) -> FeatureStore:
    made = FeatureStore.create(str(URL), RECIPE)
    for seed in range(3):
        made.commit(content([f"text {seed}"], seed=seed))
    return made


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache."""
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "other"))
    return tmp_path / "other" / "shards"


def fails_after_writing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Have the answers of the first puts be lost; gives the paths of all puts."""
    real, paths = obstore.put, []

    def put(client: Any, path: str, *arguments: Any, **named: Any) -> Any:
        paths.append(path)
        result = real(client, path, *arguments, **named)
        if len(paths) <= times:
            raise GenericError("HTTP error: error sending request")
        return result

    monkeypatch.setattr(obstore, "put", put)
    return paths


def test_a_put_whose_answer_is_lost_finds_its_own_content(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_at(URL)
    writes: list[Callable[[Storage], object]] = [
        lambda files: files.write_under_hash(b"shard", ".h5"),
        lambda files: files.write_if_absent("recipe.json", b"{}"),
        lambda files: files.replace("table", b"rows", None),
        lambda files: files.replace("table", b"other rows", files.state("table")),
    ]
    for write in writes:
        with monkeypatch.context() as patched:
            paths = fails_after_writing(patched, 1)
            write(storage)
            assert len(paths) == 2
    assert read(storage, "recipe.json") == b"{}" and read(storage, "table") == b"other rows"
    assert storage.names() == [f"{hashlib.sha256(b'shard').hexdigest()}.h5", "recipe.json", "table"]


def test_a_put_that_fails_for_good_is_a_sentence_and_succeeds_later(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise GenericError("HTTP error: error sending request")

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "put", fail)
        with pytest.raises(StorageFailed, match=r"cannot be reached\. .* What was committed before is intact\.$"):
            store.commit(content(["new"]))
    store.commit(content(["new"]))
    assert store.documents == 4


def test_a_listing_that_lags_hides_nothing_of_this_process(
    store: FeatureStore, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = obstore.list_with_delimiter
    stale = {prefix: real(store.storage._client, prefix) for prefix in ("store/shards/", "store/corpora/")}  # type: ignore[attr-defined]
    monkeypatch.setattr(
        obstore, "list_with_delimiter", lambda client, prefix: stale.get(prefix) or real(client, prefix)
    )
    name = store.commit(content(["new"], seed=9))
    store.refresh()
    assert store.documents == 4
    store.shard_folder.remove(store.shards()[0].name)
    store.refresh()
    assert store.documents == 3
    monkeypatch.undo()
    store.refresh()
    assert store.documents == 3 and name in {shard.name for shard in store.shards()}


def test_the_lock_of_a_killed_process_counts_for_an_hour_and_one_that_was_lost_ends_a_compaction(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = FeatureStore.open(str(URL))
    with pytest.raises(StorageFailed, match="was changed by another process"), slow.storage.lock("recipe.json") as keep:
        first = read(slow.storage, ".recipe.json.lock")
        keep()
        assert read(slow.storage, ".recipe.json.lock") != first
        with pytest.raises(StorageFailed, match=r"wait an hour, or delete s3://features/store/\.recipe\.json\.lock\."):
            run_compaction(plan_compaction(store), store)
        monkeypatch.setattr(object_store, "LOCK_SECONDS", 0.0)
        with store.storage.lock("recipe.json"):
            keep()
    run_compaction(plan_compaction(store), store)
    assert len(store.shards()) == 1 and store.documents == 3


def test_a_listing_while_another_thread_writes_loses_no_file(
    memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`embed` lists the shards while its writer commits one."""
    storage, switch, names = storage_at(URL), sys.getswitchinterval(), [f"{number:04}" for number in range(2000)]
    monkeypatch.setattr(obstore, "list_with_delimiter", lambda *_: {"objects": [], "common_prefixes": []})
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as executor:
            writes = [executor.submit(storage.write_if_absent, name, b"") for name in names]
            while not writes[-1].done():
                storage.names()
    finally:
        sys.setswitchinterval(switch)
    assert storage.names() == names


def test_a_shard_that_vanishes_after_the_listing_is_left_out(store: FeatureStore, other_machine: Path) -> None:
    reader = FeatureStore.open(str(URL))
    assert reader.documents == 3
    store.shard_folder.remove(store.shards()[0].name)
    assert len(reader.shards()) == reader.documents == 2


def test_a_shard_that_another_process_removes_from_the_cache_is_downloaded_again(
    store: FeatureStore, other_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, evicted = ShardCache.fetch, list[Path]()

    def fetch(self: ShardCache, *arguments: Any) -> dict[str, Path]:
        paths = real(self, *arguments)
        if paths and not evicted:
            evicted.append(next(iter(paths.values())))
            evicted[0].unlink()
        return paths

    monkeypatch.setattr(ShardCache, "fetch", fetch)
    assert len(FeatureStore.open(str(URL)).shards()) == 3 and evicted[0].exists()


def test_half_a_file_of_a_killed_reader_is_replaced(store: FeatureStore, other_machine: Path) -> None:
    other_machine.mkdir(parents=True)
    old = other_machine / ".tmp-0123456789abcdef"
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    for shard in store.shards():
        (other_machine / shard.name).write_bytes(b"half a shard")
    assert len(FeatureStore.open(str(URL)).bags([text_key(f"text {seed}") for seed in range(3)])) == 3
    assert not old.exists()


def test_a_cached_file_that_was_damaged_is_downloaded_again(store: FeatureStore, other_machine: Path) -> None:
    reader = FeatureStore.open(str(URL))
    name = reader.shards()[0].name
    path = other_machine / name
    path.write_bytes(bytes(path.stat().st_size))
    shard_cache._shared_state.cache_clear()  # another process
    FeatureStore.open(str(URL)).shards()
    assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}.h5" == name


def test_the_shards_that_were_used_longest_ago_are_removed_but_none_in_use(
    memory: MemoryStore, other_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_at(URL)
    names = [storage.write_under_hash(bytes([number]) * 1000, ".h5") for number in range(4)]
    shutil.rmtree(other_machine)
    monkeypatch.setenv(LIMIT_VARIABLE, str(3000 / 1e9))
    for used, name in enumerate(names[:3]):
        storage.fetch([name])
        os.utime(other_machine / name, (1_000_000_000 + used, 1_000_000_000))
    del storage
    shard_cache._shared_state.cache_clear()  # another process, which uses the oldest
    again = storage_at(URL)
    again.names()
    again.fetch([names[0]])
    again.fetch([names[3]])
    assert {path.name for path in other_machine.iterdir()} == {names[0], names[2], names[3]}
    with pytest.raises(CallError, match=r"take 4\.0 kB, but the cache may have 3\.0 kB\. Set EMBEDONCE_SHARD_CACHE_GB"):
        again.fetch([names[0], names[1], names[2], names[3]])


def test_a_shard_that_another_running_process_uses_is_not_removed(
    other_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{hashlib.sha256(bytes([number]) * 1000).hexdigest()}.h5" for number in range(3)]
    data = {name: bytes([number]) * 1000 for number, name in enumerate(names)}
    code = (
        "import sys\nfrom featurestore.storage.shard_cache import ShardCache\n"
        "from featurestore.storage.storage import FileState\n"
        "ShardCache().fetch({sys.argv[1]: FileState(1000, 0.0)}, '', lambda _: [bytes(1000)])\n"
        "print(flush=True)\nsys.stdin.read()\n"
    )
    monkeypatch.setenv(LIMIT_VARIABLE, str(2000 / 1e9))

    def fetch(name: str) -> dict[str, Path]:
        return ShardCache().fetch({name: FileState(1000, 0.0)}, URL, lambda name: [data[name]])

    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, names[0]], cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None and process.stdout.readline()
        fetch(names[1])
        with pytest.raises(CallError, match=r"also by other processes, take 3\.0 kB, .* wait until other"):
            fetch(names[2])
        assert {path.name for path in other_machine.iterdir()} == {*names[:2]}
        process.kill()
    assert fetch(names[2])[names[2]].exists() and not (other_machine / names[0]).exists()
    assert len([*other_machine.with_name("shards-in-use").iterdir()]) == 1


@pytest.mark.parametrize("text", ["many", "-1", "nan"])
def test_a_limit_that_is_no_number_is_refused(store: FeatureStore, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(CallError, match=f"is '{text}', which is not a number of gigabytes"):
        FeatureStore.open(str(URL)).shards()


def test_a_cache_disk_that_is_full_is_known_before_the_download(
    store: FeatureStore, other_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(StorageFailed, match=r"do not fit into the cache .*0 B free\. Make room, or name another"):
        FeatureStore.open(str(URL)).shards()


def test_a_cache_disk_that_fills_up_meanwhile_is_a_sentence_and_leaves_nothing(
    store: FeatureStore, other_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if mode == "xb" and path.is_relative_to(other_machine):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(StorageFailed, match=r"No space left on device\. Make room, or name another folder"):
            FeatureStore.open(str(URL)).shards()
    assert [*other_machine.iterdir()] == []
    assert len(FeatureStore.open(str(URL)).shards()) == 3


def test_a_commit_succeeds_if_the_cache_cannot_be_written(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "a file"))
    other = FeatureStore.open(str(URL))
    other.commit(content(["new"]))
    assert other.documents == 4
    assert ShardCache().folder == tmp_path / "a file" / "shards"


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 address at which nothing listens, with a secret in each variable that may have one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(bucket, "RETRIES", 0)
    bucket.connect.cache_clear()


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize(
    "act",
    [
        lambda: FeatureStore.open(str(URL)),
        lambda: FeatureStore.create(str(URL), RECIPE),
        lambda: storage_at(URL).names(),
        lambda: storage_at(URL).write_if_absent("recipe.json", b""),
        lambda: storage_at(URL).remove("recipe.json"),
        lambda: storage_at(URL).fetch(["0.h5"]),
    ],
)
def test_no_error_shows_credentials(act: Callable[[], object]) -> None:
    try:
        act()
    except EmbedOnceError as error:
        assert SECRET not in "".join(traceback.format_exception(error))
        is_known = isinstance(error, CallError) or "cannot be reached. Check the address in AWS_ENDPOINT_URL" in str(
            error
        )
        assert is_known and str(error).count("\n") == 0
    else:
        raise AssertionError("nothing was refused")
    finally:
        bucket.connect.cache_clear()


def test_profiles_of_the_standard_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:1\n")
    (tmp_path / "credentials").write_text(f"[work]\naws_access_key_id = work\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert bucket._aws_profile() == {}
    monkeypatch.setenv("AWS_PROFILE", "work")
    found = {"access_key_id": "work", "secret_access_key": SECRET, "region": "eu-west-1"}
    assert bucket._aws_profile() == found | {"endpoint": "http://127.0.0.1:1"}
    bucket.connect.cache_clear()
    client = bucket.connect("s3", "features")
    assert isinstance(client, S3Store) and client.client_options and client.client_options["allow_http"]
    bucket.connect.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")  # whose secret is another one
    assert bucket._aws_profile() == {"region": "eu-west-1", "endpoint": "http://127.0.0.1:1"}
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert bucket._aws_profile().keys() == {"access_key_id", "secret_access_key"}
    monkeypatch.setenv("AWS_PROFILE", "wrok")
    with pytest.raises(CallError, match=r"AWS_PROFILE is 'wrok', but there is no such profile in ~/\.aws\."):
        bucket.connect("s3", "other")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.connect.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(CallError, match=r"needs the extra cloud: run `pip install embedonce\[cloud\]`"):
        FeatureStore.open(str(URL))


def test_an_error_of_reading_is_no_missing_file(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that fails must not make a corpus look unsaved, or texts look encodable."""

    def fail(*_: object, **__: object) -> None:
        raise GenericError("HTTP error: error sending request")

    store.save_unencodable([text_key("bad")])
    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(BucketFailed):
        store.unencodable([text_key("bad")])
    with pytest.raises(BucketFailed):
        FeatureStore.open(str(URL))
