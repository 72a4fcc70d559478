"""Tiny encoders, and a folder of encoders for each test."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stages.embed import Encoder, Options, open_encoder
from stages.lengthen.lengthen import LengthenedEncoder, LengthenRequest, lengthen
from tests.tiny_encoder import make_encoder

Folders = Callable[[str], Path]
Lengthen = Callable[..., LengthenedEncoder]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A function from a model family to the folder of a tiny encoder of 64 positions; tests must not write to it."""
    root = tmp_path_factory.mktemp("encoders")

    def make(family: str) -> Path:
        folder = make_encoder(root / family, family)
        scale_weights(folder / "model.safetensors", 0.4)
        return folder

    return cache(make)


def scale_weights(path: Path, factor: float) -> None:
    """Scale the matrices of a checkpoint: those of a tiny encoder are so large that rounding grows in every layer."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    scaled = {name: values * factor if values.dim() > 1 else values for name, values in tensors.items()}
    save_file(scaled, path, metadata={"format": "pt"})


@pytest.fixture
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "made"))
    return tmp_path / "made"


@pytest.fixture
def lengthened(encoders: Path) -> Lengthen:
    """Lengthens the encoder in a folder, to 128 positions with an attention window of 32."""

    def call(folder: Path, **options: Any) -> LengthenedEncoder:
        defaults: dict[str, Any] = {"name": "long", "positions": 128, "attention_window": 32}
        return lengthen(LengthenRequest(model=str(folder), **defaults | options))

    return call


def opened(folder: Path, **options: Any) -> Encoder:
    """The encoder in a folder, in float32 on the CPU."""
    return open_encoder(Options(model=str(folder), dtype="float32", device="cpu", **options))
