"""The labels of documents as numbers, made once and cut by rows ever after."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.documents import Kind
from data.errors import BadData, CallError, UnknownName, suggest_name
from data.taxonomy import Taxonomy

TargetKind: TypeAlias = Kind | Literal["ordinal"]  # a corpus has no order of its own: who fits says it
NUMBERS = "numbers"


@dataclass(frozen=True)
class Target:
    """What a head learns.

    labels: sorted, for ordinal from the lowest to the highest; the columns of every score matrix.
    y: for single, path and ordinal int64 (documents,), an index into `labels`; for several bool (documents, labels).
    """

    kind: TargetKind
    labels: tuple[str, ...]
    y: NDArray[Any]
    taxonomy: Taxonomy | None = None

    @classmethod
    def from_labels(
        cls,
        labels_of_each: Sequence[tuple[str, ...]],
        kind: Kind,
        taxonomy: Taxonomy | None = None,
        labels: Sequence[str] | None = None,
    ) -> Self:
        """A target of documents' labels, a tuple each; `labels` names the columns where some may not occur.

        Raises BadData where kind single or path finds no label or several, UnknownName for one not in `labels`.
        """
        found = {label for document in labels_of_each for label in document}
        names = tuple(sorted(found if labels is None else set(labels)))
        for label in sorted(found - set(names)):
            raise UnknownName(f"Label '{label}' is not among the {len(names)} known ones.{suggest_name(label, names)}")
        columns = {label: column for column, label in enumerate(names)}
        numbers = _matrix if kind == "multilabel" else _codes
        return cls(kind, names, numbers(labels_of_each, columns), taxonomy)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> Self:
        """The same labels for some documents: an index array, a mask or a slice."""
        return replace(self, y=self.y[rows])

    def to_ordinal(self, order: Sequence[str]) -> Self:
        """The same labels of the same documents, ordinal: `order` names each, the lowest first.

        ("numbers",) stands for labels that are numbers, in their order. Raises CallError for a kind that has no order,
        for a label that is left out, named twice or no number, and UnknownName for one that no document has.
        """
        if self.kind != "single":
            raise CallError(
                f"--order is for one label a document that is no path: these labels are of kind '{self.kind}'. "
                "Leave it out."
            )
        names = _by_number(self.labels) if list(order) == [NUMBERS] else list(order)
        for label in names:
            if label not in self.labels:
                raise UnknownName(f"--order names '{label}', which is no label.{suggest_name(label, self.labels)}")
            if names.count(label) > 1:
                raise CallError(f"--order names '{label}' twice: name each label once, the lowest first.")
        missing = [label for label in self.labels if label not in names]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CallError(f"--order leaves out '{missing[0]}'{more}: name every label, the lowest first.")
        places = np.array([names.index(label) for label in self.labels], dtype=np.int64)
        return replace(self, kind="ordinal", labels=tuple(names), y=places[self.y])

    @property
    def is_ordinal(self) -> bool:
        """Whether a label is higher the later its column: whether places count beside hits."""
        return self.kind == "ordinal"

    @property
    def counts(self) -> NDArray[np.int64]:
        """Documents of each label: int64 (labels,)."""
        if self.kind == "multilabel":
            return np.asarray(self.y.sum(axis=0), dtype=np.int64)
        return np.bincount(self.y, minlength=len(self.labels)).astype(np.int64)

    @property
    def names(self) -> NDArray[Any]:
        """`y` as scikit-learn takes it: label strings (object, (documents,)), or the bool matrix for several."""
        return self.y if self.kind == "multilabel" else np.array(self.labels, dtype=object)[self.y]


def _by_number(labels: Sequence[str]) -> list[str]:
    numbers: dict[float, str] = {}
    for label in labels:
        try:
            number = float(label)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise CallError(f"--order {NUMBERS}: '{label}' is no number. Name the labels instead, the lowest first.")
        if number in numbers:
            raise CallError(
                f"--order {NUMBERS}: '{numbers[number]}' and '{label}' are the same number. "
                "Name the labels instead, the lowest first."
            )
        numbers[number] = label
    return [numbers[number] for number in sorted(numbers)]


def _codes(labels_of_each: Sequence[tuple[str, ...]], columns: dict[str, int]) -> NDArray[np.int64]:
    for row, document in enumerate(labels_of_each, start=1):
        if len(document) != 1:
            found = f"{len(document)} labels" if document else "no label"
            raise BadData(f"Document {row} has {found} where each must have one.")
    return np.array([columns[document[0]] for document in labels_of_each], dtype=np.int64)


def _matrix(labels_of_each: Sequence[tuple[str, ...]], columns: dict[str, int]) -> NDArray[np.bool_]:
    y = np.zeros((len(labels_of_each), len(columns)), dtype=bool)
    for row, document in enumerate(labels_of_each):
        y[row, [columns[label] for label in document]] = True
    return y
