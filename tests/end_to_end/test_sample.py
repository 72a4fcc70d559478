"""`embed --sample`: heads are compared on a few documents, which are not encoded again with all."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

import embedonce as interface
from data.documents import Document
from data.errors import CallError
from data.source_spec import SourceSpec
from featurestore import FeatureStore
from stages.relabel import relabel
from stages.stores import open_corpus, open_store
from tests.conftest import Run, write_csv
from tests.tiny_encoder import make_static

NOTE = "a sample of 60 of 240 documents, drawn by split and label; `embed` without --sample encodes the others, too"


@pytest.fixture
def call(tmp_path: Path) -> list[str]:
    """The arguments that every call here shares; the table and the encoder are there."""
    write(tmp_path / "news.csv", 240)
    return ["embed", "news.csv", "--model", str(make_static(tmp_path / "model"))]


def write(path: Path, count: int) -> None:
    """Documents in random order, each with a text of its own."""
    chance = random.Random(0)
    documents = []
    for row in range(count):
        label = ("oil", "cup", "card")[row % 3]
        words = " ".join(chance.choices([label, "price", "team"], weights=[4, 1, 1], k=6))
        documents.append(Document(f"d{row}", f"{words} {row}", (label,), ("train", "test")[row // 3 % 4 == 0]))
    write_csv(path, chance.sample(documents, count))


def store() -> FeatureStore:
    return open_store(None, Path("stores"))


def test_heads_are_compared_on_a_sample_and_then_fitted_on_all_documents(embedonce: Run, call: list[str]) -> None:
    embedded = embedonce(*call, "--sample", "60")
    assert embedded.code == 0 and embedded.err.count(NOTE) == 1
    assert "60 documents: 60 encoded" in embedded.err
    fitted = embedonce("fit-head", "linear", "prototype", "--folds", "2")
    assert fitted.code == 0 and "corpus news-sample60" in fitted.err
    assert (
        NOTE not in fitted.err and fitted.err.count("news-sample60 is a sample of news, which has 240 documents") == 1
    )
    assert "news-sample60" in embedonce("store", "info").out
    shown = embedonce(*call)
    assert "240 documents (60 already in the store): 180 encoded" in shown.err and "a sample" not in shown.err
    assert store().corpora() == ["news", "news-sample60"] and store().documents == 240
    assert open_corpus(store(), None).name == "news"


def test_without_the_whole_corpus_the_largest_sample_is_used(embedonce: Run, call: list[str]) -> None:
    for size, encoded in ((40, 40), (80, 40), (20, 0)):
        assert json.loads(embedonce(*call, "--sample", size, "--json").out)["encoded"] == encoded
    assert open_corpus(store(), None).name == "news-sample80"
    assert open_corpus(store(), "news-sample20").name == "news-sample20"
    store().save_corpus(replace(store().corpus("news-sample20"), name="other", sample_of=None))
    with pytest.raises(CallError, match=r"has 2 corpora: news-sample80, other\. Choose one with --corpus"):
        open_corpus(store(), None)


def test_a_grown_and_shuffled_corpus_has_most_of_the_sample(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    embedonce(*call, "--sample", "60")
    write(tmp_path / "news.csv", 252)
    again = embedonce(*call, "--sample", "60", "--json")
    assert json.loads(again.out)["already_stored"] >= 45
    assert "now has 60" in " ".join(json.loads(again.out)["notes"])


def test_parts_of_a_sample_make_the_sample_and_an_interrupted_one_resumes(embedonce: Run, call: list[str]) -> None:
    first = json.loads(embedonce(*call, "--sample", "60", "--part", "1/2", "--json").out)
    assert 0 < first["encoded"] < 60 and first["encoded"] + first["missing_in_other_parts"] == 60
    rest = json.loads(embedonce(*call, "--sample", "60", "--json").out)
    assert (rest["encoded"], rest["already_stored"]) == (60 - first["encoded"], first["encoded"])


def test_a_dry_run_is_of_the_sample(embedonce: Run, call: list[str]) -> None:
    shown = json.loads(embedonce(*call, "--sample", "60", "--dry-run", "--json").out)
    assert (shown["documents"], shown["source"]["documents"], sum(shown["source"]["splits"].values())) == (60, 60, 60)
    assert Path(shown["store"]).name.startswith("news--model-")


def test_a_streamed_corpus_has_the_sample_of_one_in_memory(
    embedonce: Run, call: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedonce(*call, "--sample", "60")
    monkeypatch.setattr("data.readers.corpus_from_table.MOST_TEXT_BYTES", 500)
    monkeypatch.setattr("data.table.CACHED_BYTES", 0)
    streamed = embedonce(*call, "--sample", "60", "--store", "streamed", "--json")
    assert json.loads(streamed.out)["encoded"] == 60
    assert FeatureStore.open(Path("streamed")).corpus("news-sample60") == store().corpus("news-sample60")


def test_python_has_the_same_sample(embedonce: Run, call: list[str]) -> None:
    embedonce(*call, "--sample", "60")
    corpus = interface.embed("news.csv", model=call[-1], sample=60, progress=False)
    assert (corpus.name, len(corpus), corpus.notes[0]) == ("news-sample60", 60, NOTE.replace("--sample", "`sample`"))
    assert corpus.table == store().corpus("news-sample60")
    whole = interface.embed("news.csv", model=call[-1], sample=1000, progress=False)
    assert (whole.name, len(whole)) == ("news", 240)
    with pytest.raises(CallError, match="sample is 0; it must be at least 1"):
        interface.embed("news.csv", model=call[-1], sample=0, progress=False)


def test_labels_of_all_documents_replace_those_of_a_sample(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    embedonce(*call, "--sample", "60")
    (tmp_path / "new.csv").write_text("id,label\n" + "".join(f"d{row},{row % 2}\n" for row in range(240)))
    table = store().corpus("news-sample60")
    done = relabel(store(), table, "new.csv", SourceSpec())
    after = store().corpus("news-sample60")
    assert (done.changed["labels"], done.missing, after.sample_of) == (60, 0, table.sample_of)
    assert list(after.labels) == [(str(int(identifier[1:]) % 2),) for identifier in after.ids]
