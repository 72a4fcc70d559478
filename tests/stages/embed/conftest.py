"""Tiny encoders, created once per session, and settings of every test."""

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
    """A function from a model family to the folder of a tiny encoder; tests must not write to it."""
    root = tmp_path_factory.mktemp("encoders")
    return cache(lambda family: make_encoder(root / family, family))


@pytest.fixture(scope="session")
def tiny(folders: Folders) -> Open:
    """Opens a tiny encoder; vectors are kept in float32 unless a test sets another dtype."""

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
    """An empty cache folder for each test, so that no test sees saved budgets or benchmarks of another."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EMBEDONCE_CACHE", str(folder))
    return folder
