"""The backend that is chosen for a corpus: the fastest that agrees with torch, and torch for little work."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from data.errors import CallError
from stages.embed import Encoder, Options, open_encoder
from stages.embed.batching import backend_benchmark
from stages.embed.batching.backend_benchmark import (
    BackendBenchmark,
    Variant,
    benchmark_variants,
    choose_variant,
    variants_to_compare,
)
from stages.embed.batching.sample import estimate_tokens
from tests.stages.embed.conftest import Open
from tests.tiny_encoder import SENTENCES, make_static

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


def with_network(encoder: Encoder, backend: str, network: ConstantNetwork, precision: str = "float32") -> Encoder:
    recipe = replace(encoder.recipe, backend=backend, precision=precision)
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
    benchmark = benchmark_variants(TEXTS, reference, others, 1000)
    assert benchmark.fastest == Variant("onnx")
    assert benchmark.rejected == {"openvino": "its values differ from torch's by up to 0.01"}
    assert benchmark.speeds["onnx"] == pytest.approx(2 * benchmark.speeds["torch"], rel=0.01)


def test_a_backend_with_another_budget_is_compared_with_torch_too(tiny: Open) -> None:
    reference = replace(with_network(tiny(), "torch", ConstantNetwork(1.0, 0.0)), batch_tokens=1000)
    other = replace(with_network(tiny(), "onnx", ConstantNetwork(1.0, 0.0)), batch_tokens=40)
    assert benchmark_variants(TEXTS, reference, [other], 1000).speeds.keys() == {"torch", "onnx"}


def test_a_backend_that_fails_is_rejected_with_its_message(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.0))
    benchmark = benchmark_variants(TEXTS, reference, [with_network(tiny(), "onnx", FailingNetwork(1.0, 0.0))], 1000)
    assert (benchmark.fastest, benchmark.rejected) == (Variant("torch"), {"onnx": "It cannot be exported."})


def test_torch_is_chosen_if_no_other_is_faster_beyond_noise() -> None:
    assert BackendBenchmark({"torch": 100.0, "onnx": 104.0}, {}).fastest == Variant("torch")
    assert BackendBenchmark({"torch": 100.0, "onnx": 106.0}, {}).fastest == Variant("onnx")


def test_the_choice_is_described_in_one_sentence() -> None:
    benchmark = BackendBenchmark(
        {"torch": 9000.4, "onnx": 12000.0}, {"openvino": "its values differ from torch's by up to 0.01"}
    )
    assert benchmark.describe(measured="measured on this corpus") == (
        "Backend onnx: the fastest that agrees with torch, measured on this corpus "
        "(tokens/s: torch 9,000, onnx 12,000; not openvino: its values differ from torch's by up to 0.01)."
    )


def choose(
    texts: Sequence[str], encoder: Encoder, networks: dict[str, ConstantNetwork], share: float = 1.0
) -> tuple[str, str]:
    """The variant that auto chooses; `networks` by the name of the variant."""
    others = variants_to_compare(encoder, backend="auto", precision="auto")

    def reopen(variant: Variant) -> Encoder:
        return with_network(encoder, variant.backend, networks[variant.name], variant.precision)

    chosen, reason = choose_variant(texts, encoder, others, reopen, share)
    return chosen.name, reason


def same(network: ConstantNetwork) -> dict[str, ConstantNetwork]:
    return {"onnx": network, "openvino": network}


def test_a_benchmark_is_saved_for_the_machine_and_the_weights(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 100)
    slow, quick = ConstantNetwork(1.0, 0.01), ConstantNetwork(1.0, 0.0)
    reference = with_network(tiny(), "torch", slow)
    backend, reason = choose(TEXTS, reference, same(quick))
    assert backend in ("onnx", "openvino")
    assert reason.startswith(f"Backend {backend}: the fastest that agrees with torch, measured on this")
    calls = slow.calls, quick.calls
    again, reason = choose(["one text"], reference, same(quick))
    assert (again, (slow.calls, quick.calls)) == (backend, calls)
    assert "measured earlier on this machine" in reason
    choose(TEXTS, replace(reference, recipe=replace(reference.recipe, weights="0" * 64)), same(quick))
    assert slow.calls > calls[0]


def test_a_sample_is_tried_if_that_pays_for_the_corpus_that_will_be_in_its_store(
    tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = ConstantNetwork(1.0, 0.0)
    reference, tokens = with_network(tiny(), "torch", network), estimate_tokens(TEXTS, tiny())
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 4 * tokens)
    assert "it does not pay to try" in choose(TEXTS, reference, same(network), share=0.3)[1]
    assert "it does not pay to try" in choose(TEXTS, reference, same(network), share=0.001)[1]  # too few to be timed
    assert network.calls == 0
    assert "measured on this corpus" in choose(TEXTS, reference, same(network), share=0.2)[1]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"speeds": {"onnx": 3.0}, "rejected": {}, "similarities": {}}',
        '{"speeds": {"torch": "x"}, "rejected": {}, "similarities": {}}',
        '{"speeds": {"torch": 1.0, "torch in int8": 3.0}, "rejected": {}, "similarities": {}}',
    ],
)
def test_a_damaged_cache_file_means_a_new_benchmark(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 100)
    network = ConstantNetwork(1.0, 0.0)
    reference = with_network(tiny(), "torch", network)
    choose(TEXTS, reference, same(network))
    (path,) = (tmp_path / "cache" / "backend_benchmarks").iterdir()
    path.write_text(content)
    calls = network.calls
    choose(TEXTS, reference, same(network))
    assert network.calls > calls


def test_little_work_is_for_torch_without_a_benchmark(tiny: Open) -> None:
    network = ConstantNetwork(1.0, 0.0)
    backend, reason = choose(SENTENCES, with_network(tiny(), "torch", network), {})
    tokens = estimate_tokens(SENTENCES, tiny())
    assert (backend, network.calls) == ("torch", 0)
    assert reason == f"Backend torch: for about {tokens:,} tokens it does not pay to try onnx and openvino."


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_for_torch(tiny: Open, precision: str) -> None:
    assert variants_to_compare(tiny(precision=precision), backend="auto", precision=precision) == []


def test_another_device_is_for_torch(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "resolve_device", lambda _: "cuda")
    assert variants_to_compare(tiny(), backend="auto", precision="auto") == []


def test_without_another_backend_there_is_no_choice(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "is_installed", lambda name: name == "torch")
    assert variants_to_compare(tiny(), backend="auto", precision="auto") == []


@pytest.fixture
def bfloat16_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with AMX, as far as the choice can see."""
    monkeypatch.setattr(backend_benchmark, "computes_bfloat16_well", lambda device: device == "cpu")
    monkeypatch.setattr(backend_benchmark, "LEAST_TOKENS", 100)


