"""Documents from the rows of a table."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from data.documents import Corpus, Documents, Kind
from data.errors import BadData, CallError
from data.label_notes import MISSING_WORDS
from data.labels import ParsedLabels, cell_text, parse_label_columns, parse_labels
from data.packed import CategoricalColumn, PackedStrings, StreamedTexts
from data.readers.column_roles import label_columns, resolve_columns
from data.readers.files import safe_file_name
from data.readers.labels_in_taxonomy import parse_level_columns
from data.readers.tabular_columns import parse_tabular, read_tabular
from data.readers.text_template import TextTemplate
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import is_blank, join_names, plural
from data.text_hashes import TextHashes

MOST_TEXT_BYTES = 2**28  # of texts in memory; more are read from their files again when they are used
_BLOCK_ROWS = 10_000  # ids that are checked at a time
_BLOCK_TEXTS = 64  # packed at a time


KindOf = Callable[[Sequence[str]], Kind | None]


def corpus_from_table(
    table: Table,
    path: Path,
    requested: SourceSpec,
    *,
    with_texts: bool = True,
    known_kind: KindOf = lambda _: None,
    advise: bool = True,
) -> Corpus:
    """Make a corpus of a table's rows, in their order.

    Args:
        table: The table.
        path: Its file; the corpus gets its name.
        requested: How to read it, as far as the user said.
        with_texts: Whether texts are read; if not, they are empty and need no column.
        known_kind: From the ids to the kind of the labels that theirs join, as in `parse_labels`.
        advise: As in `resolve_columns`.

    Raises:
        ColumnMissing, CallError: As in `resolve_columns` and `read_tabular`.
        BadData: As in `resolve_columns` and `parse_labels`; also a text that is a list or an object, a row without an
            id, and two rows with the same id.
    """
    asked = requested if table.splits is None else replace(requested, split="")
    columns = parse_tabular(requested.tabular or (), table) if with_texts else {}
    spec, guesses = resolve_columns(asked, table, with_texts=with_texts, used=[*columns], advise=advise)
    spec = replace(spec, split=spec.split if table.splits is None else requested.split)
    ids = document_ids(table, spec.id)
    parsed = _read_labels(table, spec, known_kind(ids))
    missing: Counter[str] = Counter()
    texts, hashes = _read_texts(table, spec, missing) if spec.text else (CategoricalColumn([""] * table.rows), None)
    documents = Documents(
        ids=ids,
        texts=texts,
        labels=parsed.labels,
        splits=CategoricalColumn(_words(table, spec.split) if table.splits is None else table.splits),
        groups=CategoricalColumn(_words(table, spec.group)),
        hashes=hashes,
    )
    gaps = _gap_notes(len(documents), parsed, missing, has_labels=(spec.label or spec.levels) is not None)
    tabular, tabular_notes = read_tabular(table, columns, spec.levels or label_columns(spec.label, table))
    if isinstance(texts, StreamedTexts):
        table.release()
    return Corpus(
        name=safe_file_name(path.stem),
        source=table.source,
        documents=documents,
        kind=parsed.kind,
        taxonomy=parsed.taxonomy,
        notes=(*table.notes, *guesses, *parsed.notes, *gaps, *tabular_notes),
        spec=spec if tabular is None else replace(spec, tabular=tabular.labels),
        tabular=tabular,
    )


def follow_known(
    requested: SourceSpec, table: Table, known: SourceSpec, *, with_texts: bool = True
) -> tuple[SourceSpec, list[str]]:
    """Take the columns of `known` for the roles that `requested` leaves open, as far as the table has them.

    Args:
        requested: The roles as the user named them.
        table: The table.
        known: How the corpus was read.
        with_texts: Whether texts are read.

    Returns:
        The roles; and a sentence for the text or the ids if the table lacks their columns. Tabular columns that it
        lacks are left out.
    """
    absent: list[str] = []
    spec = requested
    if with_texts and spec.text is None and spec.template is None:
        columns = TextTemplate.of(known).columns
        if missing := [name for name in columns if not table.has_column(name)]:
            names = join_names(missing, most=len(missing))
            absent.append(f"{table.source} has no column {names}, from which the texts of the corpus were read.")
        else:
            spec = replace(spec, text=known.text, template=known.template)
    if with_texts and spec.tabular is None:
        kept = tuple(
            label for label in known.tabular or () if all(map(table.has_column, parse_tabular([label], table)))
        )
        spec = replace(spec, tabular=kept or None)
    if spec.label is None and spec.levels is None and all(map(table.has_column, known.levels or ())):
        spec = replace(spec, levels=known.levels)
    for role in ("label", "id", "split", "group"):
        name = None if role == "label" and spec.levels else getattr(known, role)
        if getattr(spec, role) is None and name is not None:
            columns = label_columns(name, table) if role == "label" else (name,)
            if not name or all(map(table.has_column, columns)):
                spec = replace(spec, **{role: name})
            elif role == "id":
                absent.append(f"{table.source} has no column '{name}', from which the ids of the corpus were read.")
    return _without_notation(spec, table, known), absent


def _without_notation(spec: SourceSpec, table: Table, known: SourceSpec) -> SourceSpec:
    """Without what `known` says of one column of labels, if several columns have them."""
    if not spec.levels and len(label_columns(spec.label, table)) < 2:
        return spec
    names = ("separator", "label_names") if spec.levels else ("separator", "label_names", "path_separator")
    return replace(spec, **{name: None for name in names if getattr(spec, name) == getattr(known, name)})


def _read_labels(table: Table, spec: SourceSpec, known_kind: Kind | None) -> ParsedLabels:
    if spec.levels:
        columns = {name: table.cells(name) for name in spec.levels}
        return parse_level_columns(columns, spec.path_separator or "/", table.location)
    names = label_columns(spec.label, table)
    if not names:
        return ParsedLabels(CategoricalColumn(None for _ in range(table.rows)))
    if len(names) == 1:
        return parse_labels(table.cells(names[0]), spec, table.location, known_kind)
    if spec.separator or spec.path_separator or spec.label_names:
        raise CallError(
            "--separator, --path-separator and --label-names are for one column of labels, and --label names "
            f"{len(names)}. Leave them out."
        )
    return parse_label_columns({name: table.cells(name) for name in names}, table.location)


def document_ids(table: Table, name: str | None) -> Sequence[str]:
    """Read the documents' ids from column `name`, or number the rows if it is None or "".

    Raises BadData for a row without an id and for two rows with the same id.
    """
    if not name:
        return table.row_ids
    ids, hashes = PackedStrings(), array("q")  # 8 bytes per id; a set takes 100
    words = _words(table, name)
    while block := list(islice(words, _BLOCK_ROWS)):
        if None in block:
            where = table.location(len(ids) + block.index(None))
            raise BadData(f"{where} has no id in column '{name}'. Fill it, or number the rows with --id \"\".")
        ids.extend(word for word in block if word is not None)
        hashes.extend(map(hash, block))
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    if (ordered[1:] == ordered[:-1]).any():
        _check_unique(table, ids)
    return ids


def _words(table: Table, name: str | None) -> Iterator[str | None]:
    if not name:
        return repeat(None, table.rows)
    cells = table.cells(name)
    if isinstance(cells, PackedStrings):  # `cell_text` of text, faster
        return (cell.strip() or None for cell in cells)
    return (cell_text(cell, row, table.location) for row, cell in enumerate(cells))


def _read_texts(table: Table, spec: SourceSpec, missing: Counter[str]) -> tuple[Sequence[str], TextHashes | None]:
    """The texts, in memory unless they are too large; and their hashes if they had to be read for nothing else.

    Blank texts and texts that stand for a missing value are counted in `missing`.
    """
    texts, packed = _texts(table, spec), [PackedStrings()]
    while block := list(islice(texts, _BLOCK_TEXTS)):
        packed[0].extend(block)
        if table.caches and packed[0].nbytes > MOST_TEXT_BYTES:
            streamed = StreamedTexts(table.source, table.rows, partial(_texts, table, spec))
            return streamed, TextHashes.of(_count_missing(_pop_and_continue(packed, texts), missing))
    for _ in _count_missing(packed[0], missing):
        pass
    return packed[0], None


def _pop_and_continue(packed: list[PackedStrings], texts: Iterator[str]) -> Iterator[str]:
    """Yield the texts that are in memory, which are then removed from it, and those that follow."""
    yield from packed.pop()
    yield from texts


def _count_missing(texts: Iterable[str], missing: Counter[str]) -> Iterator[str]:
    for text in texts:
        if text in MISSING_WORDS or is_blank(text):
            missing[text.strip()] += 1
        yield text


def _texts(table: Table, spec: SourceSpec) -> Iterator[str]:
    """Texts unchanged; a number as it is written, a blank cell as an empty text; several columns by the template."""
    template = TextTemplate.of(spec)
    columns = [_column_texts(table, name) for name in template.columns]
    if spec.template is None and len(columns) == 1:
        return columns[0]
    rows = zip(*columns, strict=True)
    return (template.fill(dict(zip(template.columns, cells, strict=True))) for cells in rows)


def _column_texts(table: Table, name: str) -> Iterator[str]:
    for row, cell in enumerate(table.cells(name)):
        yield cell if isinstance(cell, str) else cell_text(cell, row, table.location) or ""


def _check_unique(table: Table, ids: Sequence[str]) -> None:
    rows: dict[str, int] = {}
    for row, word in enumerate(ids):
        if rows.setdefault(word, row) != row:
            raise BadData(
                f"{table.location(rows[word])} and {table.row_name(row)} have the same id '{word}'. "
                'Name a column of unique ids with --id, or number the rows with --id "".'
            )


def _gap_notes(documents: int, parsed: ParsedLabels, missing: Counter[str], *, has_labels: bool) -> Iterator[str]:
    unlabeled = sum(labels is None for labels in parsed.labels) if has_labels else 0
    if unlabeled:
        hint = " (a blank cell is unknown; [] says that no label applies)" if parsed.kind == "multilabel" else ""
        yield f"{unlabeled:,} of {documents:,} documents have no label{hint}"
    words = Counter({text: count for text, count in missing.items() if text in MISSING_WORDS})
    if empty := missing.total() - words.total():
        yield f"{empty:,} of {documents:,} documents have no text"
    if words:
        names = join_names(sorted(words))
        yield f"{plural(words.total(), 'text')} {'is' if words.total() == 1 else 'are'} {names}, kept as text"
