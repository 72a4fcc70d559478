"""Opening what a user named, decompressed and decoded, with each failure explained in a sentence; names for corpora."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from data.errors import BadData, CallError
from data.readers.encodings import HEAD_BYTES, Encoding, contradiction_notes, detect_encoding, explain_undecodable

Observer = Callable[[Path, int], None]
_BYTES_BETWEEN_REPORTS = 2**20
_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@dataclass(frozen=True)
class InputFile:
    """A file as its reader sees it, whether it is plain, compressed or standard input.

    source: its name in messages.
    suffix: its format, in lower case, such as ".csv".
    open: opens its content, decompressed, from the start.
    path: a plain file, which a reader may map into memory; None if there is none.
    """

    source: str
    suffix: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    path: Path | None = None

    @classmethod
    def plain(cls, path: Path, source: str) -> "InputFile":
        """A file that is not compressed."""
        return cls(source, path.suffix.lower(), lambda: open_observed(path), path)


@contextmanager
def observe_reading(observer: Observer) -> Iterator[None]:
    """Within the block, call `observer` with each file that is read and the bytes of it that have been read so far."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def report_position(path: Path, position: int) -> None:
    """Report the bytes of a file that have been read, if `observe_reading` waits for them."""
    if (observer := _observer.get()) is not None:
        observer(path, position)


def open_observed(path: Path) -> BinaryIO:
    """Open a file, and report how far it is read."""
    return path.open("rb") if _observer.get() is None else BufferedReader(_ObservedFile(path))


class _ObservedFile(FileIO):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path, self._position, self._reported = path, 0, 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._position += count
        if self._position - self._reported >= _BYTES_BETWEEN_REPORTS:
            self._reported = self._position
            report_position(self._path, self._position)
        return count


@contextmanager
def open_text(file: InputFile, newline: str, encoding: str | None = None) -> Iterator[TextIO]:
    """Open a file as text, without its byte order mark; line ends are kept.

    Args:
        file: The file.
        newline: Where lines end, as `open` takes it.
        encoding: Its encoding; None for UTF-8, or UTF-16 if the first bytes show it.

    Raises:
        BadData: A line is not in this encoding.
        CallError: The file cannot be read, or the encoding is unknown.
    """
    resolved = find_encoding(file, encoding)
    with report_unreadable(file.source), file.open() as stream:
        stream.read(resolved.mark_bytes)
        text = TextIOWrapper(stream, encoding=resolved.codec, newline=newline)
        try:
            yield text
        except UnicodeDecodeError as error:
            raise BadData(explain_undecodable(file.open, file.source, resolved.codec)) from error
        finally:
            text.detach()


def find_encoding(file: InputFile, encoding: str | None = None) -> Encoding:
    """Determine how a file is decoded. Raises as `open_text` does."""
    with report_unreadable(file.source), file.open() as stream:
        return detect_encoding(stream.read(HEAD_BYTES), file.source, encoding)


def encoding_notes(file: InputFile, encoding: str | None) -> tuple[str, ...]:
    """What a user should know about how a file was decoded: that UTF-16 was guessed, or that UTF-8 was overruled."""
    resolved = find_encoding(file, encoding)
    with report_unreadable(file.source), file.open() as stream:
        return (*resolved.notes, *contradiction_notes(stream, resolved.codec))


@contextmanager
def report_unreadable(source: str) -> Iterator[None]:
    """Raise CallError, naming `source`, in place of an OSError within the block."""
    try:
        yield
    except OSError as error:
        raise CallError(f"{source} cannot be read: {error.strerror or error}.") from error


def safe_file_name(words: str) -> str:
    """Replace what not every file system allows in a name by '-'; at most 80 characters, never empty."""
    return re.sub(r"[^\w.-]+", "-", words)[:80].strip("-.") or "corpus"