@pytest.mark.parametrize(
    ("backend", "precision", "expected"),
    [
        ("auto", "auto", ["onnx", "openvino", "torch in bfloat16", "openvino in bfloat16"]),
        ("auto", "float32", ["onnx", "openvino"]),
        ("torch", "auto", ["torch in bfloat16"]),
        ("torch", "float32", []),
    ],
)
@pytest.mark.usefixtures("bfloat16_cpu")
def test_a_cpu_with_bfloat16_tries_what_the_options_leave_open(
    tiny: Open, backend: str, precision: str, expected: list[str]
) -> None:
    variants = variants_to_compare(tiny(), backend=backend, precision=precision)
    assert [variant.name for variant in variants] == expected


def test_a_cpu_without_bfloat16_never_tries_it(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "computes_bfloat16_well", lambda _: False)
    variants = variants_to_compare(tiny(), backend="auto", precision="auto")
    assert {variant.precision for variant in variants} == {"float32"}


@pytest.mark.parametrize(
    ("value", "seconds", "expected"),
    [
        (1.01, 0.005, "torch in bfloat16"),  # constant vectors of another length have a cosine of 1
        (1.01, 0.009, "torch"),  # 1.1 times as fast is not enough
    ],
)
@pytest.mark.usefixtures("bfloat16_cpu")
def test_bfloat16_is_chosen_if_it_is_much_faster(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, value: float, seconds: float, expected: str
) -> None:
    monkeypatch.setattr(backend_benchmark, "is_installed", lambda name: name == "torch")
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.01))
    chosen, reason = choose(TEXTS, reference, {"torch in bfloat16": ConstantNetwork(value, seconds)})
    assert chosen == expected
    assert reason.startswith(
        "Backend torch in bfloat16: 2.0 times as fast as float32, with a mean cosine similarity of 1.00000, measured on"
        if expected == "torch in bfloat16"
        else "Backend torch in float32, as bfloat16 is not 1.2 times as fast: the fastest that agrees with torch, "
    )


class OneSidedNetwork(ConstantNetwork):
    """A fast network whose vectors have another direction: only their first value is not 0."""

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        (hidden,) = super().__call__(ids, lengths)
        hidden[..., 1:] = 0
        return [hidden]


@pytest.mark.usefixtures("bfloat16_cpu")
def test_bfloat16_far_from_float32_is_rejected(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", ConstantNetwork(1.0, 0.01))
    half = with_network(tiny(), "torch", OneSidedNetwork(1.0, 0.0), "bfloat16")
    benchmark = benchmark_variants(TEXTS, reference, [half], 1000)
    # (1, 0, 0, ...) and (1, 1, 1, ...) of 16 values
    assert benchmark.rejected == {"torch in bfloat16": "its mean cosine similarity with float32 is 0.2500"}
    assert benchmark.fastest == Variant("torch")


def test_a_static_model_has_no_number_type_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_benchmark, "time", time)
    encoder = open_encoder(Options(model=str(make_static(tmp_path / "static")), device="cpu"))
    half = replace(encoder, recipe=replace(encoder.recipe, precision="bfloat16"))
    rejected = benchmark_variants(TEXTS, encoder, [half], 1000).rejected
    assert rejected == {"torch in bfloat16": "a static model computes in the number type of its file"}
