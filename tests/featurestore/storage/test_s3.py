"""A real S3 server: what its conditional puts promise, refusals, and a kill in the middle of a commit."""

import subprocess
import sys
import threading
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError

from data.errors import BucketFailed, StorageFailed
from featurestore import FeatureStore, text_key
from featurestore.storage.bucket import connect
from tests.featurestore.made import RECIPE, content
from tests.featurestore.storage.s3_server import OWNER, READER, S3Server

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[3]


@pytest.fixture
def url(s3: S3Server, tmp_path: Path) -> str:
    return f"s3://features/{tmp_path.name}/store"


def test_of_8_concurrent_conditional_puts_exactly_one_wins(s3: S3Server, tmp_path: Path) -> None:
    client, won = connect("s3", "features"), []
    for attempt in range(5):
        start = threading.Barrier(8)

        def put(number: int, path: str = f"{tmp_path.name}/{attempt}", start: threading.Barrier = start) -> None:
            start.wait()
            try:
                obstore.put(client, path, str(number).encode(), mode="create")
                won.append(path)
            except AlreadyExistsError:
                pass

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert won == [f"{tmp_path.name}/{attempt}" for attempt in range(5)]


def test_who_may_only_read_reads_and_is_refused_in_a_sentence(
    s3: S3Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureStore.create(url, RECIPE).commit(content(["one"]))
    for name, value in s3.environment(READER).items():
        monkeypatch.setenv(name, value)
    connect.cache_clear()
    store = FeatureStore.open(url)
    assert len(store.shards()) == 1 and store.verify() == []
    with pytest.raises(StorageFailed, match=r"access is refused \(AccessDenied\)\. Check the credentials"):
        store.commit(content(["two"]))


@pytest.mark.parametrize(("key", "secret"), [(OWNER[0], "wrong-secret"), ("nobody", "wrong-secret")])
def test_wrong_credentials_are_a_sentence_without_them(
    url: str, monkeypatch: pytest.MonkeyPatch, key: str, secret: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    connect.cache_clear()
    with pytest.raises(
        BucketFailed, match=r"access is refused \((SignatureDoesNotMatch|InvalidAccessKeyId)\)"
    ) as caught:
        FeatureStore.open(url)
    assert secret not in str(caught.value) and OWNER[1] not in str(caught.value)


def test_a_bucket_that_does_not_exist_is_a_sentence(s3: S3Server) -> None:
    with pytest.raises(BucketFailed, match=r"there is no bucket nowhere\. Make it, or correct the URL\."):
        FeatureStore.open("s3://nowhere/store")


def run(body: str, url: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in another process, whose argument is the store."""
    head = (
        "import os, signal, sys\nfrom featurestore import FeatureStore\n"
        "from featurestore.storage.object_store import ObjectStorage\n"
        "from tests.featurestore.made import content\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + body, url], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("method", ["write_under_hash", "write_if_absent"])
def test_a_kill_loses_at_most_the_open_shard(url: str, method: str) -> None:
    FeatureStore.create(url, RECIPE)
    died = run(
        "store = FeatureStore.open(sys.argv[1])\nstore.commit(content(['first']))\n"
        f"ObjectStorage.{method} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.commit(content(['second'], seed=1))\n",
        url,
    )
    assert died.returncode == -9
    store = FeatureStore.open(url)
    missing = store.missing_keys([text_key("first"), text_key("second")])
    assert missing == ([text_key("second")] if method == "write_under_hash" else [])
    store.commit(content(["second"], seed=1))
    assert store.documents == 2 and store.verify() == []


def test_four_processes_that_write_at_once_lose_nothing(url: str) -> None:
    body = (
        "from tests.featurestore.made import RECIPE\nstore = FeatureStore.create(sys.argv[1], RECIPE)\n"
        "for number in range(4):\n    store.commit(content([f'{NUMBER} {number}', f'both {number}'], seed=NUMBER))\n"
    )
    ended: list[int] = []
    threads = [
        threading.Thread(target=lambda n=number: ended.append(run(body.replace("NUMBER", str(n)), url).returncode))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [0] * 4
    store = FeatureStore.open(url)
    texts = [f"{who} {number}" for who in (*range(4), "both") for number in range(4)]
    assert store.missing_keys([text_key(text) for text in texts]) == [] and store.verify() == []


def test_no_secret_is_in_what_is_written(s3: S3Server, url: str) -> None:
    store = FeatureStore.create(url, RECIPE)
    store.commit(content(["one"]))
    store.save_record("embed", store.info())
    client, prefix = connect("s3", "features"), f"{url.removeprefix('s3://features/')}/"
    paths = [entry["path"] for batch in obstore.list(client, prefix) for entry in batch]
    assert len(paths) >= 4
    for path in paths:
        data = bytes(obstore.get(client, path).bytes())
        assert not any(secret.encode() in data for secret in (OWNER[1], s3.endpoint))
