"""A document's text from several columns, by a template such as "{subject}\\n{body}"."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from data.errors import CallError
from data.source_spec import SourceSpec
from data.text_format import join_names

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|\n|[^{}\n]+|[{}]")


@dataclass(frozen=True)
class TextTemplate:
    """Lines of literal text and columns, in turns: "To {name}, hello" is ("To ", "name", ", hello")."""

    lines: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, spec: SourceSpec) -> Self:
        """The template of `spec`; without one, each of its text columns is a line.

        Raises CallError for a template without columns, with a single brace, or with other columns than `spec.text`.
        """
        if spec.template is None:
            return cls(tuple(("", name, "") for name in spec.text or ()))
        template = cls(tuple(_parse_lines(spec.template)))
        if not template.columns:
            raise CallError('The template names no column. Write names in braces, as in "{subject}\\n{body}".')
        _check_columns(template.columns, spec.text or template.columns)
        return template

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order of their first use."""
        return tuple(dict.fromkeys(name for line in self.lines for name in line[1::2]))

    def fill(self, cells: Mapping[str, str]) -> str:
        """Put cells, by column, in their places; a line whose columns are all blank is dropped.

        If all columns are blank, the text is empty: lines of literal text alone say nothing about a document.
        """
        filled = {name for name in self.columns if not cells[name].isspace() and cells[name]}
        kept = (line for line in self.lines if len(line) == 1 or not filled.isdisjoint(line[1::2]))
        return "\n".join("".join(_fill_line(line, cells)) for line in kept) if filled else ""


def _fill_line(line: Sequence[str], cells: Mapping[str, str]) -> Iterator[str]:
    for position, piece in enumerate(line):
        yield cells[piece] if position % 2 else piece


def _parse_lines(template: str) -> list[tuple[str, ...]]:
    lines = [[""]]
    for match in _PIECE.finditer(template):
        piece = match[0]
        if piece in ("{", "}"):
            where = f"a single '{piece}' as character {match.start() + 1}"
            raise CallError(f"The template has {where}. Write a column as {{name}}, and a brace as {piece * 2}.")
        if piece == "\n":
            lines.append([""])
        elif match[1]:
            lines[-1] += [match[1], ""]
        else:
            lines[-1][-1] += {"{{": "{", "}}": "}"}.get(piece, piece)
    return [tuple(line) for line in lines]


def _check_columns(used: Sequence[str], named: Sequence[str]) -> None:
    if set(used) != set(named):
        raise CallError(
            f"The template has the columns {join_names(used, most=len(used))}, but the text is to be read from "
            f"{join_names(named, most=len(named))}. Name the columns in the template alone."
        )
