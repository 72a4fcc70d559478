"""Which backend `auto` takes: the fastest that agrees, the one of the store that is there, torch for little work."""

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
from stages.embed.batching import backend_benchmark as trial
from stages.embed.batching.backend_benchmark import BackendBenchmark, benchmark_backends, choose_backend
from stages.embed.batching.sample import estimate_tokens, sample
from stages.embed.network.backends import is_installed
from stages.embed.pipeline.embed_source import embed_source
from tests.conftest import write_csv
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.fakes import corpus
from tests.tiny_encoder import SENTENCES

TEXTS = [f"{sentence} {number}" for number in range(10) for sentence in SENTENCES]


class Steady:
    """Every vector is all `value`; a batch takes `seconds`, and is counted."""

    def __init__(self, value: float, seconds: float) -> None:
        self.value, self.seconds, self.calls = value, seconds, 0

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        self.calls += 1
        time.sleep(self.seconds)
        return [torch.full((*ids.shape, 16), self.value)]


class Broken(Steady):
    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        raise CallError("It cannot be written down.")


def with_network(encoder: Encoder, backend: str, network: Steady) -> Encoder:
    recipe = replace(encoder.recipe, backend=backend)
    return replace(encoder, recipe=recipe, open_network=lambda _: network)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "is_installed", lambda _: True)


