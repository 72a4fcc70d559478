"""Tabular columns: numbers, dates and categories next to the text of each document."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData

ColumnKind = Literal["number", "date", "category"]
KINDS: tuple[str, ...] = get_args(ColumnKind)


@dataclass(frozen=True, eq=False)
class TabularColumn:
    """One column, a value per document.

    values: float64 (documents,), numbers, or days since 1970-01-01 for dates, NaN if missing; for categories int32
        (documents,), indices into `levels`, -1 if missing.
    levels: the categories, sorted; () for other kinds.
    """

    name: str
    kind: ColumnKind
    values: NDArray[Any]
    levels: tuple[str, ...] = ()

    @classmethod
    def missing(cls, name: str, kind: ColumnKind, documents: int) -> Self:
        """A column without a value for any document."""
        return cls(name, kind, np.full(documents, -1, np.int32) if kind == "category" else np.full(documents, np.nan))

    def __getitem__(self, rows: Any) -> Self:
        return replace(self, values=self.values[rows])

    @property
    def label(self) -> str:
        """The name and the kind, as `--tabular` takes them: "price:number"."""
        return f"{self.name}:{self.kind}"

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """bool (documents,): which documents have no value."""
        return np.asarray(self.values < 0 if self.kind == "category" else np.isnan(self.values))

    def content(self) -> bytes:
        """Bytes that are equal for equal values, whatever other categories `levels` has."""
        if self.kind != "category":
            return np.ascontiguousarray(self.values, np.float64).tobytes()
        used, codes = np.unique(self.values, return_inverse=True)
        levels = [self.levels[code] if code >= 0 else None for code in used.tolist()]
        return json.dumps(levels).encode() + codes.astype(np.int32).tobytes()


@dataclass(frozen=True, eq=False)
class Tabular:
    """One or more columns with a row per document, indexed like an array; equal if all values are."""

    columns: tuple[TabularColumn, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(tuple(column[rows] for column in self.columns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tabular) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name and the kind of each column: ("price:number", "country:category")."""
        return tuple(column.label for column in self.columns)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names, kinds and values."""
        content = hashlib.sha256(json.dumps(self.labels).encode())
        for column in self.columns:
            content.update(hashlib.sha256(column.content()).digest())
        return content.hexdigest()

    def column(self, name: str) -> TabularColumn | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @classmethod
    def completed(cls, labels: Sequence[str], known: "Tabular | None", documents: int) -> Self:
        """The columns of `labels`, as `known` has them or without values, in this order."""
        columns = []
        for label in labels:
            name, _, kind = label.rpartition(":")
            column = None if known is None else known.column(name)
            columns.append(column or TabularColumn.missing(name, cast(ColumnKind, kind), documents))
        return cls(tuple(columns))

    @classmethod
    def concatenate(cls, parts: Sequence["Tabular"]) -> Self:
        """The documents of all parts, in order. Raises BadData if their columns differ."""
        first, *others = parts
        if any(part.labels != first.labels for part in others):
            raise BadData("Documents with different tabular columns cannot be concatenated.")
        return cls(tuple(map(_concatenate, *(part.columns for part in parts))))


def _concatenate(*parts: TabularColumn) -> TabularColumn:
    if parts[0].kind != "category":
        return replace(parts[0], values=np.concatenate([part.values for part in parts]))
    levels = sorted({level for part in parts for level in part.levels})
    code_of = {level: code for code, level in enumerate(levels)}
    # the last entry is for code -1, a missing value
    codes = [np.array([*(code_of[level] for level in part.levels), -1], np.int32)[part.values] for part in parts]
    return replace(parts[0], values=np.concatenate(codes), levels=tuple(levels))
