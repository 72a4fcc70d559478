"""Files and folders on disk: where the cache folder is, and what an atomic write leaves behind."""

from pathlib import Path

import pytest

from data.atomic_write import cache_folder


def test_the_cache_folder_is_our_own_variable_then_the_desktops_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EMBEDONCE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("EMBEDONCE_CACHE")
    assert cache_folder() == Path("/b/embedonce")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path("/c/.cache/embedonce")
