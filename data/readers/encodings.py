"""Encodings of text: UTF-8 and UTF-16 are recognized, all others are only suggested, by charset-normalizer."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from io import BytesIO, TextIOWrapper
from typing import BinaryIO, NamedTuple

from data.errors import BadData, CallError

HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 16
_SAMPLE_BYTES = 1 << 15

_MARKS = {  # the first two marks of UTF-32 begin with those of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_BINARY_FORMATS = {
    b"\x1f\x8b": "is compressed by gzip. Let its name end with .gz",
    b"(\xb5/\xfd": "is compressed by zstd. Let its name end with .zst",
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook. Let its name end with .zip or .xlsx",
    b"\xd0\xcf\x11\xe0": "is a workbook of an old Excel. Save it as .xlsx",
    b"PAR1": "is a Parquet file. Let its name end with .parquet",
    b"ARROW1": "is an Arrow file. Let its name end with .arrow",
    b"%PDF": "is a PDF file. Extract its text first",
}
# In these charset-normalizer recognizes a few words; in all that Python knows it finds rare ones for most samples.
_SUGGESTED = (
    *(f"cp{number}" for number in range(1250, 1257)),
    *("iso8859_2", "koi8_r", "mac_roman"),
    *("shift_jis", "euc_jp", "euc_kr", "gb18030", "big5"),
)


class Encoding(NamedTuple):
    """A codec, the length of the byte order mark before the text, and a note if the codec is a guess."""

    codec: str
    mark_bytes: int = 0
    notes: tuple[str, ...] = ()


def detect_encoding(head: bytes, source: str, requested: str | None = None) -> Encoding:
    """Determine the encoding of a file: the requested one, else that of its byte order mark, else UTF-16 or UTF-8.

    Args:
        head: The first bytes of the file.
        source: Its name in messages.
        requested: The encoding that the user named.

    Raises:
        BadData: The bytes are of a format that is not text.
        CallError: No encoding of text has the requested name.
    """
    mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
    marked = _MARKS.get(mark)
    if requested is not None:
        codec = _find_codec(requested)
        # "utf-16" means either byte order; the mark says which
        has_mark = marked is not None and marked.startswith(codec)
        return Encoding(marked, len(mark)) if marked and has_mark else Encoding(codec)
    if marked:
        return Encoding(marked, len(mark))
    # the first line of UTF-8 has no zero bytes; that of UTF-16 has one before or after each new line and delimiter
    line = head[: head.find(b"\n") + 2] if b"\n" in head else head
    if b"\0" not in line:
        return Encoding("utf-8")
    _check_is_text(head, source)
    utf16 = _utf16_of(line)
    if utf16 is None:
        return Encoding("utf-8")
    return Encoding(utf16, 0, (f"the text is read as UTF-16 (guessed; name it with --encoding {utf16})",))


def explain_undecodable(open_file: Callable[[], AbstractContextManager[BinaryIO]], source: str, codec: str) -> str:
    """Say which line of a file is not in an encoding, and which other encoding it may have.

    Args:
        open_file: Opens the file from its start.
        source: Its name in messages.
        codec: The encoding that failed.

    Raises BadData for a format that is not text.
    """
    with open_file() as stream:
        head = stream.read(HEAD_BYTES)
    _check_is_text(head, source)
    if b"\0" in head and codec == "utf-8":
        utf16 = _utf16_of(head)
        if utf16 is None:
            raise BadData(f"{source} is not a text file.")
        return f"{source} is not UTF-8. It may be UTF-16: try --encoding {utf16}, or save the file as UTF-8."
    with open_file() as stream:
        line, byte = _first_undecodable(stream, codec)
    if not line:
        return f"{source} changed while it was read. Try again."
    name = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}.get(codec, codec)
    problem = f"{source} line {line} is not {name} (byte 0x{byte:02x})."
    with open_file() as stream:
        return f"{problem} {_suggest_encoding(stream, codec)}"


def contradiction_notes(stream: BinaryIO, codec: str) -> Iterator[str]:
    """A note if a file that is read in another encoding is valid UTF-8, which is hardly ever by chance."""
    if codec.startswith("utf"):
        return
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
        is_ascii = is_ascii and chunk.isascii()
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return
    if not is_ascii:
        yield f"the file is valid UTF-8, but is read as {codec} because --encoding says so"


def _find_codec(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        TextIOWrapper(BytesIO(), encoding=name)  # refuses codecs that are not of text, such as base64
    except (LookupError, ValueError) as error:
        raise CallError(
            f"No encoding is called '{name}'. Usual names are utf-8, utf-16, latin-1, cp1252 (Windows-1252), "
            "cp1251, shift_jis and gb18030."
        ) from error
    return codec.name.removesuffix("-sig").removesuffix("_sig")


def _check_is_text(head: bytes, source: str) -> None:
    for start, explanation in _BINARY_FORMATS.items():
        if head.startswith(start):
            raise BadData(f"{source} {explanation}.")


def _utf16_of(sample: bytes) -> str | None:
    """The byte order of UTF-16, by where the zero bytes of ASCII characters are; None if a sample is not UTF-16."""
    after, before = sample[1::2].count(0), sample[::2].count(0)
    if max(after, before) < 2 * max(min(after, before), 1):
        return None
    codec = "utf-16-le" if after > before else "utf-16-be"
    text = sample[: len(sample) // 2 * 2].decode(codec, "ignore")
    printable = sum(letter.isprintable() or letter in "\t\r\n" for letter in text)
    return codec if 2 * printable > len(text) else None


def _first_undecodable(stream: BinaryIO, codec: str) -> tuple[int, int]:
    """The line and the first byte that cannot be decoded; zeros if all can."""
    decoder, line = codecs.getincrementaldecoder(codec)(), 1
    chunk = b"\0"
    while chunk:
        chunk = stream.read(_CHUNK_BYTES)
        try:
            line += decoder.decode(chunk, final=not chunk).count("\n")
        except UnicodeDecodeError as error:
            content = bytes(error.object)
            return line + content[: error.start].decode(codec, "ignore").count("\n"), content[error.start]
    return 0, 0


def _suggest_encoding(lines: Iterable[bytes], failed: str) -> str:
    sample = _sample_lines(lines)
    codec = _likely_codec(sample) if sample and not failed.startswith(("utf-16", "utf-32")) else None
    if codec is None or codec == failed:
        return "Save the file as UTF-8, or name its encoding with --encoding."
    text = sample.decode(codec)
    start = max(next((index for index, letter in enumerate(text) if not letter.isascii()), 0) - 15, 0)
    shown = " ".join(text[start : start + 30].split())
    return (
        f"It may be {_display_name(codec, sample)}, which reads it as '{shown}': if that is right, add "
        f"--encoding {codec}; or save the file as UTF-8."
    )


def _sample_lines(lines: Iterable[bytes]) -> bytes:
    """The lines that are not ASCII, up to a few kilobytes."""
    sample = b""
    for line in lines:
        if not line.isascii():
            sample += line
        if len(sample) > _SAMPLE_BYTES:
            break
    return sample


def _likely_codec(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = from_bytes(sample[:_SAMPLE_BYTES], cp_isolation=list(_SUGGESTED))
    likely = [codec for match in matches for codec in match.could_be_from_charset]
    # where several encodings suit a few words, that of Western Europe is by far the most frequent
    likely = ["cp1252"] * ("cp1252" in likely) + likely
    return next((codec for codec in likely if _decodes(sample, codec)), None)


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        sample.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _display_name(codec: str, sample: bytes) -> str:
    if codec != "cp1252":
        return f"Windows-{codec[2:]}" if codec.startswith("cp") else codec
    # they differ in the bytes 0x80 to 0x9f, which Latin-1 does not use for letters
    return "Windows-1252" if any(0x80 <= byte < 0xA0 for byte in sample) else "Latin-1 or Windows-1252"
