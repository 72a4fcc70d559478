"""Opening what a user named, with each way to fail said in a sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data.errors import BadData, CallError


@contextmanager
def open_text(path: Path, source: str, newline: str) -> Iterator[TextIO]:
    """The text of a UTF-8 file, with or without a byte order mark; lines end as `newline` says, and stay untouched.

    Raises BadData naming the line that is not UTF-8, and CallError for a file that cannot be read.
    """
    with report_unreadable(source):
        try:
            with path.open(encoding="utf-8-sig", newline=newline) as file:
                yield file
        except UnicodeDecodeError as error:
            raise BadData(_not_utf8(path, source)) from error


@contextmanager
def report_unreadable(source: str) -> Iterator[None]:
    """Within it, a system's refusal to read becomes a CallError."""
    try:
        yield
    except OSError as error:
        raise CallError(f"{source} cannot be read: {error.strerror or error}.") from error


def _not_utf8(path: Path, source: str) -> str:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"{source} line {line} is not UTF-8 (byte 0x{content[error.start]:02x}). Save the file as UTF-8."
    return f"{source} changed while it was read. Try again."


def safe_file_name(words: str) -> str:
    """`words` with what a file name cannot hold everywhere turned to '-'; at most 80 characters, never empty."""
    return re.sub(r"[^\w.-]+", "-", words)[:80].strip("-.") or "corpus"
