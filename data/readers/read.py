"""The entry points of the readers: each chooses the module for what the user named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from data.benchmarks import BENCHMARKS, read_benchmark
from data.documents import Corpus
from data.errors import CallError, ColumnMissing
from data.labels import cell_text
from data.readers.arrow import is_dataset_folder, read_dataset_folder
from data.readers.column_roles import check_columns, resolve_columns
from data.readers.corpus_from_table import KindOf, corpus_from_table, document_ids, follow_known
from data.readers.files import report_unreadable, safe_file_name
from data.readers.folder import list_files, read_folder
from data.readers.inputs import COMPRESSED, STDIN
from data.readers.joined_tables import join_files, join_tables
from data.readers.labels_in_taxonomy import attach_taxonomy
from data.readers.source_files import list_source_files, name_corpus
from data.readers.split_files import find_split_files, read_split_files
from data.readers.tables import TABLE_READERS, exists, read_table
from data.readers.taxonomy_file import read_taxonomy
from data.source_spec import SourceSpec
from data.splits import Split
from data.table import Table

_ENDINGS = frozenset((".zip", *TABLE_READERS, *(a + b for a in TABLE_READERS for b in COMPRESSED)))


def read_corpus(source: str, spec: SourceSpec | None = None, known: SourceSpec | None = None) -> Corpus:
    """Read a corpus from a table or several, a folder with one folder per class, or a benchmark.

    Documents keep the order of the source. The notes report what was guessed and what is missing. Each error names the
    file, and the line or row if there is one.

    Args:
        source: A table as `read_table` takes it, a pattern such as `data/*.csv`, a folder of tables that are named
            for splits, a dataset that `save_to_disk` of Hugging Face's datasets wrote, a folder of texts, or the name
            of a benchmark. With `spec.files`, these are tables of the corpus, too.
        spec: How it is read; a role that is None is guessed by the column's name.
        known: How another source of the same kind was read, for what `spec` leaves open. Columns of it that the source
            lacks are guessed, with a note.

    Raises:
        FileMissing: Nothing has this name.
        ColumnMissing: The table lacks a named column, or its text column cannot be determined.
        CallError: The file cannot be read, or its format is unknown.
        BadData: The content cannot be used.
        ExtraMissing: The library that reads the format is missing.

    Also raises the errors of `read_taxonomy` and `attach_taxonomy`, if `spec` names the file of a taxonomy.
    """
    spec = spec or SourceSpec()
    if not spec.taxonomy:
        return _read_corpus(source, spec, known)
    file = read_taxonomy(spec.taxonomy)  # first: the source may take minutes
    corpus = attach_taxonomy(_read_corpus(source, spec.without_taxonomy(), known), file)
    return replace(corpus, spec=replace(corpus.spec, taxonomy=spec.taxonomy))


def _read_corpus(source: str, spec: SourceSpec, known: SourceSpec | None) -> Corpus:
    path = Path(source).expanduser()
    if source in BENCHMARKS and not spec.files:
        _refuse_split_files(source, spec, "benchmark")
        return _note_unused_columns(read_benchmark(source), spec, "benchmark")
    table = open_table(source, spec.completed_by(known) if known else spec)
    if table is None:
        corpus = read_folder(path, source, _list_paths(path, source), spec.encoding)
        return _note_unused_columns(corpus, replace(spec, encoding=None), "folder")
    name = _corpus_path(source)
    corpus = _corpus_from_known_table(table, name, spec, known) if known else corpus_from_table(table, name, spec)
    if files := list_source_files(source, spec.files or ()):
        return replace(corpus, name=name_corpus(files))
    return replace(corpus, name=safe_file_name(path.resolve().name)) if path.is_dir() else corpus


def _corpus_from_known_table(
    table: Table,
    path: Path,
    requested: SourceSpec,
    known: SourceSpec,
    *,
    with_texts: bool = True,
    known_kind: KindOf = lambda _: None,
) -> Corpus:
    spec, absent = follow_known(requested.completed_by(known), table, known, with_texts=with_texts)
    if not with_texts and spec.id is None:
        spec = replace(spec, id="id")
    try:
        corpus = corpus_from_table(table, path, spec, with_texts=with_texts, known_kind=known_kind)
    except ColumnMissing as error:
        raise ColumnMissing(" ".join([*absent, str(error)])) from None
    return replace(corpus, notes=(*absent, *corpus.notes))


def open_table(source: str, spec: SourceSpec) -> Table | None:
    """Read one or several files, a dataset on disk, or the files of splits as one table; None for a folder of texts.

    The files of splits are those of a folder whose tables are named for splits, or `source`, `spec.validation_file` and
    `spec.test_file`.

    Raises:
        CallError: Files of splits go with a folder, or a column has the splits; and what `read_table` raises.
    """
    path = Path(source).expanduser()
    if exists(path) and path.is_dir() and not spec.files:
        _refuse_split_files(source, spec, "folder")
        table = _read_dataset_or_split_files(path, source, spec)
    elif spec.split_files:
        sources = [(source, spec.files or ()), *((file, ()) for _, file in spec.split_files)]
        splits = [Split.TRAIN, *(split for split, _ in spec.split_files)]
        table = join_tables(source, splits, (_read_files(*files, spec) for files in sources))
    else:
        return _read_files(source, spec.files or (), spec)
    if table is not None and table.splits is not None and spec.split:
        raise CallError(f"--split {spec.split} names a column, but files name the splits. Leave it out.")
    return table


def _read_files(source: str, others: Sequence[str], spec: SourceSpec) -> Table:
    """The table of a file, or of the files that several names and patterns stand for."""
    files = list_source_files(source, others) or [source]
    if len(files) == 1:
        return read_table(files[0], spec)
    table = join_files(source, (read_table(file, spec) for file in files))
    note = f"one corpus is read from {len(files):,} files in the order of their names, {files[0]} to {files[-1]}"
    return replace(table, notes=(note, *table.notes))


def _read_dataset_or_split_files(path: Path, source: str, spec: SourceSpec) -> Table | None:
    if is_dataset_folder(path):
        return read_dataset_folder(path, source)
    paths = _list_paths(path, source)
    files = find_split_files(paths, source, _ENDINGS)
    return read_split_files(source, files, len(paths), lambda file: read_table(file, spec)) if files else None


def _corpus_path(source: str) -> Path:
    """A path whose stem names the corpus: without the ending of a compressed table, and "stdin" for "-"."""
    path = Path(source).expanduser()
    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return Path("stdin") if source == STDIN else inner if inner.suffix.lower() in TABLE_READERS else path


def _refuse_split_files(source: str, spec: SourceSpec, kind: str) -> None:
    if spec.split_files:
        raise CallError(f"--test-file and --validation-file need a file of training documents; {source} is a {kind}.")


def _list_paths(folder: Path, source: str) -> list[PurePath]:
    with report_unreadable(source):
        return [file.relative_to(folder) for file in list_files(folder)]


def read_labels_by_id(source: str, spec: SourceSpec, known: SourceSpec, known_kind: KindOf = lambda _: None) -> Corpus:
    """Read labels, splits and groups of documents that are known by their ids; texts are not read, but empty.

    Args:
        source: A table, or a folder of tables that are named for splits.
        spec: How it is read; `spec.text` is ignored.
        known: How the documents themselves were read, for what `spec` leaves open; if that is the column of ids in
            both, it is "id". A corpus that was read without labels gets them nevertheless.
        known_kind: From the ids that the source has to the kind of the labels that theirs join (`parse_labels`); None
            reads them as a new source.

    Raises the errors of `read_corpus`.
    """
    spec, known = spec.completed_by(known), replace(known, label=known.label or None)
    table = open_table(source, spec) or read_table(source)
    path = _corpus_path(source)
    return _corpus_from_known_table(table, path, spec, known, with_texts=False, known_kind=known_kind)


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
