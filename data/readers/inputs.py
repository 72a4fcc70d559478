"""From what a user named to a file as its reader sees it: plain, compressed by gzip, zstd or ZIP, or standard input."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

from data.errors import BadData, ExtraMissing
from data.readers.encodings import HEAD_BYTES, detect_encoding
from data.readers.files import InputFile, open_observed, report_unreadable
from data.text_format import join_names

STDIN = "-"
MEMORY_PREFIX = "memory:"  # of the source of a corpus that was in memory, before its name
_STDIN_NAME = "standard input"
COMPRESSED = (".gz", ".zst", ".zip")

Opener = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


def find_input(source: str, encoding: str | None = None) -> InputFile:
    """Find the file that a user named; "-" is standard input, which is read at once.

    Raises:
        BadData: A ZIP archive is damaged or does not hold one file.
        CallError: The file cannot be read.
        ExtraMissing: zstd is missing.
    """
    path = Path(source).expanduser()
    if source == STDIN:
        return _read_stdin(encoding)
    if path.suffix.lower() == ".zip":
        return _zip_member(path, source)
    if path.suffix.lower() not in COMPRESSED:
        return InputFile.plain(path, source)
    opener, errors = (_open_gzip, ()) if path.suffix.lower() == ".gz" else _zstd()
    suffix = PurePath(path.stem).suffix.lower()
    return InputFile(source, suffix, lambda: _decompress(path, source, opener, errors))


def _read_stdin(encoding: str | None) -> InputFile:
    """Standard input, whose format is guessed from its first character: that of JSON, or else of a delimited table."""
    with report_unreadable(_STDIN_NAME):
        content = sys.stdin.buffer.read()
    head = content[:HEAD_BYTES]
    found = detect_encoding(head, _STDIN_NAME, encoding)
    first = head[found.mark_bytes :].decode(found.codec, "replace").lstrip()[:1]
    return InputFile(_STDIN_NAME, ".json" if first in ("[", "{") else ".csv", lambda: BytesIO(content))


def _zip_member(path: Path, source: str) -> InputFile:
    """The only file of an archive, without the folders and hidden files that systems add."""
    with _decompress(path, source, _as_it_is) as stream:
        archive = ZipFile(stream)
        members = [member for member in archive.infolist() if _is_user_file(member)]
    if len(members) != 1:
        names = join_names([member.filename for member in members]) or "no file"
        raise BadData(f"{source} holds {names}. Only an archive of one file is read: unpack it.")
    (member,) = members
    if member.flag_bits & 1:
        raise BadData(f"{source} is encrypted. Unpack it.")

    def opener(stream: BinaryIO) -> AbstractContextManager[BinaryIO]:
        return cast(AbstractContextManager[BinaryIO], ZipFile(stream).open(member))

    suffix = PurePath(member.filename).suffix.lower()
    return InputFile(source, suffix, lambda: _decompress(path, source, opener))


def _is_user_file(member: ZipInfo) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in PurePath(member.filename).parts)
    return bool(member.filename) and not (member.filename.endswith("/") or hidden)


@contextmanager
def _as_it_is(stream: BinaryIO) -> Iterator[BinaryIO]:
    yield stream


def _open_gzip(stream: BinaryIO) -> AbstractContextManager[BinaryIO]:
    return cast(AbstractContextManager[BinaryIO], gzip.GzipFile(fileobj=stream))


def _zstd() -> tuple[Opener, tuple[type[Exception], ...]]:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise ExtraMissing('.zst files are read by backports.zstd: pip install "embedonce[zstd]".') from error
    return lambda stream: cast(AbstractContextManager[BinaryIO], zstd.ZstdFile(stream)), (zstd.ZstdError,)


@contextmanager
def _decompress(
    path: Path, source: str, opener: Opener, errors: tuple[type[Exception], ...] = ()
) -> Iterator[BinaryIO]:
    errors = (gzip.BadGzipFile, BadZipFile, zlib.error, EOFError, NotImplementedError, *errors)
    with report_unreadable(source), open_observed(path) as file:
        try:
            with opener(file) as stream:
                yield stream
        except errors as error:
            raise BadData(f"{source} is damaged, or not what its name says: {error}.") from error
