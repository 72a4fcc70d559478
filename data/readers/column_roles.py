"""The role of each column of a table (text, label, id, split, group): named by the user, else guessed."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from data.errors import BadData, CallError, ColumnMissing, suggest_name
from data.readers.text_template import TextTemplate
from data.source_spec import SourceSpec
from data.splitting.train_test_split import parse_split_name
from data.table import Table
from data.text_format import join_names, join_words, plural


class _Role(NamedTuple):
    subject: str  # the start of a sentence about the role's column
    names: tuple[str, ...]  # lower case; the first is preferred, the others count only if a single one is present


_ROLES = {
    "text": _Role("text is", ("text", "texts", "body", "content", "contents", "document", "doc", "sentence", "message",
                              "review", "article", "abstract", "comment", "post")),
    "label": _Role("labels are", ("label", "labels", "category", "categories", "class", "classes", "target", "targets",
                                  "topic", "topics", "tag", "tags", "cats")),
    "id": _Role("ids are", ("id", "doc_id", "document_id")),
    "split": _Role("the split is", ("split", "fold", "subset", "partition")),
    "group": _Role("groups are", ("group", "groups", "author", "thread", "patient")),
}  # fmt: skip

# A column that only looks like groups must not decide the split, so a guessed one needs many small groups. The test
# split and each of five folds have a fifth of the documents: a group that is larger does not fit, and of fewer than 20
# groups fewer than four would be in each, so that metrics would describe a few authors instead of the corpus.
MIN_GROUPS = 20
LARGEST_GROUP = 0.2  # of all documents


def resolve_columns(
    requested: SourceSpec, table: Table, *, with_texts: bool = True, used: Sequence[str] = (), advise: bool = True
) -> tuple[SourceSpec, list[str]]:
    """Resolve each role to a column name, None if there is none, or "" as requested, and report what was guessed.

    A role that the user did not name is guessed by the column's name, if a single column matches.

    Args:
        requested: The roles as the user named them.
        table: The table; cells are read only to check guesses of the split and of groups.
        with_texts: Whether the table must have a text column; if not, the text is None.
        used: Further columns that no role is guessed for.
        advise: Whether notes say which option names a column; not for a command that has no such options.

    Returns:
        The columns to read, and one note per kind of guess.

    Raises:
        ColumnMissing: A named column does not exist, or the text column cannot be determined.
        BadData: Two columns have the name of a column to read.
        CallError: The template cannot be used, see `TextTemplate.of`; or labels are described in two ways.
    """
    text = TextTemplate.of(requested).columns if with_texts else ()
    named = {role: None if role == "text" else getattr(requested, role) for role in _ROLES}
    if text or not with_texts:
        del named["text"]
    label = label_columns(requested.label, table)
    if requested.levels:
        label = _level_columns(requested)
        del named["label"]
    others = [name for role, name in named.items() if name and role != "label"]
    check_columns(table, (*text, *label, *others))
    free = [name for name in dict.fromkeys(table.names) if name not in (*text, *label, *named.values(), *used)]
    candidates = {role: _candidates(role, free) for role, name in named.items() if name is None}
    if len(candidates.get("text", ["one"])) != 1:
        raise ColumnMissing(_explain_missing_text(table, candidates["text"]))
    notes = [*_drop_false_splits(table, candidates), *_drop_few_groups(table, candidates, advise=advise)]
    notes += _ambiguity_notes(candidates, advise=advise)
    guesses = {role: names[0] for role, names in candidates.items() if len(names) == 1}
    resolved: dict[str, Any] = {role: guesses.get(role, name) for role, name in named.items()}
    check_columns(table, guesses.values())
    guessed_text = resolved.pop("text", None)
    spec = replace(requested, text=text or (guessed_text and (guessed_text,)), **resolved)
    return spec, [*_guess_notes(guesses, advise=advise), *notes]


def check_columns(table: Table, names: Iterable[str]) -> None:
    """Check that the table has each column once. Raises ColumnMissing if it has none, BadData if it has several."""
    for name in names:
        if not table.has_column(name):
            raise ColumnMissing(f"{table.source} has no column '{name}'.{suggest_name(name, table.names)}")
        if table.names.count(name) > 1:
            raise BadData(f"{table.source} has {table.names.count(name)} columns called '{name}'. Rename all but one.")


def label_columns(label: str | None, table: Table) -> tuple[str, ...]:
    """The columns of the label: the column of this name, or the columns between commas, quoted as in a CSV file."""
    if not label:
        return ()
    if table.has_column(label) or "," not in label:
        return (label,)
    (names,) = csv.reader([label], skipinitialspace=True)
    return tuple(name.strip() for name in names if name.strip())


def _level_columns(requested: SourceSpec) -> tuple[str, ...]:
    """The columns of levels. Raises CallError if labels are also described in another way."""
    others = [name for name in ("label", "separator", "label_names") if getattr(requested, name)]
    if others or not requested.levels:
        options = join_words([f"--{name.replace('_', '-')}" for name in others])
        raise CallError(f"--levels has one column per level of the label. Leave {options} out.")
    if len(set(requested.levels)) < len(requested.levels):
        raise CallError(f"--levels names a column twice: {', '.join(requested.levels)}.")
    return requested.levels


def _candidates(role: str, names: Sequence[str]) -> list[str]:
    preferred, *_ = usual = _ROLES[role].names
    matching = [name for name in names if name.lower() in usual]
    exact = [name for name in matching if name.lower() == preferred]
    return exact if len(exact) == 1 else matching


def _explain_missing_text(table: Table, candidates: Sequence[str]) -> str:
    if candidates:
        return f"{table.source}: columns {_quote_all(candidates)} could all be the text. Name one with --text."
    usual = ", ".join(_ROLES["text"].names[:4])
    has_header = table.lines is not None and table.lines[0] > 1
    advice = " If the first row is a document, add --header none." if has_header else ""
    names = _quote_all(table.names)
    return f"{table.source}: no column is called {usual} or the like. Name one with --text: {names}.{advice}"


def _drop_false_splits(table: Table, candidates: dict[str, list[str]]) -> Iterator[str]:
    """Drop candidates for the split, such as a fold, whose cells are no splits; one called "split" always stays."""
    for name in list(candidates.get("split", ())):
        others = (cell for cell in table.cells(name) if parse_split_name(str(cell)) is None)
        if name.lower() != "split" and (cell := next(others, None)) is not None:
            candidates["split"].remove(name)
            yield f"column '{name}' is not read as the split: it holds '{cell}', not train and test"


def _drop_few_groups(table: Table, candidates: dict[str, list[str]], *, advise: bool) -> Iterator[str]:
    """Drop the only candidate for groups unless it has many small ones; say what it does to the split otherwise."""
    if len(candidates.get("group", ())) != 1:
        return
    (name,) = candidates["group"]
    sizes = Counter(word for cell in table.cells(name) if cell is not None and (word := str(cell).strip()))
    largest = max(sizes.values(), default=0)
    found = f"{plural(len(sizes), 'group')}, the largest of"
    if len(sizes) >= MIN_GROUPS and largest <= LARGEST_GROUP * table.rows:
        effect = f"documents with the same '{name}' stay together when a split or folds are drawn"
        yield f"{effect}: {found} {plural(largest, 'document')}"
        return
    candidates["group"].remove(name)
    advice = "; name it with --group to use it" if advise else ""
    yield (
        f"column '{name}' is not read as the group: a guessed one needs at least {MIN_GROUPS} groups, each of at most "
        f"{LARGEST_GROUP:.0%} of the documents, and it has {found} {largest / table.rows:.0%}{advice}"
    )


def _ambiguity_notes(candidates: dict[str, list[str]], *, advise: bool) -> Iterator[str]:
    for role, names in candidates.items():
        if len(names) > 1:
            advice = f"; name one with --{role}" if advise else ""
            yield f"{_ROLES[role].subject} not read: {_quote_all(names)} could all be their column{advice}"
    if candidates.get("label") == []:
        yield f"no column is read as the label{'; name it with --label if there is one' if advise else ''}"


def _guess_notes(guesses: dict[str, str], *, advise: bool) -> Iterator[str]:
    if guesses:
        (first, name), *others = guesses.items()
        clauses = [f"{_ROLES[first].subject} read from column '{name}'"]
        clauses += [f"{_ROLES[role].subject.rsplit(' ', 1)[0]} from '{name}'" for role, name in others]
        options = join_words([f"--{role}" for role in guesses])
        advice = f"; name {'them' if others else 'it'} with {options}" if advise else ""
        yield f"{join_words(clauses)} (guessed{advice})"


def _quote_all(names: Sequence[str]) -> str:
    return join_names(names, most=len(names))