def test_the_fastest_that_agrees_is_taken(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", Steady(1.0, 0.02))
    others = [
        with_network(tiny(), "onnx", Steady(1.00001, 0.01)),
        with_network(tiny(), "openvino", Steady(1.01, 0.0)),
    ]
    tried = benchmark_backends(TEXTS, reference, others, 1000)
    assert tried.fastest == "onnx"
    assert tried.left_out == {"openvino": "its numbers are up to 0.01 from torch's"}
    assert tried.speeds["onnx"] == pytest.approx(2 * tried.speeds["torch"], rel=0.3)


def test_a_backend_with_a_budget_of_its_own_is_held_against_torch_all_the_same(tiny: Open) -> None:
    reference = replace(with_network(tiny(), "torch", Steady(1.0, 0.0)), batch_tokens=1000)
    other = replace(with_network(tiny(), "onnx", Steady(1.0, 0.0)), batch_tokens=40)
    assert benchmark_backends(TEXTS, reference, [other], 1000).speeds.keys() == {"torch", "onnx"}


def test_a_backend_that_fails_is_left_out_with_its_sentence(tiny: Open) -> None:
    reference = with_network(tiny(), "torch", Steady(1.0, 0.0))
    tried = benchmark_backends(TEXTS, reference, [with_network(tiny(), "onnx", Broken(1.0, 0.0))], 1000)
    assert (tried.fastest, tried.left_out) == ("torch", {"onnx": "It cannot be written down."})


def test_torch_is_taken_where_no_other_is_faster_beyond_noise() -> None:
    assert BackendBenchmark({"torch": 100.0, "onnx": 104.0}, {}).fastest == "torch"
    assert BackendBenchmark({"torch": 100.0, "onnx": 106.0}, {}).fastest == "onnx"


def test_the_choice_is_said_in_one_line() -> None:
    tried = BackendBenchmark(
        {"torch": 9000.4, "onnx": 12000.0}, {"openvino": "its numbers are up to 0.01 from torch's"}
    )
    assert tried.sentence(when="as tried on this corpus") == (
        "Backend onnx, the fastest that agrees with torch, as tried on this corpus "
        "(tokens/s: torch 9,000, onnx 12,000; not openvino: its numbers are up to 0.01 from torch's)."
    )


def test_a_choice_is_remembered_for_the_machine_and_the_weights(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LEAST_TOKENS", 100)
    encoder, slow, quick = tiny(), Steady(1.0, 0.01), Steady(1.0, 0.0)
    reference = with_network(encoder, "torch", slow)

    def reopen(name: str) -> Encoder:
        return with_network(encoder, name, quick)

    backend, said = choose_backend(TEXTS, reference, "cpu", reopen)
    assert backend in ("onnx", "openvino")
    assert said is not None and said.startswith(
        f"Backend {backend}, the fastest that agrees with torch, as tried on this"
    )
    calls = slow.calls, quick.calls
    again, said = choose_backend(["one text"], reference, "cpu", reopen)
    assert (again, (slow.calls, quick.calls)) == (backend, calls)
    assert said is not None and "as tried on this machine before" in said
    other = replace(reference, recipe=replace(reference.recipe, weights="0" * 64))
    choose_backend(TEXTS, other, "cpu", reopen)
    assert slow.calls > calls[0]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"speeds": {"onnx": 3.0}, "left_out": {}}', '{"speeds": {"torch": "x"}}']
)
def test_a_damaged_memory_is_a_new_trial(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr(trial, "LEAST_TOKENS", 100)
    encoder, network = tiny(), Steady(1.0, 0.0)
    reference = with_network(encoder, "torch", network)
    choose_backend(TEXTS, reference, "cpu", lambda name: with_network(encoder, name, network))
    (path,) = (tmp_path / "cache" / "trials").iterdir()
    path.write_text(content)
    calls = network.calls
    choose_backend(TEXTS, reference, "cpu", lambda name: with_network(encoder, name, network))
    assert network.calls > calls


def test_little_work_is_torchs_without_a_trial(tiny: Open) -> None:
    network = Steady(1.0, 0.0)
    backend, said = choose_backend(SENTENCES, with_network(tiny(), "torch", network), "cpu", pytest.fail)
    tokens = estimate_tokens(SENTENCES, tiny())
    assert (backend, network.calls) == ("torch", 0)
    assert said == f"Backend torch: with about {tokens:,} tokens, trying onnx and openvino would not pay."


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_torchs(tiny: Open, precision: str) -> None:
    assert choose_backend(TEXTS, tiny(precision=precision), "cpu", pytest.fail) == ("torch", None)


def test_another_device_is_torchs(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "resolve_device", lambda _: "cuda")
    assert choose_backend(TEXTS, tiny(), "auto", pytest.fail) == ("torch", None)


def test_torch_alone_is_no_choice(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "is_installed", lambda _: False)
    assert choose_backend(TEXTS, tiny(), "cpu", pytest.fail) == ("torch", None)


def test_a_sample_is_of_about_so_many_positions_and_the_same_each_time(tiny: Open) -> None:
    encoder = tiny(window=9)
    one, other = sample(TEXTS, encoder, 300), sample(TEXTS, encoder, 300)
    positions = one.windows.length[one.rows] + encoder.extra_positions
    assert 300 <= positions.sum() < 300 + 11
    np.testing.assert_array_equal(one.rows, other.rows)
    assert sorted(np.concatenate(list(one.batches(encoder)))) == sorted(one.rows)
    assert one.tokens == positions.sum() - 2 * len(one.rows)


def test_tokens_are_guessed_from_characters(tiny: Open) -> None:
    encoder = tiny(window=9, stride=3)
    read = encoder.tokenizer.tokenize(TEXTS * 10, encoder.windowing).tokens_to_encode.sum()
    assert estimate_tokens(TEXTS * 10, encoder) == pytest.approx(read, rel=0.1)
    assert estimate_tokens([], encoder) == estimate_tokens([""], encoder) == 0


class Asked:
    """`embed_source` on a small file, and what it says."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, str(model)
        self.said: list[str] = []
        write_csv(folder / "letters.csv", corpus(SENTENCES).documents)

    def __call__(self, *, store: Path | None = None, **options: Any) -> FeatureStore:
        self.said.clear()
        made, _ = embed_source(
            str(self.folder / "letters.csv"),
            Columns(),
            Options(**{"model": self.model, "device": "cpu"} | options),
            explicit=options.keys() | {"model"},
            store=store,
            stores=self.folder / "features",
            notify=self.said.append,
            progress=lambda _: None,
        )
        return made


@pytest.fixture
def asked(tmp_path: Path, folders: Folders) -> Asked:
    return Asked(tmp_path, folders("bert"))


onnx = pytest.mark.skipif(not is_installed("onnx"), reason="onnx is not installed")


@pytest.mark.parametrize("backend", ["torch", pytest.param("onnx", marks=onnx)])
def test_auto_adds_to_the_store_that_another_backend_made(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    first = asked(backend=backend)
    # auto alone would take the other one
    monkeypatch.setattr(
        "stages.embed.pipeline.embed_source.choose_backend",
        lambda *_: ("onnx" if backend == "torch" else "torch", "why"),
    )
    again = asked()
    assert again.folder == first.folder
    assert len(list((asked.folder / "features").iterdir())) == 1
    assert "why" not in asked.said


@onnx
def test_of_two_that_start_at_once_the_later_follows_the_store_of_the_first(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> tuple[str, str]:
        asked(backend="onnx")
        return "torch", "Backend torch, for a reason."

    monkeypatch.setattr("stages.embed.pipeline.embed_source.choose_backend", slow)
    assert asked().recipe.backend == "onnx"
    assert len(list((asked.folder / "features").iterdir())) == 1


@onnx
@pytest.mark.parametrize("named", [{}, {"backend": "auto"}])
def test_auto_follows_a_store_that_is_named(asked: Asked, named: dict[str, str]) -> None:
    store = asked.folder / "mine"
    asked(store=store, backend="onnx")
    assert asked(store=store, **named).recipe.backend == "onnx"


@onnx
def test_auto_makes_a_store_of_what_it_chose(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stages.embed.pipeline.embed_source.choose_backend", lambda *_: ("onnx", "Backend onnx, for a reason.")
    )
    assert asked().recipe.backend == "onnx"
    assert "Backend onnx, for a reason." in asked.said


def test_a_backend_that_is_named_is_not_tried(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.embed.pipeline.embed_source.choose_backend", lambda *_: pytest.fail("it was tried"))
    assert asked(backend="torch").recipe.backend == "torch"
