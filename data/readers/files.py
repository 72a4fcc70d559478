"""Opening files that a user named, with each failure explained in a sentence; and names for corpora."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data.errors import BadData, CallError


@contextmanager
def open_text(path: Path, source: str, newline: str) -> Iterator[TextIO]:
    """Open a UTF-8 file, with or without a byte order mark; line ends are kept.

    Args:
        path: The file.
        source: Its name in messages.
        newline: Where lines end, as `open` takes it.

    Raises:
        BadData: A line is not UTF-8.
        CallError: The file cannot be read.
    """
    with report_unreadable(source):
        try:
            with path.open(encoding="utf-8-sig", newline=newline) as file:
                yield file
        except UnicodeDecodeError as error:
            raise BadData(_explain_not_utf8(path, source)) from error


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


def _explain_not_utf8(path: Path, source: str) -> str:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"{source} line {line} is not UTF-8 (byte 0x{content[error.start]:02x}). Save the file as UTF-8."
    return f"{source} changed while it was read. Try again."
