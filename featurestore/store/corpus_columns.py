"""The tabular columns of a corpus, in a file next to its table: corpora/NAME.SHA256.safetensors.

The name holds the hash of the content, and NAME.json holds that hash. So a table is never read with the columns of
another one: a writer that dies leaves the earlier file, which the earlier description names. The file also holds the
ids of its rows, because a user may sort the table or remove rows of it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import StorageFailed, StoreDamaged
from data.tabular import KINDS, Tabular, TabularColumn
from featurestore.storage.storage import Storage
from featurestore.storage.storage import read as read_file


def encode(tabular: Tabular, ids: Sequence[str]) -> bytes:
    """The content of the file: an array per column; names, kinds and categories, and the ids of the rows, as JSON."""
    from safetensors.numpy import save

    columns = [{"name": each.name, "kind": each.kind, "levels": each.levels} for each in tabular.columns]
    arrays = {"columns": _json_bytes(columns), "ids": _json_bytes(list(ids))}
    # safetensors ignores strides: of a reversed array it would save other bytes of memory
    values = {str(number): np.ascontiguousarray(each.values) for number, each in enumerate(tabular.columns)}
    return bytes(save(arrays | values))


def write(folder: Storage, corpus: str, content: bytes | None) -> str | None:
    """Write the file unless it exists, and return its hash; None for a corpus without columns. Raises StorageFailed."""
    if content is None:
        return None
    digest = hashlib.sha256(content).hexdigest()
    if not is_written(folder, corpus, content):
        name = _name(corpus, digest)
        folder.replace(name, content, folder.state(name))
    return digest


def is_written(folder: Storage, corpus: str, content: bytes) -> bool:
    """Whether there is a file with this content."""
    try:
        return read_file(folder, _name(corpus, hashlib.sha256(content).hexdigest())) == content
    except OSError:
        return False


def read(folder: Storage, corpus: str, digest: str, ids: Sequence[str]) -> Tabular:
    """Read the columns of a corpus in the order of `ids`.

    Raises StoreDamaged if the file is missing or was changed, or lacks an id.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder.location / _name(corpus, digest)
    try:
        content = read_file(folder, path.name)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("it was changed")
        arrays = load(content)
        rows = _rows_of(ids, arrays["ids"])
        described = json.loads(arrays["columns"].tobytes())
        return Tabular(tuple(_column(each, arrays[str(n)])[rows] for n, each in enumerate(described)))
    except (OSError, ValueError, LookupError, TypeError, RecursionError, SafetensorError) as error:
        raise StoreDamaged(
            f"{path} cannot be read ({error}). Run `embedonce embed` again to write it again."
        ) from error


def _rows_of(ids: Sequence[str], stored: NDArray[np.uint8]) -> Any:
    if stored.tobytes() == _json_bytes(list(ids)).tobytes():
        return slice(None)
    row_of = {identifier: row for row, identifier in enumerate(json.loads(stored.tobytes()))}
    if (missing := next((identifier for identifier in ids if identifier not in row_of), None)) is not None:
        raise ValueError(f"it has no document '{missing}'")
    return [row_of[identifier] for identifier in ids]


def remove_others(folder: Storage, corpus: str, digest: str | None) -> None:
    """Remove the files of this corpus with other columns, as far as that is possible."""
    pattern = re.compile(re.escape(corpus) + r"\.[0-9a-f]{64}\.safetensors")
    for name in folder.names():
        if pattern.fullmatch(name) and name != _name(corpus, str(digest)):
            with suppress(StorageFailed):
                folder.remove(name)


def _name(corpus: str, digest: str) -> str:
    return f"{corpus}.{digest}.safetensors"


def _json_bytes(content: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content).encode(), np.uint8)


def _column(described: dict[str, Any], values: NDArray[Any]) -> TabularColumn:
    column = TabularColumn(described["name"], described["kind"], values, tuple(described["levels"]))
    dtype = np.int32 if column.kind == "category" else np.float64
    if column.kind not in KINDS or values.dtype != dtype or values.ndim != 1:
        raise ValueError(f"'{column.name}' is not a column")
    if column.kind == "category" and not ((values >= -1) & (values < len(column.levels))).all():
        raise ValueError(f"'{column.name}' has a category without a name")
    return column
