"""Texts beyond a limit are read from their files at each use, and a corpus is the same as one in memory."""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.documents import Corpus, Documents
from data.errors import BadData
from data.packed import CategoricalColumn, PackedStrings, StreamedTexts, texts_at
from data.readers import read_corpus
from data.readers.read import open_table
from data.source_spec import SourceSpec
from data.splitting.train_test_split import assign_splits
from data.table import cached_bytes
from data.text_hashes import TextHashes
from tests.data.tables import WRITERS, write

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20) | st.sampled_from(
    ["nan", "", " ", "A b", "a  B"]
)
CELLS = st.lists(st.tuples(TEXT, st.sampled_from(["x", "y", ""]), TEXT), min_size=1, max_size=30)
ENDINGS = [*WRITERS, "txt", "csv.gz"]


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the bytes of texts and of columns that stay in memory."""

    def limit(size: int) -> None:
        monkeypatch.setattr("data.readers.corpus_from_table.MOST_TEXT_BYTES", size)
        monkeypatch.setattr("data.table.CACHED_BYTES", size)
        monkeypatch.setattr("data.table.CACHED_BYTES_PER_ROW", 0)
        for module in ("jsonl", "fasttext"):
            monkeypatch.setattr(f"data.readers.{module}._ROWS_BETWEEN_CHECKS", 1)

    return limit


def write_rows(folder: Path, ending: str, rows: Sequence[dict[str, str]]) -> str:
    if ending == "txt":
        lines = [f"__label__{row['label'] or 'z'} {row['text'] or 'w'}\n" for row in rows]
        (folder / "letters.txt").write_text("".join(lines), encoding="utf-8")
    elif ending == "csv.gz":
        path = Path(write(folder, "csv", rows, "plain"))
        (folder / "letters.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    else:
        return write(folder, ending, rows)
    return str(folder / f"letters.{ending}")


def same(one: Corpus, other: Corpus) -> None:
    columns, others = Documents.from_documents(one.documents), Documents.from_documents(other.documents)
    for name in ("ids", "texts", "labels", "splits", "groups"):
        assert list(getattr(columns, name)) == list(getattr(others, name)), name
    assert (one.notes, one.spec, one.kind, one.name) == (other.notes, other.spec, other.kind, other.name)


@pytest.mark.parametrize("ending", ENDINGS)
@given(cells=CELLS, limit=st.sampled_from([0, 100, 400]))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_streamed_corpus_is_that_in_memory(
    ending: str, cells: list[tuple[str, str, str]], limit: int, tmp_path: Path, streaming: Callable[[int], None]
) -> None:
    rows = [{"text": text, "label": label, "group": group} for text, label, group in cells]
    source = write_rows(tmp_path, ending, rows)
    spec = SourceSpec(group="" if ending == "txt" else "group")
    streaming(2**30)
    in_memory = read_corpus(source, spec)
    streaming(limit)
    streamed = read_corpus(source, spec)
    streaming(2**30)
    same(in_memory, streamed)


@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_of_every_format_are_streamed_beyond_the_limit(
    ending: str, tmp_path: Path, streaming: Callable[[int], None]
) -> None:
    source = write_rows(tmp_path, ending, [{"text": f"text {number}", "label": "x"} for number in range(300)])
    streaming(1000)
    texts = Documents.from_documents(read_corpus(source).documents).texts
    assert isinstance(texts, StreamedTexts)
    assert list(texts) == list(texts) == [f"text {number}" for number in range(300)]


def test_several_files_are_streamed_as_one(tmp_path: Path, streaming: Callable[[int], None]) -> None:
    for number in range(3):
        write(tmp_path, "csv", [{"text": f"{number} {row}", "label": "x"} for row in range(50)], str(number))
    in_memory = read_corpus(f"{tmp_path}/*.csv")
    streaming(500)
    same(in_memory, read_corpus(f"{tmp_path}/*.csv"))


@pytest.mark.parametrize("by_folder", [True, False])
def test_the_limit_holds_for_all_files_together(
    by_folder: bool, tmp_path: Path, streaming: Callable[[int], None]
) -> None:
    for number in range(5):
        rows = [{"text": f"{number} {row}", "label": "xy"[row % 2]} for row in range(20)]
        write(tmp_path, "csv", rows, f"train-{number:05}-of-00005")
    source, spec = str(tmp_path) if by_folder else f"{tmp_path}/*.csv", SourceSpec()
    streaming(1000)
    table = open_table(source, spec)
    assert table is not None
    assert 0 < cached_bytes(table.caches) <= 1000, "each file alone has less"
    assert list(table.cells("text")) == [f"{number} {row}" for number in range(5) for row in range(20)]


def test_a_text_of_several_columns_is_streamed(tmp_path: Path, streaming: Callable[[int], None]) -> None:
    rows = [{"subject": f"subject {number}", "body": f"body {number}"} for number in range(300)]
    source, spec = write(tmp_path, "csv", rows), SourceSpec(template="{subject}: {body}")
    in_memory = read_corpus(source, spec)
    streaming(500)
    same(in_memory, read_corpus(source, spec))


def test_splits_and_notes_are_those_of_the_corpus_in_memory(tmp_path: Path, streaming: Callable[[int], None]) -> None:
    rows = [{"text": f"Text {number % 90}" + " " * (number % 2), "label": "xyz"[number % 3]} for number in range(300)]
    source = write(tmp_path, "jsonl", [*rows, {"text": "", "label": "rare"}])
    in_memory = assign_splits(read_corpus(source), 0)
    streaming(500)
    streamed = assign_splits(read_corpus(source), 0)
    same(in_memory, streamed)
    assert any("text" in note for note in streamed.notes)


def test_only_small_columns_stay_in_memory(tmp_path: Path, streaming: Callable[[int], None]) -> None:
    from data.readers import read_table

    source = write(tmp_path, "csv", [{"text": "long " * 100, "label": "x"} for _ in range(512)])
    streaming(20_000)
    table = read_table(source)
    (cache,) = table.caches
    assert list(cache.columns) == ["label"]
    assert list(table.cells("text")) == ["long " * 100] * 512
    table.release()
    assert list(table.cells("label")) == ["x"] * 512


def test_a_file_that_has_other_rows_later_is_refused(tmp_path: Path, streaming: Callable[[int], None]) -> None:
    rows = [{"text": f"text {number}"} for number in range(100)]
    source = write(tmp_path, "csv", rows)
    streaming(100)
    texts = Documents.from_documents(read_corpus(source).documents).texts
    write(tmp_path, "csv", rows[:99])
    with pytest.raises(BadData, match="changed while it was used: it had 100 documents and has 99 now"):
        list(texts)


def test_selected_texts_are_read_in_one_pass_that_ends_with_the_last_of_them() -> None:
    passes: list[int] = []

    def read() -> Iterator[str]:
        passes.append(0)
        for number in range(100):
            passes[-1] += 1
            yield str(number)

    texts = StreamedTexts("numbers", 100, read)
    assert list(texts.select(np.array([3, 5]))) == ["3", "5"]
    assert passes == [6]
    assert list(texts.select(np.array([6, 8]))) == ["6", "8"]
    assert passes == [9], "the next selection goes on where the last one ended"
    assert list(texts_at(texts, np.array([5, 3, 5]))) == ["5", "3", "5"]
    assert [texts[-1], texts[1:7:2], texts[3:1:-1]] == ["99", ["1", "3", "5"], ["3", "2"]]
    assert list(texts.select(np.zeros(0, np.int64))) == []
    assert list(texts_at(PackedStrings(["a", "b"]), np.array([1, 0]))) == ["b", "a"]


def test_a_selection_that_is_no_longer_needed_ends_between_texts() -> None:
    texts = StreamedTexts("numbers", 5000, lambda: map(str, range(5000)))
    answers = iter([False, False, True])
    with pytest.raises(CancelledError):
        list(texts.select(np.array([4999]), lambda: next(answers)))


def test_the_limit_of_cells_is_that_of_the_process_once_all_files_are_read(
    tmp_path: Path, streaming: Callable[[int], None]
) -> None:
    before = csv.field_size_limit()
    source = write(tmp_path, "csv", [{"text": "x" * 200_000} for _ in range(3)])
    streaming(1000)
    texts = Documents.from_documents(read_corpus(source).documents).texts
    one, other = iter(texts), iter(texts)
    assert next(one) == next(other)
    assert list(one) == list(other)
    assert csv.field_size_limit() == before


def test_bookkeeping_takes_few_bytes_per_document() -> None:
    import tracemalloc

    count = 20_000
    tracemalloc.start()
    try:
        hashes = TextHashes.of(f"text {number}" for number in range(count))
        documents = Documents(
            ids=PackedStrings(f"d{number}" for number in range(count)),
            texts=StreamedTexts("numbers", count, lambda: (f"text {number}" for number in range(count))),
            labels=CategoricalColumn((("x",), ("y",))[number % 2] for number in range(count)),
            splits=CategoricalColumn([None] * count),
            groups=CategoricalColumn([None] * count),
            hashes=hashes,
        )
        tracemalloc.reset_peak()
        corpus = assign_splits(Corpus("n", "n", documents, "single", None, ()), 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(corpus.documents) == count
    assert peak / count < 200
