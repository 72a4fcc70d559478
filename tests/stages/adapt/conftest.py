"""Tiny encoders for the tests of adapting."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from stages.embed import Encoder, Options, open_encoder
from tests.tiny_encoder import make_encoder

Folders = Callable[[str], Path]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A function from a model family to the folder of a tiny encoder; tests must not write to it."""
    root = tmp_path_factory.mktemp("encoders")
    return cache(lambda family: make_encoder(root / family, family))


@pytest.fixture(scope="session")
def tiny(folders: Folders) -> Callable[[str], Encoder]:
    """Opens a tiny encoder."""
    return lambda family: open_encoder(Options(model=str(folders(family)), device="cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
