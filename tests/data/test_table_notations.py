"""A table is the same corpus in every notation: the rows are random, the writers are those of other libraries."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Document
from data.errors import EmbedOnceError
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import WRITERS, write_arrow, write_excel

Quoting = Literal[0, 1]
Cells = Sequence[tuple[str, str, str]]
COLUMNS = ("text", "label", "id")
QUOTED = SourceSpec(quoting="standard")
NO_HEADER = replace(QUOTED, header="none", text=("1",), label="2", id="3")


def delimited(
    rows: Cells, delimiter: str = ",", quoting: Quoting = csv.QUOTE_MINIMAL, header: Sequence[str] = COLUMNS
) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([header, *rows] if header else rows)
    return file.getvalue()


def json_lines(rows: Cells, *, ascii: bool = True) -> str:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=ascii) + "\n" for row in rows)


def unquoted(rows: Cells, delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\n" for row in [COLUMNS, *rows])


def spaced(rows: Cells) -> str:
    cells = ([cell.replace('"', '""') for cell in row] for row in [COLUMNS, *rows])
    return "".join(", ".join(f'"{cell}"' for cell in row) + "\r\n" for row in cells)


def zipped(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/letters.csv", content)
        archive.writestr("__MACOSX/folder/._letters.csv", b"\0")


def zstandard(content: bytes) -> bytes:
    zstd = pytest.importorskip("backports.zstd")
    compressed: bytes = zstd.compress(content)
    return compressed


def excel(path: Path, rows: Cells) -> None:
    write_excel(path, [COLUMNS, *rows])


def dataset(path: Path, rows: Cells) -> None:
    path.mkdir()
    (path / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    write_arrow(path / "data-00000-of-00001.arrow", [dict(zip(COLUMNS, row, strict=True)) for row in rows], stream=True)


def rows_of_dicts(ending: str) -> Callable[[Path, Cells], None]:
    return lambda path, rows: WRITERS[ending](path, [dict(zip(COLUMNS, row, strict=True)) for row in rows])


def text_file(content: Callable[[Cells], str], encoding: str = "utf-8") -> Callable[[Path, Cells], object]:
    return lambda path, rows: path.write_bytes(content(rows).encode(encoding))


# the name of the file, how it is written, and what has to be said about it
NOTATIONS: Mapping[str, tuple[str, Callable[[Path, Cells], object], SourceSpec]] = {
    "comma": ("a.csv", text_file(delimited), QUOTED),
    "semicolon": ("a.csv", text_file(lambda rows: delimited(rows, ";")), QUOTED),
    "vertical bar": ("a.csv", text_file(lambda rows: delimited(rows, "|")), QUOTED),
    "another sign": ("a.csv", text_file(lambda rows: delimited(rows, "~")), replace(QUOTED, delimiter="~")),
    "all quoted": ("a.csv", text_file(lambda rows: delimited(rows, quoting=csv.QUOTE_ALL)), QUOTED),
    "spaces after commas": ("a.csv", text_file(spaced), QUOTED),
    "sep line": ("a.csv", text_file(lambda rows: "sep=;\r\n" + delimited(rows, ";")), QUOTED),
    "quoted tabs": ("a.tsv", text_file(lambda rows: delimited(rows, "\t")), QUOTED),
    "unquoted tabs": ("a.tsv", text_file(lambda rows: unquoted(rows, "\t")), SourceSpec(quoting="none")),
    "unquoted bars": ("a.csv", text_file(lambda rows: unquoted(rows, "|")), SourceSpec(quoting="none")),
    "no header": ("a.csv", text_file(lambda rows: delimited(rows, header=()), "utf-8-sig"), NO_HEADER),
    "UTF-16": ("a.csv", text_file(delimited, "utf-16"), QUOTED),
    "UTF-16-LE": ("a.csv", text_file(delimited, "utf-16-le"), QUOTED),
    "UTF-16-BE": ("a.tsv", text_file(lambda rows: delimited(rows, "\t"), "utf-16-be"), QUOTED),
    "UTF-32": ("a.jsonl", text_file(lambda rows: json_lines(rows, ascii=False), "utf-32"), SourceSpec()),
    "GB 18030": ("a.csv", text_file(delimited, "gb18030"), replace(QUOTED, encoding="gb18030")),
    "JSON Lines": ("a.jsonl", text_file(json_lines), SourceSpec()),
    "UTF-16 of JSON": ("a.ndjson", text_file(lambda rows: json_lines(rows, ascii=False), "utf-16-le"), SourceSpec()),
    "JSON array": ("a.json", rows_of_dicts("json"), SourceSpec()),
    "Parquet": ("a.parquet", rows_of_dicts("parquet"), SourceSpec()),
    "Arrow": ("a.arrow", rows_of_dicts("arrow"), SourceSpec()),
    "dataset": ("a", dataset, SourceSpec()),
    "Excel": ("a.xlsx", excel, SourceSpec()),
    "gzip": ("a.csv.gz", lambda path, rows: path.write_bytes(gzip.compress(delimited(rows).encode())), QUOTED),
    "zstd": ("a.jsonl.zst", lambda path, rows: path.write_bytes(zstandard(json_lines(rows).encode())), SourceSpec()),
    "ZIP": ("a.zip", lambda path, rows: zipped(path, delimited(rows).encode()), QUOTED),
}  # fmt: skip

SIGNS = st.sampled_from(
    [*",;\t|~\"' \n\r\0a", "\r\n", "\n\n", "\u2028", "\ufeff", "é", "文", "👩\u200d🔬", "_x000D_", "sep="]
)
TEXT = st.lists(SIGNS, max_size=8).map("".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

# what a notation cannot express is taken out of the texts
CLEAN: Mapping[str, Callable[[str], str]] = {
    "unquoted tabs": lambda text: text.translate(dict.fromkeys(map(ord, "\r\n\t"))),
    "unquoted bars": lambda text: text.translate(dict.fromkeys(map(ord, "\r\n|"))),
    # XML has no other control characters, Excel reads _x000D_ as one and = as a formula
    "Excel": lambda text: "".join([".", *(sign for sign in text if sign.isprintable() or sign == "\n"), "."]).replace(
        "_x", ""
    ),
}
LABEL = st.sampled_from(["x", "y z", "café", '"q"', "a,b"])
ROWS = st.lists(st.tuples(TEXT, LABEL), min_size=1, max_size=4)


@pytest.mark.parametrize("notation", NOTATIONS)
@settings(max_examples=15)
@given(rows=ROWS)
def test_a_table_is_the_same_corpus_in_every_notation(notation: str, rows: list[tuple[str, str]]) -> None:
    name, write, spec = NOTATIONS[notation]
    clean = CLEAN.get(notation, str)
    numbered = [(clean(text), label, f"n{number}") for number, (text, label) in enumerate(rows)]
    with TemporaryDirectory() as folder:
        write(Path(folder) / name, numbered)
        corpus = read_corpus(str(Path(folder) / name), replace(spec, path_separator=""))
    assert list(corpus.documents) == [Document(row, text, (label,)) for text, label, row in numbered]
    assert corpus.name == "a"


CALM = st.lists(st.sampled_from(["a", "b c", " ", ", ", "; ", "é", '"', "\n", "\r\n"]), max_size=6).map("".join)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@settings(max_examples=15)
@given(rows=st.lists(st.tuples(CALM, LABEL), min_size=1, max_size=4))
def test_delimiter_and_quoting_of_sentences_are_guessed(
    delimiter: str, quoting: Quoting, rows: list[tuple[str, str]]
) -> None:
    numbered = [(text, label, f"n{number}") for number, (text, label) in enumerate(rows)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(delimited(numbered, delimiter, quoting).encode())
        corpus = read_corpus(str(path), SourceSpec(path_separator=""))
    assert list(corpus.documents) == [Document(row, text, (label,)) for text, label, row in numbered]


@settings(max_examples=60)
@given(
    notation=st.sampled_from(list(NOTATIONS)),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=2)), min_size=1, max_size=8),
    kept=st.sampled_from([1.0, 1.0, 0.9, 0.5]),
)
def test_a_damaged_table_is_read_or_refused_in_a_sentence(
    notation: str, damage: list[tuple[int, bytes]], kept: float
) -> None:
    name, write, spec = NOTATIONS[notation]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path, [(f"text {row} é", "xy"[row % 2], f"n{row}") for row in range(4)])
        file = next(path.glob("*.arrow")) if path.is_dir() else path
        content = bytearray(file.read_bytes())
        for place, new in damage:
            place %= len(content)
            content[place : place + 1] = new
        file.write_bytes(content[: round(len(content) * kept)])
        try:
            read_corpus(str(path), spec)
        except EmbedOnceError as error:
            assert str(error).endswith((".", "?"))
