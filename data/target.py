"""The labels of documents as numbers: the target that heads learn."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.documents import Kind, Labels
from data.errors import BadData, CallError, UnknownName, suggest_name
from data.hierarchy import Hierarchy
from data.label_cells import canonical_label
from data.packed import CategoricalColumn
from data.splits import Strata
from data.taxonomy import Taxonomy

TargetKind: TypeAlias = Kind | Literal["ordinal"]  # a corpus has no order; the user gives it when fitting
NUMBERS = "numbers"


@dataclass(frozen=True)
class Target:
    """What a head learns.

    labels: sorted by name, for ordinal from the lowest to the highest; the columns of every score matrix.
    y: int64 (documents,), indices into `labels`, for single, path and ordinal; bool (documents, labels) for multilabel.
        With a taxonomy, a multi-label document also has the nodes above each of its labels.
    taxonomy: the nodes above each label; None if there are none.
    detailed: the target that this one is a coarser level of; its labels may teach a head. None if it is no level.
    """

    kind: TargetKind
    labels: tuple[str, ...]
    y: NDArray[Any]
    taxonomy: Taxonomy | None = None
    detailed: "Target | None" = None

    @classmethod
    def from_labels(
        cls,
        document_labels: Sequence[tuple[str, ...]],
        kind: Kind,
        taxonomy: Taxonomy | None = None,
        labels: Sequence[str] | None = None,
    ) -> Self:
        """Encode the labels of documents.

        Args:
            document_labels: One tuple of labels per document.
            kind: The kind of labels.
            taxonomy: The nodes above each label, if any, which multi-label documents are completed with.
            labels: All columns, if some labels may not occur in `document_labels`; None takes those that occur.

        Raises:
            BadData: A document of kind single or path does not have exactly one label.
            UnknownName: A label is not in `labels`, or not in the taxonomy.
        """
        column = CategoricalColumn.of(document_labels)
        if kind == "multilabel" and taxonomy is not None:
            column = column.map(taxonomy.completed)
        used = np.unique(column.codes).tolist()
        present = {label for code in used for label in column.categories[code]}
        names = tuple(sorted(present if labels is None else set(labels)))
        for label in sorted(present - set(names)):
            raise UnknownName(f"Label '{label}' is not among the {len(names)} known ones.{suggest_name(label, names)}")
        columns = {label: column for column, label in enumerate(names)}
        encode = _encode_matrix if kind == "multilabel" else _encode_codes
        return cls(kind, names, encode(column, used, columns), taxonomy)

    @classmethod
    def with_unlabeled(cls, document_labels: Sequence[Labels], kind: Kind, taxonomy: Taxonomy | None = None) -> Self:
        """Encode the labels of documents of which some have none: those have the label "", a node at the top."""
        column = CategoricalColumn.of(document_labels).map(lambda labels: ("",) if labels is None else labels)
        return cls.from_labels(column, kind, taxonomy and Taxonomy({"": (), **taxonomy.parents}))

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> Self:
        """Select documents by an index array, a mask or a slice; the labels stay."""
        return replace(self, y=self.y[rows], detailed=None if self.detailed is None else self.detailed[rows])

    def at_level(self, level: int) -> Self:
        """Return the target whose labels are the nodes at a level, 1 for the top; labels that end above it stay.

        Multi-label documents keep their labels down to that level. The result has this target as its `detailed` one.

        Raises:
            CallError: there is no taxonomy, no label is below the level, or a label is below two nodes at the level.
        """
        hierarchy = self.hierarchy
        if hierarchy is None:
            raise CallError(
                "--scored-level needs labels with a taxonomy, such as paths, and these have none. Leave it out, or "
                "embed with --taxonomy."
            )
        deepest = int(hierarchy.depths.max())
        if not 1 <= level < deepest:
            raise CallError(
                f"--scored-level is {level}, and the labels have {deepest} levels: choose a level from 1 to "
                f"{deepest - 1}, above the deepest labels."
            )
        y, names = _level_matrix(self, hierarchy, level) if self.y.ndim == 2 else _level_codes(self, hierarchy, level)
        taxonomy = None if self.taxonomy is None else self.taxonomy.restricted_to(names)
        if taxonomy is not None and not any(taxonomy.parents.values()):
            taxonomy = None  # all labels are at the top
        kind = "single" if taxonomy is None and self.kind == "path" else self.kind
        return replace(self, kind=kind, labels=names, y=y, taxonomy=taxonomy, detailed=self)

    def to_ordinal(self, order: Sequence[str]) -> Self:
        """Make an ordinal target of a single-label one: `order` names every label, the lowest first.

        ("numbers",) sorts labels that are numbers. Raises CallError for another kind, for a label that is missing,
        named twice or not a number, and UnknownName for a label that no document has.
        """
        if self.kind != "single":
            raise CallError(
                f"--order needs the kind 'single', one label per document: these labels are of kind '{self.kind}'. "
                "Leave it out."
            )
        names = _sort_by_number(self.labels) if list(order) == [NUMBERS] else list(map(self._as_read, order))
        for label in names:
            if label not in self.labels:
                raise UnknownName(f"--order names '{label}', which is not a label.{suggest_name(label, self.labels)}")
            if names.count(label) > 1:
                raise CallError(f"--order names '{label}' twice: name each label once, the lowest first.")
        missing = [label for label in self.labels if label not in names]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CallError(f"--order lacks '{missing[0]}'{more}: name every label, the lowest first.")
        ranks = np.array([names.index(label) for label in self.labels], dtype=np.int64)
        return replace(self, kind="ordinal", labels=tuple(names), y=ranks[self.y])

    def _as_read(self, label: str) -> str:
        """A label in the form in which readers read it, "1" for "1.0", unless it is a label as it is written."""
        return label if label in self.labels else canonical_label(label)

    @cached_property
    def hierarchy(self) -> Hierarchy | None:
        """The labels and the nodes above them as numbers; None without a taxonomy."""
        return None if self.taxonomy is None else Hierarchy.of(self.taxonomy, self.labels)

    @property
    def taxonomy_hash(self) -> str:
        """SHA-256 of the nodes above the labels; "" without a taxonomy."""
        if self.taxonomy is None:
            return ""
        return hashlib.sha256(
            json.dumps(sorted(self.taxonomy.restricted_to(self.labels).parents.items())).encode()
        ).hexdigest()

    @cached_property
    def strata(self) -> NDArray[Any] | Strata:
        """What folds and splits are stratified by: `y`, or `Hierarchy.strata` with a taxonomy."""
        return self.y if self.hierarchy is None else self.hierarchy.strata(self.y)

    @property
    def is_ordinal(self) -> bool:
        """Whether labels are ordered, so that the distance between two labels counts and not only equality."""
        return self.kind == "ordinal"

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of documents per label: int64 (labels,)."""
        if self.kind == "multilabel":
            return np.asarray(self.y.sum(axis=0), dtype=np.int64)
        return np.bincount(self.y, minlength=len(self.labels)).astype(np.int64)

    @property
    def names(self) -> NDArray[Any]:
        """`y` as scikit-learn takes it: label strings, object (documents,), or the bool matrix for multilabel."""
        return self.y if self.kind == "multilabel" else np.array(self.labels, dtype=object)[self.y]


