"""What a user names, read by the reader for it."""

from collections.abc import Callable, Mapping
from dataclasses import astuple, replace
from difflib import get_close_matches
from pathlib import Path

from data.benchmarks import BENCHMARKS, read_benchmark
from data.documents import Corpus, Documents
from data.errors import CallError, FileMissing, suggest_name
from data.packed import CategoricalColumn
from data.readers.corpus_from_table import corpus_from_table
from data.readers.delimited import read_csv, read_tsv
from data.readers.folder import read_folder
from data.readers.jsonl import read_jsonl
from data.readers.parquet import read_parquet
from data.table import Columns, Table

TABLES: Mapping[str, Callable[[Path, str], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}


def read_corpus(source: str, columns: Columns | None = None) -> Corpus:
    """The corpus in a table (.csv, .tsv, .jsonl, .ndjson, .parquet), a folder with a folder a class, or a benchmark.

    Its documents are in the order of the source, and its notes say what was guessed and what is missing. Raises
    FileMissing, ColumnMissing or another CallError for what was asked, BadData for what the file holds, ExtraMissing
    for Parquet without pyarrow; each names the file, and the line or row where there is one.
    """
    columns, path = columns or Columns(), Path(source).expanduser()
    if source in BENCHMARKS:
        return _without_columns(read_benchmark(source), columns, "benchmark")
    if _exists(path) and path.is_dir():
        return _without_columns(read_folder(path, source), columns, "folder")
    return corpus_from_table(_table(path, source), path, columns)


def read_labels_by_id(source: str, columns: Columns) -> Corpus:
    """What a table says of documents that are known by their ids: labels, splits and groups. Texts are not read.

    columns.id: "id" where None. Raises as `read_corpus` does.
    """
    path, name = Path(source).expanduser(), columns.id or "id"
    # every table has a text for the reader: here it is the id
    found = corpus_from_table(_table(path, source), path, replace(columns, id=name, text=name))
    documents = Documents.from_documents(found.documents)
    return replace(found, documents=replace(documents, texts=CategoricalColumn("" for _ in documents.ids)))


def _table(path: Path, source: str) -> Table:
    if not _exists(path):
        raise FileMissing(f"{source} is not there.{_near(path)}")
    if path.suffix.lower() not in TABLES:
        raise CallError(
            f"{source} is not in a format that is read. Name a {', '.join(TABLES)} file or a folder a class."
        )
    return TABLES[path.suffix.lower()](path, source)


def _without_columns(corpus: Corpus, columns: Columns, what: str) -> Corpus:
    if not any(astuple(columns)):
        return corpus
    return replace(corpus, notes=(f"columns were named, but a {what} has none and is read as it is", *corpus.notes))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above is out of reach, or the name too long to be one
        return False


def _near(path: Path) -> str:
    """The nearest file beside the missing one, else the benchmarks."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix.lower() in TABLES]
    except OSError:
        beside = []
    close = get_close_matches(path.name, [*beside, *BENCHMARKS], n=1)
    return (
        suggest_name(path.name, close) if close else f" Name a file, a folder or a benchmark ({', '.join(BENCHMARKS)})."
    )
