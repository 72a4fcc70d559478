"""`embed` with an encoder of `adapt --cross-fit` encodes with the encoder of each fold too, and fit-head finds them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data.documents import Document
from data.errors import ModelUnavailable
from featurestore import FeatureStore, list_stores
from stages.embed.encoder.encoder import open_encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.saved_encoders import save_encoder
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source, estimate_source
from stages.fitting.runs import load
from tests.conftest import Run
from tests.small_store import trained_on
from tests.tiny_encoder import make_encoder

FOLDS = ("news-fold-1", "news-fold-2", "news-fold-3")


def documents() -> list[Document]:
    """Twelve documents of each label; every fourth is in the test split."""
    labels = ["ab"[row // 4 % 2] for row in range(24)]
    splits = ["test" if row % 4 == 3 else "train" for row in range(24)]
    return [Document(f"d{row}", f"text {row} of {labels[row]}", (labels[row],), splits[row]) for row in range(24)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [
        {"id": each.id, "text": each.text, "label": (each.labels or ("",))[0], "split": each.split}
        for each in documents()
    ]
    path = tmp_path / "news.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The encoder `news`, which learned from all training documents, and those of its folds."""
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))
    training = [each for each in documents() if each.split == "train"]
    weights: dict[str, str] = {}
    for number, name in enumerate((*FOLDS, "news")):
        seen = [each for row, each in enumerate(training) if row % 3 != number]
        made = make_encoder(tmp_path / name, seed=number)
        record = replace(trained_on(seen), fold_encoders=weights if name == "news" else {})
        with save_encoder(name, record) as folder:
            shutil.copytree(made, folder, dirs_exist_ok=True)
        shutil.rmtree(made)
        weights = {**weights, name: open_encoder(Options(model=name)).recipe.weights}
    return tmp_path / "encoders"


def store_names(folder: Path) -> list[str]:
    return sorted(FeatureStore.open(path).recipe.encoder for path in list_stores(folder))


def test_each_encoder_encodes_the_corpus_into_its_own_store(embedonce: Run, source: Path, tmp_path: Path) -> None:
    planned = json.loads(embedonce("embed", source, "--model", "news", "--dry-run", "--json").out)
    assert planned["encoders"] == 4 and not (tmp_path / "stores").exists()
    result = embedonce("embed", source, "--model", "news")
    assert result.code == 0, result.err
    assert "Encoder 1 of 4: news-fold-1, which was trained without fold 1." in " ".join(result.err.split())
    assert "Encoder 4 of 4: news." in " ".join(result.err.split())
    assert store_names(tmp_path / "stores") == ["news", *FOLDS]
    stores = [FeatureStore.open(path) for path in list_stores(tmp_path / "stores")]
    assert all(store.documents == 24 and store.corpora() == ["news"] for store in stores)
    options = {replace(store.recipe, weights="", config="") for store in stores}
    assert len(options) == 1
    size = sum(path.stat().st_size for path in (tmp_path / "stores").glob("*/shards/*"))
    assert 0.3 * size < planned["bytes"] <= size
    fitted = embedonce("fit-head", "linear", "--runs", "runs")  # the newest store is that of the encoder
    assert fitted.code == 0, fitted.err
    (run,) = map(load, (tmp_path / "runs").glob("linear-*"))
    assert run.record.folds == 3 and run.scorecards["out_of_fold"].documents == 18
    assert [name.split("--")[1][:11] for name in run.record.fold_stores] == list(FOLDS)
    again = embedonce("embed", source, "--model", "news", "--dry-run")
    assert "nothing is left to encode" in again.out and "4, one store each" in again.out


def test_an_interrupted_embedding_resumes_in_each_store(source: Path, tmp_path: Path) -> None:
    request = EmbedRequest(source=str(source), options=Options(model="news"), stores=tmp_path / "stores")

    def interrupt(sentence: str) -> None:
        if sentence.startswith("Encoder 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_source(request, notify=interrupt, progress=lambda _: None)
    assert store_names(tmp_path / "stores") == ["news-fold-1"]
    _, estimate = estimate_source(request, notify=lambda _: None)
    assert (estimate.encoders, estimate.already_stored) == (4, 0)
    sentences: list[str] = []
    store, report = embed_source(request, notify=sentences.append, progress=lambda _: None)
    assert store.recipe.encoder == "news" and report.encoded == 24
    assert any("24 already in the store): there was nothing to encode." in sentence for sentence in sentences)
    assert store_names(tmp_path / "stores") == ["news", *FOLDS]


def test_the_stores_of_the_folds_are_next_to_a_store_that_is_named(source: Path, tmp_path: Path) -> None:
    request = EmbedRequest(source=str(source), options=Options(model="news"), store=tmp_path / "mine" / "all")
    embed_source(request, notify=lambda _: None, progress=lambda _: None)
    assert store_names(tmp_path / "mine") == ["news", *FOLDS]


def test_a_missing_or_other_encoder_of_a_fold_is_refused_before_anything_is_encoded(
    source: Path, tmp_path: Path, encoders: Path
) -> None:
    request = EmbedRequest(source=str(source), options=Options(model="news"), stores=tmp_path / "stores")
    (encoders / FOLDS[2]).rename(tmp_path / "kept")
    with pytest.raises(ModelUnavailable, match=r"^news was cross-fitted, and its fold encoder news-fold-3 is not in"):
        embed_source(request, notify=lambda _: None, progress=lambda _: None)
    shutil.copytree(encoders / FOLDS[1], encoders / FOLDS[2])
    with pytest.raises(ModelUnavailable, match=r"and news-fold-3 in .* is another encoder\. Copy it there, or make"):
        embed_source(request, notify=lambda _: None, progress=lambda _: None)
    assert not (tmp_path / "stores").exists()


def test_the_encoder_of_a_fold_is_an_encoder_like_others(source: Path, tmp_path: Path) -> None:
    request = EmbedRequest(source=str(source), options=Options(model=FOLDS[0]), stores=tmp_path / "stores")
    embed_source(request, notify=lambda _: None, progress=lambda _: None)
    assert store_names(tmp_path / "stores") == [FOLDS[0]]
