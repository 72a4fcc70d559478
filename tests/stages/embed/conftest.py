"""Tiny encoders, made once a session."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stages.embed import Encoder, Options, open_encoder
from tests.tiny_encoder import make_encoder

Folders = Callable[[str], Path]
Open = Callable[..., Encoder]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """family -> the folder of a tiny encoder of it; not to be written to."""
    root = tmp_path_factory.mktemp("encoders")
    return cache(lambda family: make_encoder(root / family, family))


@pytest.fixture(scope="session")
def tiny(folders: Folders) -> Open:
    """Opens a tiny encoder; float32 is kept unless a test says otherwise."""

    def open_tiny(family: str = "bert", **options: Any) -> Encoder:
        return open_encoder(Options(model=str(folders(family)), **{"dtype": "float32", "device": "cpu"} | options))

    return open_tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a trial finds is remembered in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EMBEDONCE_CACHE", str(folder))
    return folder
