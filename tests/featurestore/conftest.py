"""Each test remembers verified shards in a folder of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
