"""The corpora of a store: ids, keys, splits, groups and labels, in a table that a user may edit.

corpora/NAME.csv     id, key, split, group, label; multi-label cells are JSON lists, [] if no label applies; the
                     cell of an unlabeled document is blank
corpora/NAME.json    source, kind, taxonomy, notes, spec, the hash of the tabular columns (corpus_columns.py), what a
                     sample was drawn from; and `previous`: the same of the replaced table, with its sha256, by which
                     that table is recognized if the power failed between the two renames
corpora/NAME.parquet the rows of a large table again, which are faster to read (corpus_parquet.py)
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property
from heapq import nsmallest
from pathlib import Path
from typing import Any, BinaryIO, get_args

from data.documents import Kind, Labels, SampleOf
from data.errors import CallError, StoreDamaged, UnknownName, suggest_name
from data.source_spec import SourceSpec
from data.tabular import Tabular
from data.taxonomy import Taxonomy
from featurestore.storage.storage import Storage, read
from featurestore.store import corpus_columns, corpus_parquet
from featurestore.store.corpus_rows import NAMES, SURROGATES, encode_rows, parse_table

_FIELDS = ("source", "kind", "taxonomy", "notes", "spec", "tabular", "sample_of")
_PARSE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_COMPARED_IDS = 10_000  # searched for a suggestion, which takes a tenth of a second


@dataclass(frozen=True)
class CorpusTable:
    """A corpus without its texts; sequences are (documents,).

    labels: one tuple per document, None if it is unlabeled.
    spec: how the source was read.
    tabular: columns next to the text, a row per document, or None.
    keys: hex sha256 of each text; documents with equal texts have equal keys.
    sample_of: the corpus that these documents are a sample of, or None.
    """

    name: str
    source: str
    kind: Kind
    taxonomy: Taxonomy | None
    ids: Sequence[str]
    keys: Sequence[str]
    splits: Sequence[str | None]
    groups: Sequence[str | None]
    labels: Sequence[Labels]
    notes: tuple[str, ...] = ()
    spec: SourceSpec = field(default_factory=SourceSpec)
    tabular: Tabular | None = None
    sample_of: SampleOf | None = None

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {identifier: row for row, identifier in enumerate(self.ids)}

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """Return the rows of the documents with these ids, in their order. Raises UnknownName for an unknown id."""
        rows = [self._row_of_id.get(identifier) for identifier in ids]
        if None in rows:
            unknown = ids[rows.index(None)]
            close = get_close_matches(unknown, self.ids[:_COMPARED_IDS], n=1)
            hint = suggest_name(unknown, close) or _suggest_ids(unknown, self.ids)
            raise UnknownName(f"{self.name} has no document '{unknown}'.{hint}")
        return [row for row in rows if row is not None]

    def keys_of(self, ids: Sequence[str]) -> list[str]:
        """Return the keys of the documents with these ids, in their order. Raises UnknownName for an unknown id."""
        return [self.keys[row] for row in self.rows_of(ids)]


def _suggest_ids(unknown: str, ids: Sequence[str]) -> str:
    """The ids with the nearest numbers, or the first ids if the unknown one has no number."""
    number = _last_number(unknown)
    numbers = ((_last_number(identifier), index) for index, identifier in enumerate(ids))
    distances = [(abs(other - number), index) for other, index in numbers if number is not None and other is not None]
    if distances:
        return f" Nearest ids: {', '.join(ids[index] for _, index in nsmallest(3, distances))}."
    return f" Its ids are {', '.join(ids[:3])} and so on." if len(ids) else ""


def _last_number(identifier: str) -> int | None:
    digits = re.findall(r"[0-9]{1,18}", identifier)
    return int(digits[-1]) if digits else None


def list_names(folder: Storage) -> list[str]:
    """List the corpora in `folder`."""
    return sorted(name.removesuffix(".csv") for name in folder.names() if name.endswith(".csv"))


def save(table: CorpusTable, folder: Storage) -> None:
    """Write both files, replacing a table with this name. Raises StorageFailed; CallError for an invalid name."""
    if not table.name or table.name.startswith(".") or Path(table.name).name != table.name:
        raise CallError(f"'{table.name}' cannot be the name of a file. Give the corpus another name.")
    before, table_before = folder.state(f"{table.name}.json"), folder.state(f"{table.name}.csv")
    description: dict[str, Any] = {
        "source": table.source,
        "kind": table.kind,
        "taxonomy": None if table.taxonomy is None else table.taxonomy.to_json(),
        "notes": list(table.notes),
        "spec": table.spec.to_json(),
        "tabular": corpus_columns.write(folder, table.name, _encode_columns(table)),
        "sample_of": None if table.sample_of is None else asdict(table.sample_of),
    }
    description["previous"] = _previous_of_other_rows(folder, table, description)
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    folder.replace(f"{table.name}.json", text.encode(errors=SURROGATES), before)
    digest = hashlib.sha256()
    folder.replace(f"{table.name}.csv", _hash_pieces(_encode_rows(table), digest), table_before)
    corpus_parquet.write(folder, table.name, _columns(table), table.kind, digest.hexdigest())
    corpus_columns.remove_others(folder, table.name, description["tabular"])


def _encode_columns(table: CorpusTable) -> bytes | None:
    return None if table.tabular is None else corpus_columns.encode(table.tabular, table.ids)


def _previous_of_other_rows(folder: Storage, table: CorpusTable, description: dict[str, Any]) -> dict[str, Any] | None:
    """The description of the table that is about to be replaced, if that differs in rows and description.

    With the same rows, the hash could not tell which of the two descriptions is meant.
    """
    previous = _describe_previous(folder, table.name)
    if previous is None or all(previous[field] == description[field] for field in _FIELDS):
        return None
    digest = hashlib.sha256()
    for block in _encode_rows(table):
        digest.update(block)
    return None if previous["table_sha256"] == digest.hexdigest() else previous


def _describe_previous(folder: Storage, name: str) -> dict[str, Any] | None:
    """Describe the table that is about to be replaced, with its hash; None if there is none, or a damaged one."""
    try:
        with folder.open(f"{name}.csv") as file:
            digest = _hash_content(file)
        content = _read_description(folder, name, digest)
    except (OSError, *_PARSE_ERRORS):
        return None
    return {field: content[field] for field in _FIELDS} | {"table_sha256": digest}


def _columns(table: CorpusTable) -> tuple[Sequence[Any], ...]:
    return tuple(getattr(table, name) for name in NAMES)


def _encode_rows(table: CorpusTable) -> Iterator[bytes]:
    return encode_rows(_columns(table), table.kind)


def _hash_pieces(pieces: Iterable[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _hash_content(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(2**20):
        digest.update(piece)
    return digest.hexdigest()


def is_saved(table: CorpusTable, folder: Storage) -> bool:
    """Whether `folder` has an identical table, byte for byte, with the same description."""
    columns = _encode_columns(table)
    if columns is not None and not corpus_columns.is_written(folder, table.name, columns):
        return False
    expected = {field: getattr(table, field) for field in _FIELDS}
    expected["tabular"] = None if columns is None else hashlib.sha256(columns).hexdigest()
    try:
        with folder.open(f"{table.name}.csv") as file:
            same = all(file.read(len(piece)) == piece for piece in _encode_rows(table)) and not file.read(1)
        return same and _load_description(folder, table.name, "") == expected
    except (OSError, StoreDamaged):
        return False


def load(name: str, folder: Storage) -> CorpusTable:
    """Read a table that `save` wrote, or that a user edited.

    Raises UnknownName if there is none with this name; StoreDamaged, naming the line, if it cannot be read.
    """
    names, path = list_names(folder), folder.location / f"{name}.csv"
    if name not in names:
        raise UnknownName(f"{folder.location.parent.name} has no corpus '{name}'.{suggest_name(name, names)}")
    try:
        with folder.open(f"{name}.csv") as file:
            digest = _hash_content(file)
        values = _load_description(folder, name, digest)
        values |= corpus_parquet.load(folder, name, values["kind"], digest) or parse_table(
            str(path), lambda: folder.open(f"{name}.csv"), values["kind"]
        )
    except StoreDamaged:
        raise
    except OSError as error:
        raise StoreDamaged(f"{path}: {error}. Run `embedonce embed` again to write it again.") from error
    if values["tabular"] is not None:
        values["tabular"] = corpus_columns.read(folder, name, values["tabular"], values["ids"])
    return CorpusTable(name=name, **values)


def _load_description(folder: Storage, corpus: str, table: str) -> dict[str, Any]:
    try:
        content = _read_description(folder, corpus, table)
        source, kind, tree, notes = (content[name] for name in ("source", "kind", "taxonomy", "notes"))
        spec, tabular = content.get("spec", {}), content.get("tabular")  # which may be missing
        sample_of = content["sample_of"]
        if kind not in get_args(Kind) or not isinstance(source, str):
            raise ValueError(f"its kind is {kind!r}")
        taxonomy = None if tree is None else Taxonomy.from_json(tree)
        return {
            "source": source,
            "kind": kind,
            "taxonomy": taxonomy,
            "notes": tuple(map(str, notes)),
            "spec": SourceSpec.from_json(spec),
            "tabular": None if tabular is None else str(tabular),
            "sample_of": None if sample_of is None else SampleOf(str(sample_of["corpus"]), int(sample_of["documents"])),
        }
    except (OSError, *_PARSE_ERRORS) as error:
        path = folder.location / f"{corpus}.json"
        raise StoreDamaged(
            f"{path} cannot be read ({error}). Run `embedonce embed` again to write it again."
        ) from error


def _read_description(folder: Storage, corpus: str, table: str) -> dict[str, Any]:
    """Read the description of the table with the hash `table`: the previous one if it has this hash."""
    content: dict[str, Any] = json.loads(read(folder, f"{corpus}.json").decode(errors=SURROGATES))
    previous = content.get("previous")
    return {"tabular": None, "sample_of": None} | (
        previous if previous and previous["table_sha256"] == table else content
    )
