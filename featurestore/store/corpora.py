"""What a store remembers of a corpus: ids, keys, splits, groups and labels, in a table that a person may edit.

corpora/NAME.csv     id, key, split, group, label; several labels are a JSON list in their cell
corpora/NAME.json    source, kind, taxonomy, notes; and `before`, what was said of the table that this one replaced, and
                     the hash of its bytes: where the power went between the two renames, the older one is read as such
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Any, get_args

from data.atomic_write import make_folder, open_regular_file, write_atomically
from data.documents import Kind
from data.errors import CallError, StoreDamaged, UnknownName, suggest_name
from data.taxonomy import Taxonomy

COLUMNS = ["id", "key", "split", "group", "label"]
_SAID = ("source", "kind", "taxonomy", "notes")
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_HEX = frozenset("0123456789abcdef")
# a text may hold half of a surrogate pair, and an id be cut from one
_LONE = "surrogatepass"
_ROWS = 10_000  # written at a time
_COMPARED = 10_000  # ids that an unknown one is held against: a tenth of a second


@dataclass(frozen=True)
class CorpusTable:
    """A corpus without its texts; sequences are (documents,), and `labels` holds a tuple a document.

    keys: hex sha256 of each text; two documents of one text have one key.
    """

    name: str
    source: str
    kind: Kind
    taxonomy: Taxonomy | None
    ids: Sequence[str]
    keys: Sequence[str]
    splits: Sequence[str | None]
    groups: Sequence[str | None]
    labels: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def keys_of(self, ids: Sequence[str]) -> list[str]:
        """The keys of the documents of these ids, in their order. Raises UnknownName for an id that there is not."""
        known = dict(zip(self.ids, self.keys, strict=True))
        for unknown in ids:
            if unknown not in known:
                close = get_close_matches(unknown, self.ids[:_COMPARED], n=1)
                few = f" Its ids are {', '.join(self.ids[:3])} and so on." if len(self.ids) else ""
                raise UnknownName(f"{self.name} has no document '{unknown}'.{suggest_name(unknown, close) or few}")
        return [known[each] for each in ids]


def list_names(folder: Path) -> list[str]:
    """The corpora in `folder`."""
    return sorted(path.stem for path in folder.glob("*.csv") if not path.name.startswith("."))


def save(table: CorpusTable, folder: Path) -> None:
    """Write both files, an older table of that name is replaced. Raises StorageFailed, CallError for an unfit name."""
    if not table.name or table.name.startswith(".") or Path(table.name).name != table.name:
        raise CallError(f"'{table.name}' cannot be the name of a file. Name the corpus otherwise.")
    make_folder(folder)
    about = {
        "source": table.source,
        "kind": table.kind,
        "taxonomy": None if table.taxonomy is None else table.taxonomy.to_json(),
        "notes": list(table.notes),
    }
    path = folder / f"{table.name}.csv"
    about["before"] = _before(folder, table.name)
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / f"{table.name}.json", text.encode(errors=_LONE))
    write_atomically(path, _pieces(table))


def _before(folder: Path, name: str) -> dict[str, Any] | None:
    """What is said of the table that is there, and the hash of its bytes; None where there is none, or a broken one."""
    try:
        table = (folder / f"{name}.csv").read_bytes()
        said = _said_of(folder / f"{name}.json", hashlib.sha256(table).hexdigest())
    except (OSError, *_BROKEN):
        return None
    return {field: said[field] for field in _SAID} | {"table": hashlib.sha256(table).hexdigest()}


def is_saved(table: CorpusTable, folder: Path) -> bool:
    """Whether `folder` has this very table, byte for byte, and says the same of it."""
    path = folder / f"{table.name}.csv"
    try:
        with open_regular_file(path) as file:
            same = all(file.read(len(piece)) == piece for piece in _pieces(table)) and not file.read(1)
        return same and _about(path.with_suffix(".json"), "") == {
            field: getattr(table, field) for field in ("source", "kind", "taxonomy", "notes")
        }
    except (OSError, StoreDamaged):
        return False


def _pieces(table: CorpusTable) -> Iterator[bytes]:
    """The table's file, some thousand rows at a time: of a million documents it is as large as their texts."""
    cells = (_cell(labels, table.kind) for labels in table.labels)
    known = ((value or "" for value in values) for values in (table.splits, table.groups))
    lines = chain([COLUMNS], zip(table.ids, table.keys, *known, cells, strict=True))
    while some := list(islice(lines, _ROWS)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(some)  # with its own line ends, \r\n, it quotes a lone \r too
        yield text.getvalue().encode(errors=_LONE)


def _cell(labels: tuple[str, ...], kind: Kind) -> str:
    return json.dumps(labels, ensure_ascii=False) if kind == "multilabel" else "".join(labels)


def load(name: str, folder: Path) -> CorpusTable:
    """The table that `save` wrote, or that a person edited.

    Raises UnknownName when there is none of that name, StoreDamaged, naming the line, when it cannot be read.
    """
    if name not in list_names(folder):
        raise UnknownName(f"{folder.parent.name} has no corpus '{name}'.{suggest_name(name, list_names(folder))}")
    path = folder / f"{name}.csv"
    try:
        with open_regular_file(path) as file:
            table = file.read()
    except OSError as error:
        raise StoreDamaged(f"{path}: {error}. Run `embedonce embed` again to have it written anew.") from error
    values = _about(folder / f"{name}.json", hashlib.sha256(table).hexdigest())
    values |= _columns(path, table, values["kind"])
    return CorpusTable(name=name, **values)


def _about(path: Path, table: str) -> dict[str, Any]:
    try:
        said = _said_of(path, table)
        source, kind, tree, notes = (said[name] for name in _SAID)
        if kind not in get_args(Kind) or not isinstance(source, str):
            raise ValueError(f"its kind is {kind!r}")
        taxonomy = None if tree is None else Taxonomy.from_json(tree)
        return {"source": source, "kind": kind, "taxonomy": taxonomy, "notes": tuple(map(str, notes))}
    except (OSError, *_BROKEN) as error:
        raise StoreDamaged(
            f"{path} cannot be read ({error}). Run `embedonce embed` again to have it written anew."
        ) from error


def _said_of(path: Path, table: str) -> dict[str, Any]:
    """What the file says of the table whose bytes have the hash `table`: one that is being replaced, or any other."""
    with open_regular_file(path) as file:
        content: dict[str, Any] = json.loads(file.read().decode(errors=_LONE))
    before = content.get("before")
    return before if before and before["table"] == table else content


def _columns(path: Path, table: bytes, kind: Kind) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("ids", "keys", "splits", "groups", "labels")}
    line = 1
    try:
        # a spreadsheet leaves a byte-order mark
        rows = csv.reader(io.StringIO(table.decode(errors=_LONE).removeprefix("\ufeff"), newline=""))
        if (header := next(rows, [])) != COLUMNS:
            raise ValueError(f"the columns are {', '.join(header)}, not {', '.join(COLUMNS)}")
        for row in rows:
            line = rows.line_num
            for values, value in zip(columns.values(), _document(row, kind), strict=True):
                values.append(value)
    except (ValueError, csv.Error, RecursionError) as error:
        raise StoreDamaged(f"{path}, line {line}: {error}. Correct it, or run `embedonce embed` again.") from error
    return columns


def _document(row: list[str], kind: Kind) -> tuple[Any, ...]:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} cells where {len(COLUMNS)} are expected")
    identifier, key, split, group, cell = row
    if len(key) != 64 or not _HEX.issuperset(key):
        raise ValueError(f"'{key}' is no key, which is 64 hex digits")
    labels = _several(cell) if kind == "multilabel" else (cell,) if cell else ()
    return identifier, key, split or None, group or None, labels


def _several(cell: str) -> tuple[str, ...]:
    labels = json.loads(cell) if cell else []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"'{cell}' is no JSON list of labels")
    return tuple(labels)
