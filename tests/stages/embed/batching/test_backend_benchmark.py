"""The backend that is chosen for a corpus: the fastest that agrees with torch, and torch for little work."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from data.errors import CallError
from stages.embed import Encoder
from stages.embed.batching import backend_benchmark
from stages.embed.batching.backend_benchmark import BackendBenchmark, benchmark_backends, choose_backend
from stages.embed.batching.sample import estimate_tokens
from tests.stages.embed.conftest import Open
from tests.tiny_encoder import SENTENCES

TEXTS = [f"{sentence} {number}" for number in range(10) for sentence in SENTENCES]


class Clock:
    """A clock that only `ConstantNetwork` advances."""

    now = 0.0


class ConstantNetwork:
    """A network whose vectors hold `value` everywhere; a batch takes `seconds` of the clock and is counted."""

    def __init__(self, value: float, seconds: float) -> None:
        self.value, self.seconds, self.calls = value, seconds, 0

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        self.calls += 1
        Clock.now += self.seconds + 1e-6
        return [torch.full((*ids.shape, 16), self.value)]


class FailingNetwork(ConstantNetwork):
    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        raise CallError("It cannot be exported.")


def with_network(encoder: Encoder, backend: str, network: ConstantNetwork) -> Encoder:
    recipe = replace(encoder.recipe, backend=backend)
    return replace(encoder, recipe=recipe, open_network=lambda _: network)


@pytest.fixture(autouse=True)
def own_cache_and_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(backend_benchmark, "is_installed", lambda _: True)
    monkeypatch.setattr(backend_benchmark, "time", SimpleNamespace(perf_counter=lambda: Clock.now))


def test_the_fastest_backend_that_agrees_is_chosen(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.02))
    others = [
        with_network(tiny(), "onnx", ConstantNetwork(1.00001, 0.01)),
        with_network(tiny(), "openvino", ConstantNetwork(1.01, 0.0)),
    ]
    benchmark = benchmark_backends(TEXTS, reference, others, 1000)
    assert benchmark.fastest == "onnx"
    assert benchmark.rejected == {"openvino": "its values differ from torch's by up to 0.01"}
    assert benchmark.speeds["onnx"] == pytest.approx(2 * benchmark.speeds["torch"], rel=0.01)


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
