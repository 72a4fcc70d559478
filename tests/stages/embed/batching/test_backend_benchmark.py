"""The backend that `auto` chooses: the fastest that agrees, the one of an existing store, torch for little work."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import CallError
from data.table import Columns
from featurestore import FeatureStore
from stages.embed import Encoder, Options
from stages.embed.batching import backend_benchmark
from stages.embed.batching.backend_benchmark import BackendBenchmark, benchmark_backends, choose_backend
from stages.embed.batching.sample import draw_sample, estimate_tokens
from stages.embed.network.backends import is_installed
from stages.embed.pipeline.embed_source import embed_source
from tests.conftest import write_csv
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.fakes import corpus
from tests.tiny_encoder import SENTENCES

TEXTS = [f"{sentence} {number}" for number in range(10) for sentence in SENTENCES]


class ConstantNetwork:
    """A network whose vectors hold `value` everywhere; a batch takes `seconds` and is counted."""

    def __init__(self, value: float, seconds: float) -> None:
        self.value, self.seconds, self.calls = value, seconds, 0

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        self.calls += 1
        time.sleep(self.seconds)
        return [torch.full((*ids.shape, 16), self.value)]


class FailingNetwork(ConstantNetwork):
    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        raise CallError("It cannot be exported.")


def with_network(encoder: Encoder, backend: str, network: ConstantNetwork) -> Encoder:
    recipe = replace(encoder.recipe, backend=backend)
    return replace(encoder, recipe=recipe, open_network=lambda _: network)


@pytest.fixture(autouse=True)
def cache_in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(backend_benchmark, "is_installed", lambda _: True)


def test_the_fastest_backend_that_agrees_is_chosen(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.02))
    others = [
        with_network(tiny(), "onnx", ConstantNetwork(1.00001, 0.01)),
        with_network(tiny(), "openvino", ConstantNetwork(1.01, 0.0)),
    ]
    benchmark = benchmark_backends(TEXTS, reference, others, 1000)
    assert benchmark.fastest == "onnx"
    assert benchmark.rejected == {"openvino": "its values differ from torch's by up to 0.01"}
    assert benchmark.speeds["onnx"] == pytest.approx(2 * benchmark.speeds["torch"], rel=0.3)


def test_a_backend_with_another_budget_is_compared_with_torch_too(tiny: Open) -> None:
    reference = replace(with_network(tiny(), "torch", ConstantNetwork(1.0, 0.0)), batch_tokens=1000)
    other = replace(with_network(tiny(), "onnx", ConstantNetwork(1.0, 0.0)), batch_tokens=40)
    assert benchmark_backends(TEXTS, reference, [other], 1000).speeds.keys() == {"torch", "onnx"}


def test_a_backend_that_fails_is_rejected_with_its_message(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.0))
    benchmark = benchmark_backends(TEXTS, reference, [with_network(tiny(), "onnx", FailingNetwork(1.0, 0.0))], 1000)
    assert (benchmark.fastest, benchmark.rejected) == ("torch", {"onnx": "It cannot be exported."})


def test_torch_is_chosen_if_no_other_is_faster_beyond_noise() -> None:
    assert BackendBenchmark({"torch": 100.0, "onnx": 104.0}, {}).fastest == "torch"
    assert BackendBenchmark({"torch": 100.0, "onnx": 106.0}, {}).fastest == "onnx"


def test_the_choice_is_described_in_one_sentence() -> None:
    benchmark = BackendBenchmark(
        {"torch": 9000.4, "onnx": 12000.0}, {"openvino": "its values differ from torch's by up to 0.01"}
    )
    assert benchmark.describe(measured="measured on this corpus") == (
        "Backend onnx: the fastest that agrees with torch, measured on this corpus "
        "(tokens/s: torch 9,000, onnx 12,000; not openvino: its values differ from torch's by up to 0.01)."
    )


def test_a_benchmark_is_saved_for_the_machine_and_the_weights(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 100)
    encoder, slow, quick = tiny(), ConstantNetwork(1.0, 0.01), ConstantNetwork(1.0, 0.0)
    reference = with_network(encoder, "torch", slow)

    def reopen(name: str) -> Encoder:
        return with_network(encoder, name, quick)

    backend, reason = choose_backend(TEXTS, reference, "cpu", reopen)
    assert backend in ("onnx", "openvino")
    assert reason is not None and reason.startswith(
        f"Backend {backend}: the fastest that agrees with torch, measured on this"
    )
    calls = slow.calls, quick.calls
    again, reason = choose_backend(["one text"], reference, "cpu", reopen)
    assert (again, (slow.calls, quick.calls)) == (backend, calls)
    assert reason is not None and "measured earlier on this machine" in reason
    other = replace(reference, recipe=replace(reference.recipe, weights="0" * 64))
    choose_backend(TEXTS, other, "cpu", reopen)
    assert slow.calls > calls[0]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"speeds": {"onnx": 3.0}, "rejected": {}}', '{"speeds": {"torch": "x"}}']
)
def test_a_damaged_cache_file_means_a_new_benchmark(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 100)
    encoder, network = tiny(), ConstantNetwork(1.0, 0.0)
    reference = with_network(encoder, "torch", network)
    choose_backend(TEXTS, reference, "cpu", lambda name: with_network(encoder, name, network))
    (path,) = (tmp_path / "cache" / "backend_benchmarks").iterdir()
    path.write_text(content)
    calls = network.calls
    choose_backend(TEXTS, reference, "cpu", lambda name: with_network(encoder, name, network))
    assert network.calls > calls


def test_little_work_is_for_torch_without_a_benchmark(tiny: Open) -> None:
    network = ConstantNetwork(1.0, 0.0)
    backend, reason = choose_backend(SENTENCES, with_network(tiny(), "torch", network), "cpu", pytest.fail)
    tokens = estimate_tokens(SENTENCES, tiny())
    assert (backend, network.calls) == ("torch", 0)
    assert reason == f"Backend torch: for about {tokens:,} tokens it does not pay to try onnx and openvino."


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_for_torch(tiny: Open, precision: str) -> None:
    assert choose_backend(TEXTS, tiny(precision=precision), "cpu", pytest.fail) == ("torch", None)


def test_another_device_is_for_torch(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "resolve_device", lambda _: "cuda")
    assert choose_backend(TEXTS, tiny(), "auto", pytest.fail) == ("torch", None)


def test_without_another_backend_there_is_no_choice(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "is_installed", lambda _: False)
    assert choose_backend(TEXTS, tiny(), "cpu", pytest.fail) == ("torch", None)


def test_a_sample_has_the_requested_positions_and_is_the_same_each_time(tiny: Open) -> None:
    encoder = tiny(window=9)
    one, other = draw_sample(TEXTS, encoder, 300), draw_sample(TEXTS, encoder, 300)
    positions = one.windows.length[one.rows] + encoder.extra_positions
    assert 300 <= positions.sum() < 300 + 11
    np.testing.assert_array_equal(one.rows, other.rows)
    assert sorted(np.concatenate(list(one.split_into_batches(encoder)))) == sorted(one.rows)
    assert one.tokens == positions.sum() - 2 * len(one.rows)


def test_tokens_are_estimated_from_characters(tiny: Open) -> None:
    encoder = tiny(window=9, stride=3)
    read = encoder.tokenizer.tokenize(TEXTS * 10, encoder.windowing).tokens_to_encode.sum()
    assert estimate_tokens(TEXTS * 10, encoder) == pytest.approx(read, rel=0.1)
    assert estimate_tokens([], encoder) == estimate_tokens([""], encoder) == 0


class Embedding:
    """Calls `embed_source` on a small file, and collects its notes."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, str(model)
        self.notes: list[str] = []
        write_csv(folder / "letters.csv", corpus(SENTENCES).documents)

    def __call__(self, *, store: Path | None = None, **options: Any) -> FeatureStore:
        self.notes.clear()
        opened, _ = embed_source(
            str(self.folder / "letters.csv"),
            Columns(),
            Options(**{"model": self.model, "device": "cpu"} | options),
            explicit=options.keys() | {"model"},
            store=store,
            stores=self.folder / "stores",
            notify=self.notes.append,
            progress=lambda _: None,
        )
        return opened