def _level_codes(target: Target, hierarchy: Hierarchy, level: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The codes of the nodes at a level, int64 (documents,), and the names of those that labels are at or below."""
    nodes: dict[str, str] = {}
    for code, label in enumerate(target.labels):
        above = hierarchy.closure[[code]].indices
        above = above[hierarchy.depths[above] <= level]
        lowest = above[hierarchy.depths[above] == hierarchy.depths[above].max()]
        if len(lowest) > 1:
            first, second = (hierarchy.names[node] for node in lowest[:2])
            raise CallError(
                f"Label '{label}' is below '{first}' and below '{second}', so it has no single node at level {level}. "
                "Leave --scored-level out, or choose another level."
            )
        nodes[label] = hierarchy.names[lowest[0]]
    names = tuple(sorted(set(nodes.values())))
    code_of = {name: code for code, name in enumerate(names)}
    codes = np.array([code_of[nodes[label]] for label in target.labels], dtype=np.int64)
    return codes[target.y], names


def _level_matrix(target: Target, hierarchy: Hierarchy, level: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """The labels of documents down to a level, bool (documents, labels), and their names."""
    columns = np.flatnonzero(hierarchy.depths[: hierarchy.labels] <= level)
    return target.y[:, columns], tuple(target.labels[column] for column in columns.tolist())


def _sort_by_number(labels: Sequence[str]) -> list[str]:
    numbers: dict[float, str] = {}
    for label in labels:
        try:
            number = float(label)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise CallError(f"--order {NUMBERS}: '{label}' is not a number. Name the labels instead, the lowest first.")
        if number in numbers:
            raise CallError(
                f"--order {NUMBERS}: '{numbers[number]}' and '{label}' are the same number. "
                "Name the labels instead, the lowest first."
            )
        numbers[number] = label
    return [numbers[number] for number in sorted(numbers)]


def _encode_codes(
    column: CategoricalColumn[tuple[str, ...]], used: Sequence[int], columns: dict[str, int]
) -> NDArray[np.int64]:
    """The number of each document's label: int64 (documents,). used: the categories that occur."""
    numbers = np.full(len(column.categories), -1, dtype=np.int64)
    for code in used:
        if len(column.categories[code]) == 1:
            numbers[code] = columns[column.categories[code][0]]
    y = np.asarray(np.take(numbers, column.codes), dtype=np.int64)
    if len(y) and y.min() < 0:
        row = int(np.argmax(y < 0))
        count = f"{len(column[row])} labels" if column[row] else "no label"
        raise BadData(f"Document {row + 1} has {count}, but each must have exactly one.")
    return y


def _encode_matrix(
    column: CategoricalColumn[tuple[str, ...]], used: Sequence[int], columns: dict[str, int]
) -> NDArray[np.bool_]:
    """Which labels each document has: bool (documents, labels). used: the categories that occur."""
    has = np.zeros((len(column.categories), len(columns)), dtype=bool)
    for code in used:
        has[code, [columns[label] for label in column.categories[code]]] = True
    return np.asarray(np.take(has, column.codes, axis=0))
