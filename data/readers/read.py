"""The entry points of the readers: each chooses the module for what the user named."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePath

from data.benchmarks import BENCHMARKS, read_benchmark
from data.documents import Corpus
from data.errors import CallError, ColumnMissing, FileMissing, suggest_name
from data.labels import cell_text
from data.readers.column_roles import check_columns, resolve_columns
from data.readers.corpus_from_table import corpus_from_table, document_ids
from data.readers.delimited import read_csv, read_tsv
from data.readers.fasttext import is_fasttext, read_fasttext
from data.readers.files import report_unreadable, safe_file_name
from data.readers.folder import list_files, read_folder
from data.readers.jsonl import read_jsonl
from data.readers.known_columns import follow_known
from data.readers.parquet import read_parquet
from data.readers.split_files import find_split_files, join_tables, read_split_files
from data.source_spec import SourceSpec
from data.splits import Split
from data.table import Table

TABLE_READERS: Mapping[str, Callable[[Path, str], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}


def read_corpus(source: str, spec: SourceSpec | None = None, known: SourceSpec | None = None) -> Corpus:
    """Read a corpus from a table, a folder with one folder per class, or a benchmark.

    Documents keep the order of the source. The notes report what was guessed and what is missing. Each error names the
    file, and the line or row if there is one.

    Args:
        source: A .csv, .tsv, .jsonl, .ndjson or .parquet file, a folder of such files that are named for splits, a
            folder of texts, or the name of a benchmark.
        spec: How it is read; a role that is None is guessed by the column's name.
        known: How another source of the same kind was read, for what `spec` leaves open. Columns of it that the source
            lacks are guessed, with a note.

    Raises:
        FileMissing: Nothing has this name.
        ColumnMissing: The table lacks a named column, or its text column cannot be determined.
        CallError: The file cannot be read, or its format is unknown.
        BadData: The content cannot be used.
        ExtraMissing: Parquet is read without pyarrow.
    """
    spec, path = spec or SourceSpec(), Path(source).expanduser()
    if source in BENCHMARKS:
        _refuse_split_files(source, spec, "benchmark")
        return _note_unused_columns(read_benchmark(source), spec, "benchmark")
    table = open_table(source, spec.completed_by(known) if known else spec)
    if table is None:
        return _note_unused_columns(read_folder(path, source, _list_paths(path, source)), spec, "folder")
    corpus = _corpus_from_known_table(table, path, spec, known) if known else corpus_from_table(table, path, spec)
    return replace(corpus, name=safe_file_name(path.resolve().name)) if path.is_dir() else corpus


def _corpus_from_known_table(table: Table, path: Path, requested: SourceSpec, known: SourceSpec) -> Corpus:
    spec, absent = follow_known(requested.completed_by(known), table, known)
    try:
        corpus = corpus_from_table(table, path, spec)
    except ColumnMissing as error:
        raise ColumnMissing(" ".join([*absent, str(error)])) from None
    return replace(corpus, notes=(*absent, *corpus.notes))


def open_table(source: str, spec: SourceSpec) -> Table | None:
    """Read a file, or the files of several splits as one table; None for a folder of texts.

    The files of splits are those of a folder whose tables are named for splits, or `source`, `spec.validation_file` and
    `spec.test_file`.

    Raises:
        CallError: Files of splits go with a folder, or a column has the splits; and what `read_table` raises.
    """
    path = Path(source).expanduser()
    if _exists(path) and path.is_dir():
        _refuse_split_files(source, spec, "folder")
        paths = _list_paths(path, source)
        files = find_split_files(paths, source, TABLE_READERS.keys())
        if not files:
            return None
        table = read_split_files(source, files, len(paths), read_table)
    elif spec.split_files:
        files_of_splits = [(Split.TRAIN, source), *spec.split_files]
        table = join_tables(source, [(split, read_table(file)) for split, file in files_of_splits])
    else:
        return read_table(source)
    if spec.split:
        raise CallError(f"--split {spec.split} names a column, but files name the splits. Leave it out.")
    return table


def _refuse_split_files(source: str, spec: SourceSpec, kind: str) -> None:
    if spec.split_files:
        raise CallError(f"--test-file and --validation-file need a file of training documents; {source} is a {kind}.")


def _list_paths(folder: Path, source: str) -> list[PurePath]:
    with report_unreadable(source):
        return [file.relative_to(folder) for file in list_files(folder)]


def read_table(source: str) -> Table:
    """Read a .csv, .tsv, .jsonl, .ndjson or .parquet file as a table whose columns have no roles yet.

    Raises FileMissing, CallError, BadData and ExtraMissing as `read_corpus` does.
    """
    path = Path(source).expanduser()
    if not _exists(path):
        raise FileMissing(f"{source} does not exist.{_suggest_source(path)}")
    if path.suffix.lower() not in TABLE_READERS and is_fasttext(path):
        return read_fasttext(path, source)
    if path.suffix.lower() not in TABLE_READERS:
        raise CallError(
            f"{source} has an unknown format. Name a {', '.join(TABLE_READERS)} file, a text file whose lines begin "
            "with __label__, or a folder with one folder per class."
        )
    return TABLE_READERS[path.suffix.lower()](path, source)


def read_labels_by_id(source: str, spec: SourceSpec, known: SourceSpec) -> Corpus:
    """Read labels, splits and groups of documents that are known by their ids; texts are not read, but empty.

    Args:
        source: A table, or a folder of tables that are named for splits.
        spec: How it is read; `spec.text` is ignored.
        known: How the documents themselves were read, for what `spec` leaves open; without a column of ids in either,
            that is "id".

    Raises the errors of `read_corpus`.
    """
    spec = spec.completed_by(known)
    table = open_table(source, spec) or read_table(source)
    spec, absent = follow_known(spec, table, known, with_texts=False)
    corpus = corpus_from_table(table, Path(source).expanduser(), replace(spec, id=spec.id or "id"), with_texts=False)
    return replace(corpus, notes=(*absent, *corpus.notes))


def read_column(source: str, name: str, spec: SourceSpec, known: SourceSpec | None = None) -> dict[str, str | None]:
    """Read one column of a table by the documents' ids: each cell as stripped text, or None if it is blank.

    Args:
        source: A table, or a folder of tables that are named for splits.
        name: The column to read.
        spec: How the source is read; only its column of ids is used besides `name`.
        known: How the documents themselves were read, for what `spec` leaves open.

    Raises the errors of `read_corpus`.
    """
    known = known or spec
    spec = replace(spec.completed_by(known), label="", split="", group="")
    table = open_table(source, spec) or read_table(source)
    check_columns(table, [name])
    spec, _ = follow_known(spec, table, known, with_texts=False)
    columns, _ = resolve_columns(spec, table, with_texts=False, used=[name])
    ids = document_ids(table, columns.id)
    return {
        document: cell_text(cell, row, table.location)
        for row, (document, cell) in enumerate(zip(ids, table.cells(name), strict=True))
    }


def _note_unused_columns(corpus: Corpus, spec: SourceSpec, source_type: str) -> Corpus:
    if not any(spec.to_json().values()):
        return corpus
    note = f"columns were named, but a {source_type} has none and is read as it is"
    return replace(corpus, notes=(note, *corpus.notes))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a parent folder is not accessible, or the name is too long to be one
        return False


def _suggest_source(path: Path) -> str:
    """Suggest the file with the closest name in the same folder, else the benchmarks."""
    try:
        names = [
            entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix.lower() in TABLE_READERS
        ]
    except OSError:
        names = []
    close = get_close_matches(path.name, [*names, *BENCHMARKS], n=1)
    if close:
        return suggest_name(path.name, close)
    return f" Name a file, a folder or a benchmark ({', '.join(BENCHMARKS)})."