@pytest.fixture
def embedding(tmp_path: Path, folders: Folders) -> Embedding:
    return Embedding(tmp_path, folders("bert"))


onnx = pytest.mark.skipif(not is_installed("onnx"), reason="onnx is not installed")


@pytest.mark.parametrize("backend", ["torch", pytest.param("onnx", marks=onnx)])
def test_auto_adds_to_an_existing_store_of_another_backend(
    embedding: Embedding, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    first = embedding(backend=backend)
    # auto alone would take the other one
    monkeypatch.setattr(
        "stages.embed.pipeline.encoding_choice.choose_backend",
        lambda *_: ("onnx" if backend == "torch" else "torch", "why"),
    )
    again = embedding()
    assert again.folder == first.folder
    assert len(list((embedding.folder / "stores").iterdir())) == 1
    assert "why" not in embedding.notes


@onnx
def test_of_two_that_start_together_the_later_follows_the_store_of_the_first(
    embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> tuple[str, str]:
        embedding(backend="onnx")
        return "torch", "Backend torch, for a reason."

    monkeypatch.setattr("stages.embed.pipeline.encoding_choice.choose_backend", slow)
    assert embedding().recipe.backend == "onnx"
    assert len(list((embedding.folder / "stores").iterdir())) == 1


@onnx
@pytest.mark.parametrize("named", [{}, {"backend": "auto"}])
def test_auto_follows_a_named_store(embedding: Embedding, named: dict[str, str]) -> None:
    store = embedding.folder / "mine"
    embedding(store=store, backend="onnx")
    assert embedding(store=store, **named).recipe.backend == "onnx"


@onnx
def test_auto_creates_a_store_for_its_choice(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stages.embed.pipeline.encoding_choice.choose_backend", lambda *_: ("onnx", "Backend onnx, for a reason.")
    )
    assert embedding().recipe.backend == "onnx"
    assert "Backend onnx, for a reason." in embedding.notes


def test_a_requested_backend_is_not_compared(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stages.embed.pipeline.encoding_choice.choose_backend", lambda *_: pytest.fail("it was compared")
    )
    assert embedding(backend="torch").recipe.backend == "torch"
