"""The files of a source that names several, one by one or by a pattern such as `data/*.parquet`."""

import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import glob, has_magic
from itertools import accumulate, chain
from pathlib import Path, PurePath

from data.benchmarks import BENCHMARKS
from data.errors import CallError, FileMissing
from data.readers.encodings import HEAD_BYTES
from data.readers.files import observe_reading, safe_file_name
from data.readers.folder import list_files
from data.readers.inputs import STDIN, find_input
from data.readers.joined_tables import table_stem
from data.source_spec import SourceSpec
from data.text_format import plural


def list_source_files(source: str, others: Sequence[str] = ()) -> list[str]:
    """List the files that a source and further ones name, each once and sorted by name, as a shell sorts a pattern.

    Args:
        source: A pattern, or the name of a file.
        others: More of them.

    Returns:
        The files; none if `source` is the only name and no pattern, so that it may be something else than a file.

    Raises:
        FileMissing: A pattern matches no file.
        CallError: Something else than a file is among several names.
    """
    names = [source, *others]
    if not others and not _is_pattern(source):
        return []
    return sorted({os.path.normpath(file) for name in names for file in _expand(name)})


def file_sizes(source: str, spec: SourceSpec) -> dict[Path, int]:
    """The bytes of each file of a source, also of those in a folder, as they are on the disk; {} if it has none."""
    others = (*(spec.files or ()), *(file for _, file in spec.split_files))
    try:
        paths = [Path(file).expanduser() for file in list_source_files(source, others) or [source]]
        files = chain.from_iterable(list_files(path) if path.is_dir() else [path] for path in paths)
        return {file: file.stat().st_size for file in files}
    except (OSError, CallError):
        return {}


def is_read_at_once(file: Path) -> bool:
    """Whether a file is in memory while it is read, because its format cannot be read piece by piece."""
    content = find_input(str(file))
    if content.suffix not in (".json", ".jsonl", ".ndjson"):
        is_compressed = content.path is None
        return content.suffix == ".xlsx" or (is_compressed and content.suffix in (".parquet", ".arrow", ".feather"))
    with content.open() as stream:
        return stream.read(HEAD_BYTES).removeprefix(BOM_UTF8).lstrip().startswith(b"[")


@contextmanager
def report_reading(sizes: Mapping[Path, int], progress: Callable[[float, float], None]) -> Iterator[None]:
    """Within the block, call `progress` with the bytes that have been read and all bytes of some files.

    A source may be read more than once: each pass begins at 0 again.
    """
    starts, total = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False)), sum(sizes.values())

    def report(file: Path, position: int) -> None:
        if file in starts:
            progress(starts[file] + position, total)

    with observe_reading(report):
        yield


def name_corpus(files: Sequence[str]) -> str:
    """Name a corpus for what the names of its files have in common, or else for their folder."""
    stems = [table_stem(PurePath(file).name) for file in files]
    prefix = os.path.commonprefix(stems)  # noqa: RUF071 - of names, not of paths
    if any(stem[len(prefix) : len(prefix) + 1].isalpha() for stem in stems):  # of "tickets_jan" and "tickets_june"
        prefix = re.sub(r"[^\W\d_]+$", "", prefix)
    folder = os.path.commonpath([Path(file).absolute().parent for file in files])
    return safe_file_name(prefix.rstrip("0123456789-_. ") or PurePath(folder).name)


def _is_pattern(name: str) -> bool:
    return has_magic(name) and not os.path.lexists(Path(name).expanduser())


def _expand(name: str) -> Iterator[str]:
    path = Path(name).expanduser()
    if not _is_pattern(name):
        if name == STDIN or path.is_dir() or (name in BENCHMARKS and not path.exists()):
            kind = "standard input" if name == STDIN else "a folder" if path.is_dir() else "a benchmark"
            raise CallError(f"{name} is {kind}, and only files are read together. Name it alone.")
        yield name
        return
    matches = glob(str(path), recursive=True)  # noqa: PTH207 - a pattern may be absolute
    files = [match for match in matches if not Path(match).is_dir()]
    if not files:
        folders = f", only {plural(len(matches), 'folder')}. Name one folder, or the files in them" if matches else ""
        raise FileMissing(f"{name} matches no file{folders or '. Check the folder and the ending'}.")
    yield from files
