"""What options leave open is decided by an existing store, else by the device and a benchmark."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.documents import Corpus, SampleOf
from featurestore import FeatureStore, Recipe
from stages.embed import Options, open_encoder
from stages.embed.batching.backend_benchmark import Variant
from stages.embed.network.backends import is_installed
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.encoding_choice import StoreLocation, follow_recipe, resolve_encoding
from tests.conftest import write_csv
from tests.small_store import RECIPE
from tests.stages.embed.conftest import Folders
from tests.stages.embed.fakes import corpus
from tests.tiny_encoder import SENTENCES


def test_a_choice_leads_another_process_to_the_same_recipe_and_folder(folders: Folders, tmp_path: Path) -> None:
    documents: Corpus = corpus(SENTENCES)
    options = Options(model=str(folders("bert")), device="cpu", batch_tokens=77, keep=("mean",), long="head")
    choice = resolve_encoding(documents, options, StoreLocation("sample", tmp_path))
    assert "auto" not in (choice.options.precision, choice.options.backend)
    assert open_encoder(choice.options).recipe == choice.encoder.recipe
    assert (choice.options.batch_tokens, choice.store_exists) == (77, False)
    FeatureStore.create(choice.folder, choice.encoder.recipe)
    assert resolve_encoding(documents, options, StoreLocation("sample", tmp_path)).store_exists


def test_explicit_options_win_over_the_recipe_of_the_store_and_the_rest_follows_it() -> None:
    options = follow_recipe(RECIPE, Options(device="cpu", batch_tokens=99, window=7), {"device", "window"})
    assert (options.device, options.batch_tokens, options.window) == ("cpu", 99, 7)
    assert (options.model, options.dtype) == (RECIPE.encoder, RECIPE.dtype)


def test_another_strategy_for_long_documents_does_not_use_the_stores_stride() -> None:
    recipe = replace(RECIPE, window=20, stride=5, max_windows=3)
    options = follow_recipe(recipe, Options(long="head"), {"long"})
    assert (options.window, options.stride, options.max_windows) == (20, 0, None)
    assert follow_recipe(recipe, Options(long="model"), {"long"}).window is None
    assert follow_recipe(recipe, Options(long="windows"), {"long"}).stride == 5


def embed_file(folder: Path, stores: Path, source: Path, **requested: Any) -> tuple[Recipe, list[str]]:
    """Embed, and return the recipe of the store and the notes on precision."""
    notes: list[str] = []
    store = requested.pop("store", None)
    options = Options(model=str(folder), device="cpu", keep=("mean",), **requested)
    request = EmbedRequest(source=str(source), options=options, stores=stores, store=store)
    opened, _ = embed_source(request, notify=notes.append, progress=lambda _: None)
    return opened.recipe, [sentence for sentence in notes if sentence.startswith("Precision")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text("text,label\n" + "".join(f"oil price {row},{row % 2}\n" for row in range(8)))
    return path


def test_a_cpu_computes_in_float32_without_a_note(folders: Folders, tmp_path: Path, source: Path) -> None:
    recipe, notes = embed_file(folders("bert"), tmp_path / "stores", source)
    assert (recipe.precision, notes) == ("float32", [])


@pytest.mark.parametrize("named", [True, False])
def test_a_store_keeps_the_precision_that_it_was_created_with(
    folders: Folders, tmp_path: Path, source: Path, named: bool
) -> None:
    store = {"store": tmp_path / "one"} if named else {}
    created, _ = embed_file(folders("bert"), tmp_path / "stores", source, precision="bfloat16", **store)
    reused, notes = embed_file(folders("bert"), tmp_path / "stores", source, **store)
    assert reused == created
    assert notes == ["Precision bfloat16, as in the existing store."]


class Embedding:
    """Calls `embed_source` on a small file, and collects its notes."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, str(model)
        self.notes: list[str] = []
        write_csv(folder / "letters.csv", corpus(SENTENCES).documents)

    def __call__(self, *, store: Path | None = None, **options: Any) -> FeatureStore:
        self.notes.clear()
        request = EmbedRequest(
            source=str(self.folder / "letters.csv"),
            options=Options(**{"model": self.model, "device": "cpu"} | options),
            explicit=options.keys() | {"model"},
            store=store,
            stores=self.folder / "stores",
        )
        opened, _ = embed_source(request, notify=self.notes.append, progress=lambda _: None)
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
        "stages.embed.pipeline.encoding_choice.choose_variant",
        lambda *_: (Variant("onnx" if backend == "torch" else "torch"), "why"),
    )
    again = embedding()
    assert again.folder == first.folder
    assert len(list((embedding.folder / "stores").iterdir())) == 1
    assert "why" not in embedding.notes


