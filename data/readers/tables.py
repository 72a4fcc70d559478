"""One file as a table: the module that reads its format, and errors for what is none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from data.benchmarks import BENCHMARKS
from data.errors import CallError, FileMissing, suggest_name
from data.readers.arrow import read_arrow, read_parquet
from data.readers.delimited import read_delimited
from data.readers.excel import read_excel
from data.readers.fasttext import is_fasttext, read_fasttext
from data.readers.files import InputFile
from data.readers.inputs import COMPRESSED, STDIN, find_input
from data.readers.jsonl import read_json
from data.source_spec import FILE_FORMAT, SourceSpec
from data.table import Table
from data.text_format import join_words

TABLE_READERS: Mapping[str, Callable[[InputFile, SourceSpec], Table]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".parquet": lambda file, _: read_parquet(file),
    ".arrow": lambda file, _: read_arrow(file),
    ".feather": lambda file, _: read_arrow(file),
    ".xlsx": read_excel,
}


def read_table(source: str, spec: SourceSpec | None = None) -> Table:
    """Read a file as a table whose columns have no roles yet.

    Args:
        source: A .csv, .tsv, .jsonl, .ndjson, .json, .parquet, .arrow, .feather or .xlsx file, perhaps compressed
            (.gz, .zst, or .zip with one file in it); or "-" for standard input.
        spec: How it is read; None guesses what can be guessed.

    Raises FileMissing, CallError, BadData and ExtraMissing as `read_corpus` does.
    """
    spec, path = spec or SourceSpec(), Path(source).expanduser()
    if source != STDIN and not exists(path):
        raise FileMissing(f"{source} does not exist.{_suggest_source(path)}")
    if source != STDIN and path.is_fifo():
        raise CallError(f"{source} is a pipe, which can be read only once. Pass it as standard input: - < {source}")
    file = find_input(source, spec.encoding)
    if file.suffix not in TABLE_READERS and is_fasttext(file):
        return read_fasttext(file, spec)
    if file.suffix not in TABLE_READERS:
        raise CallError(
            f"{source} has an unknown format. Name a {', '.join(TABLE_READERS)} file, which may be compressed "
            f"({', '.join(COMPRESSED)}), a text file whose lines begin with __label__, or a folder with one folder per "
            "class."
        )
    table = TABLE_READERS[file.suffix](file, spec)
    return replace(table, notes=(*_unused_notes(file, spec), *table.notes))


def _unused_notes(file: InputFile, spec: SourceSpec) -> Iterator[str]:
    """A note if the format has no use for what `spec` says about the notation of delimited text."""
    readers: Mapping[object, tuple[str, ...]]
    readers = {read_delimited: FILE_FORMAT, read_json: ("encoding",), read_excel: ("header",)}
    used = readers.get(TABLE_READERS[file.suffix], ())
    unused = [name for name in FILE_FORMAT if name not in used and getattr(spec, name)]
    if unused:
        options = join_words([f"--{name}" for name in unused])
        yield f"{options} {'is' if len(unused) == 1 else 'are'} not used: the file is {file.suffix}"


def exists(path: Path) -> bool:
    """Whether a path exists, as far as that can be known."""
    try:
        return path.exists()
    except OSError:  # a parent folder is not accessible, or the name is too long to be one
        return False


def _suggest_source(path: Path) -> str:
    """Suggest the file with the closest name in the same folder, else the benchmarks."""
    try:
        endings = (*TABLE_READERS, *COMPRESSED)
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix.lower() in endings]
    except OSError:
        names = []
    close = get_close_matches(path.name, [*names, *BENCHMARKS], n=1)
    if close:
        return suggest_name(path.name, close)
    return f" Name a file, a folder or a benchmark ({', '.join(BENCHMARKS)})."
