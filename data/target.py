"""The labels of documents as numbers, made once and cut by rows ever after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Kind
from data.errors import BadData, UnknownName, nearest
from data.taxonomy import Taxonomy


@dataclass(frozen=True)
class Target:
    """What a head learns.

    labels: sorted; the columns of every score matrix.
    y: for single and path int64 (documents,), an index into `labels`; for several bool (documents, labels).
    """

    kind: Kind
    labels: tuple[str, ...]
    y: NDArray[Any]
    taxonomy: Taxonomy | None = None

    @classmethod
    def of(
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
            raise UnknownName(f"Label '{label}' is not among the {len(names)} known ones.{nearest(label, names)}")
        columns = {label: column for column, label in enumerate(names)}
        numbers = _matrix if kind == "several" else _codes
        return cls(kind, names, numbers(labels_of_each, columns), taxonomy)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> Self:
        """The same labels for some documents: an index array, a mask or a slice."""
        return replace(self, y=self.y[rows])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Documents of each label: int64 (labels,)."""
        if self.kind == "several":
            return np.asarray(self.y.sum(axis=0), dtype=np.int64)
        return np.bincount(self.y, minlength=len(self.labels)).astype(np.int64)

    @property
    def names(self) -> NDArray[Any]:
        """`y` as scikit-learn takes it: label strings (object, (documents,)), or the bool matrix for several."""
        return self.y if self.kind == "several" else np.array(self.labels, dtype=object)[self.y]


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
