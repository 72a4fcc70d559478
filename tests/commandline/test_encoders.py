"""`encoders` lists what was made here with what it learned from, and removes it."""

import json
from pathlib import Path

import pytest

from featurestore import EncoderTraining, TrainingStep, text_key
from stages.embed.model_files.saved_encoders import save_encoder
from tests.conftest import Run
from tests.tiny_encoder import make_encoder

STEP = TrainingStep(
    method="supervised", corpus="news", uses_labels=True, includes_test=False, keys=frozenset({text_key("a")})
)
RECORD = EncoderTraining(base="tiny", steps=(STEP,))


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of encoders with one that learned from the text "a" and its label."""
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "made"))
    source = make_encoder(tmp_path / "tiny")
    with save_encoder("tiny-news", RECORD) as folder:
        for path in source.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    return tmp_path / "made"


def test_an_encoder_that_was_made_here_is_listed_with_its_record(embedonce: Run, saved: Path) -> None:
    shown = embedonce("encoders")
    assert (shown.code, shown.err) == (0, "")
    assert "supervised on 1 text and labels of news" in shown.out and "all-MiniLM-L6-v2" in shown.out
    (encoder,) = json.loads(embedonce("encoders", "--json").out)["made_here"]
    assert (encoder["name"], encoder["training"]["steps"][0]["keys"]) == ("tiny-news", 1)


def test_removing_names_the_folder_and_a_misspelled_name_suggests_another(embedonce: Run, saved: Path) -> None:
    assert "Did you mean 'tiny-news'?" in embedonce("encoders", "--remove", "tiny-new").err
    removed = embedonce("encoders", "--remove", "tiny-news")
    assert removed.code == 0 and f"Removed {saved / 'tiny-news'}" in removed.out + removed.err
    assert list(saved.iterdir()) == []


def test_embed_finds_it_by_name_and_the_store_keeps_its_record(embedonce: Run, saved: Path, tmp_path: Path) -> None:
    from featurestore import FeatureStore

    rows = [{"id": str(row), "text": f"text {row}", "label": "xy"[row % 2]} for row in range(8)]
    source = tmp_path / "news.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    result = embedonce("embed", str(source), "--model", "tiny-news", "--store", "store")
    assert result.code == 0, result.err
    store = FeatureStore.open(tmp_path / "store")
    assert store.training == RECORD and store.recipe.encoder == "tiny-news"
