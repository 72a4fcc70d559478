"""A store of four documents, a tiny encoder, and a cache of shards known to be whole that is each test's own."""

import csv
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.faults import embedding
from tests.faults.whole import TEXTS
from tests.featurestore.made import RECIPE, content
from tests.tiny_encoder import make_encoder

DOCUMENTS = 300
# of the tiny encoder's vocabulary, or all numbers would be the unknown token
DIGITS = ("oil", "price", "rose", "wheat", "corn", "fell", "team", "won", "cup", "new")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def served() -> None:
    """The process that embeds are forked from."""
    embedding.serve()


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Four documents in one shard."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(TEXTS))
    return store


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder; not to be written to."""
    return make_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def short_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 documents of one window each, no two of them alike to the encoder."""
    path = tmp_path_factory.mktemp("table") / "short.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "label", "split"])
        for number in range(DOCUMENTS):
            words = [*(DIGITS[int(digit)] for digit in f"{number:03}"), *["the"] * (number % 11)]
            table.writerow([f"d{number}", " ".join(words), "odd" if number % 2 else "even", "train"])
    return path
