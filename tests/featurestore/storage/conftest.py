"""Storage of three kinds: a folder, obstore's store in memory, and a real S3 server that a long test starts."""

from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from featurestore.storage import bucket, object_store, places
from featurestore.storage.location import Location, StoreUrl
from tests.featurestore.storage.s3_server import S3Server


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The one bucket that there is: in memory."""
    client = MemoryStore()
    for module in (object_store, places):
        monkeypatch.setattr(module, "connect", lambda scheme, bucket: client)
    return client


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server.start(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The environment of the server's owner."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket.connect.cache_clear()
    obstore.put(bucket.connect("s3", "features"), "made", b"")  # which makes the bucket
    yield s3_server
    bucket.connect.cache_clear()


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.long)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where a new store may be made."""
    if request.param == "folder":
        return tmp_path / "features" / "store"
    request.getfixturevalue(request.param)
    return StoreUrl("s3", "features", f"{tmp_path.name}/store")
