"""How a source is read: a value that is saved with a corpus, so that later commands read new files the same way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import PurePath
from typing import Any, Self

from data.splits import Split

ROLES = ("text", "template", "label", "levels", "id", "split", "group", "tabular")
FILES = ("files", "validation_file", "test_file", "taxonomy")
FILE_FORMAT = ("delimiter", "quoting", "header", "encoding")
_COMPRESSED = (".gz", ".zst", ".zip")


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """How a source is read; the defaults guess what they can.

    A role (text, label, id, split, group) is a column's name, None to guess it, "" for no column.

    text: the columns of the text, in this order, each a line of it; None to guess one.
    template: how the columns make the text, with names in braces, as in "{subject}\\n{body}"; it implies `text`.
    files: further files of the corpus, or patterns of their names, if the source is a file or a pattern.
    validation_file, test_file: tables of these splits, if the source is the table of the training split only.
    levels: the columns of the levels of a path, the top one first, in place of a label.
    taxonomy: the file of the taxonomy that the labels are nodes of (data/readers/taxonomy_file.py).
    tabular: further columns for heads, each with its kind or without: "price:number", "country".
    separator: what separates the labels in one cell.
    path_separator: what separates the levels of a label; None takes "/" if every label has one, and always in `levels`.
    delimiter: what separates the cells of a delimited file; None to guess it.
    quoting: "standard" if double quotes enclose cells, "none" if they are text; None to guess it.
    header: "none" if the first row is a document, so that columns are called 1, 2, ...; None or "first" if it is not.
    encoding: the encoding of a text file; None for UTF-8, or UTF-16 if its first bytes show it.
    label_names: names of labels that are numbers from 0, or lists with one 0 or 1 per label; None if they are no such.
    """

    text: tuple[str, ...] | None = None
    template: str | None = None
    label: str | None = None
    levels: tuple[str, ...] | None = None
    id: str | None = None
    split: str | None = None
    group: str | None = None
    files: tuple[str, ...] | None = None
    validation_file: str | None = None
    test_file: str | None = None
    taxonomy: str | None = None
    tabular: tuple[str, ...] | None = None
    separator: str | None = None
    path_separator: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    header: str | None = None
    encoding: str | None = None
    label_names: tuple[str, ...] | None = None

    @property
    def split_files(self) -> list[tuple[Split, str]]:
        """The files of the validation and test splits, as far as there are any."""
        files = [(Split.VALIDATION, self.validation_file), (Split.TEST, self.test_file)]
        return [(split, file) for split, file in files if file is not None]

    def for_file(self, source: str, original: str) -> Self:
        """What this says about another file than `original`, which it was made for.

        Nothing about further files and that of a taxonomy; and nothing about the file's format, unless both have the
        same extension, or none: standard input, and a folder of files.
        """
        is_same_format = source == "-" or _extension(original) in ("", _extension(source))
        names = FILES if is_same_format else (*FILES, *FILE_FORMAT)
        forgotten: dict[str, Any] = {field.name: None for field in fields(self) if field.name in names}
        return replace(self, **forgotten)

    def for_values(self, source: str, original: str) -> Self:
        """How values of the same documents are read from a file, which may be `original`, the file of the corpus.

        As `for_file`; and if documents are known by their row in `original`, another file must have a column of ids.
        """
        spec = self.for_file(source, original)
        return spec if source == original else replace(spec, id=spec.id or None)

    def without_taxonomy(self) -> Self:
        """How a source is read if a taxonomy has its labels: no separator is guessed in these."""
        return replace(self, taxonomy=None, path_separator=self.path_separator or "")

    def completed_by(self, known: "SourceSpec") -> Self:
        """The same with the values of `known` for what is left open, except for the columns, which a file may lack."""
        open_fields = [field.name for field in fields(self) if getattr(self, field.name) == field.default]
        return replace(self, **{name: getattr(known, name) for name in open_fields if name not in ROLES})

    def to_json(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as JSON has them."""
        default = asdict(SourceSpec())
        values = {name: value for name, value in asdict(self).items() if value != default[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises ValueError for another field, and for a value that is no text or list."""
        known = {field.name for field in fields(cls)}
        for name, value in content.items():
            items = value if isinstance(value, list) else [value]
            if name not in known or not all(isinstance(item, str) for item in items):
                raise ValueError(f"{name} = {value!r} does not describe a source")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**values)


def _extension(source: str) -> str:
    """The extension of a file without that of a compression, in lower case."""
    path = PurePath(source.lower())
    return PurePath(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix
