"""Which column of a table is the text, the label, the id, the split and the group: as asked, else by its name."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from data.errors import BadData, ColumnMissing, suggest_name
from data.table import Columns, Table
from data.train_test_split import is_split_name


class _Role(NamedTuple):
    says: str
    names: tuple[str, ...]  # lower case; the first wins over the others, which must be alone


_ROLES = {
    "text": _Role("text is", ("text", "texts", "body", "content", "contents", "document", "doc", "sentence", "message",
                              "review", "article", "abstract", "comment", "post")),
    "label": _Role("labels are", ("label", "labels", "category", "categories", "class", "classes", "target", "targets",
                                  "topic", "topics", "tag", "tags")),
    "id": _Role("ids are", ("id", "doc_id", "document_id")),
    "split": _Role("the split is", ("split", "fold", "subset", "partition")),
    "group": _Role("groups are", ("group", "groups", "author", "thread", "patient")),
}  # fmt: skip


def resolve_columns(asked: Columns, table: Table) -> tuple[Columns, list[str]]:
    """The columns to read, each a name or None, and sentences on what was guessed.

    A column is guessed by its name, where a single one fits. Raises ColumnMissing for a column that is not there and
    where the text's cannot be told, BadData where a column that is read stands twice.
    """
    named = {role: getattr(asked, role) for role in _ROLES} | {"text": asked.text or None}
    for name in filter(None, named.values()):
        if name not in table.names:
            raise ColumnMissing(f"{table.source} has no column '{name}'.{suggest_name(name, table.names)}")
    free = [name for name in dict.fromkeys(table.names) if name not in named.values()]
    fitting = {role: _fitting(role, free) for role, name in named.items() if name is None}
    if len(fitting.get("text", ["one"])) != 1:
        raise ColumnMissing(_text_unknown(table, fitting["text"]))
    notes = [*_not_a_split(table, fitting), *_undecided(fitting)]
    guessed = {role: names[0] for role, names in fitting.items() if len(names) == 1}
    found = {role: guessed.get(role) or name or None for role, name in named.items()}
    _check_once(table, found)
    return replace(asked, **found), [*_guessed_note(guessed), *notes]


def _fitting(role: str, names: Sequence[str]) -> list[str]:
    first, *_ = usual = _ROLES[role].names
    fitting = [name for name in names if name.lower() in usual]
    plain = [name for name in fitting if name.lower() == first]
    return plain if len(plain) == 1 else fitting


def _text_unknown(table: Table, fitting: Sequence[str]) -> str:
    if fitting:
        return f"{table.source}: columns {_quoted(fitting)} could all be the text. Name one with --text."
    usual = ", ".join(_ROLES["text"].names[:4])
    return f"{table.source}: no column is called {usual} or the like. Name one with --text: {_quoted(table.names)}."


def _not_a_split(table: Table, fitting: dict[str, list[str]]) -> Iterator[str]:
    """Leave a fold or a partition aside that speaks of something else; a column called split is taken at its word."""
    for name in list(fitting.get("split", ())):
        other = (cell for cell in table.cells(name) if not is_split_name(str(cell)))
        if name.lower() != "split" and (cell := next(other, None)) is not None:
            fitting["split"].remove(name)
            yield f"column '{name}' is not read as the split: it holds '{cell}', not train and test"


def _undecided(fitting: dict[str, list[str]]) -> Iterator[str]:
    for role, names in fitting.items():
        if len(names) > 1:
            yield f"{_ROLES[role].says} not read: {_quoted(names)} could all be their column; name one with --{role}"
    if fitting.get("label") == []:
        yield "no column is read as the label; name it with --label if there is one"


def _check_once(table: Table, found: dict[str, str | None]) -> None:
    for name in filter(None, found.values()):
        if table.names.count(name) > 1:
            raise BadData(f"{table.source} has {table.names.count(name)} columns called '{name}'. Rename all but one.")


def _guessed_note(guessed: dict[str, str]) -> Iterator[str]:
    if guessed:
        (first, name), *others = guessed.items()
        parts = [f"{_ROLES[first].says} read from column '{name}'"]
        parts += [f"{_ROLES[role].says.rsplit(' ', 1)[0]} from '{name}'" for role, name in others]
        them = "them" if others else "it"
        yield f"{_and(parts)} (guessed; name {them} with {_and([f'--{role}' for role in guessed])})"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