@onnx
@pytest.mark.parametrize("name", [None, "mine"])
def test_of_two_that_start_together_the_later_follows_the_store_of_the_first(
    embedding: Embedding, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    store = None if name is None else embedding.folder / "stores" / name

    def slow(*_: Any) -> tuple[Variant, str]:
        embedding(store=store, backend="onnx")
        return Variant("torch"), "Backend torch, for a reason."

    monkeypatch.setattr("stages.embed.pipeline.encoding_choice.choose_variant", slow)
    assert embedding(store=store).recipe.backend == "onnx"
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
        "stages.embed.pipeline.encoding_choice.choose_variant",
        lambda *_: (Variant("onnx"), "Backend onnx, for a reason."),
    )
    assert embedding().recipe.backend == "onnx"
    assert "Backend onnx, for a reason." in embedding.notes


@onnx
@pytest.mark.parametrize(("documents_of_whole", "expected"), [(None, 2 / 5), (50, 2 / 5 * 5 / 50)])
def test_a_trial_counts_the_tokens_of_the_whole_corpus(
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    documents_of_whole: int | None,
    expected: float,
) -> None:
    monkeypatch.setattr("stages.embed.pipeline.distinct_texts.MOST_SAMPLED_FROM", 4)
    monkeypatch.setattr("stages.embed.pipeline.distinct_texts.SAMPLED_TEXTS", 2)
    tried: list[tuple[int, float]] = []

    def choose(texts: Sequence[str], _: Any, __: Any, ___: Any, share: float) -> tuple[Variant, str]:
        tried.append((len(texts), share))
        return Variant("torch"), "why"

    monkeypatch.setattr("stages.embed.pipeline.encoding_choice.choose_variant", choose)
    whole = None if documents_of_whole is None else SampleOf("whole", documents_of_whole)
    documents = replace(corpus([f"oil price {number}" for number in range(5)]), sample_of=whole)
    resolve_encoding(documents, Options(model=str(folders("bert")), device="cpu"), StoreLocation("few", tmp_path))
    ((texts, share),) = tried
    assert texts == 2 and share == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_requested_backend_is_compared_with_no_other(
    embedding: Embedding, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Variant] = []

    def choose(_: Any, __: Any, others: list[Variant], *___: Any) -> tuple[Variant, str]:
        compared.extend(others)
        return Variant("torch"), "why"

    monkeypatch.setattr("stages.embed.batching.backend_benchmark.computes_bfloat16_well", lambda _: True)
    monkeypatch.setattr("stages.embed.pipeline.encoding_choice.choose_variant", choose)
    assert embedding(backend="torch", precision=precision).recipe.backend == "torch"
    assert compared == ([Variant("torch", "bfloat16")] if precision == "auto" else [])


def test_auto_encodes_in_bfloat16_if_the_trial_says_so_and_records_the_distance(
    embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stages.embed.pipeline.encoding_choice.choose_variant",
        lambda *_: (Variant("torch", "bfloat16"), "Backend torch in bfloat16, for a reason."),
    )
    store = embedding()
    assert (store.recipe.precision, store.recipe.backend) == ("bfloat16", "torch")
    (record,) = (store.folder / "records").iterdir()
    similarity = json.loads(record.read_text())["float32_similarity"]
    assert similarity["windows"] == len(SENTENCES)
    assert 0.999 < similarity["worst"] <= similarity["mean"] < 1
    monkeypatch.setattr("stages.embed.pipeline.encoding_choice.choose_variant", lambda *_: pytest.fail("compared"))
    assert embedding().folder == store.folder  # the store keeps its precision
    assert "Precision bfloat16, as in the existing store." in embedding.notes
