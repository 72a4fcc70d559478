"""The attributes of a fitted head, and their form in head.json."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.detailed_labels import DetailedLabels
from heads.core.tabular_encoder import TabularEncoder

__all__ = ["FittedHead"]


class FittedHead:
    """The attributes of a fitted head. They are not hyperparameters, so they are not fields of the dataclass `Head`.

    classes_: the labels, sorted; the column numbers of a multi-label matrix.
    counts_: float64 (classes,), the sum of sample weights of each class.
    multilabel_: whether a document may have more than one label.
    dims_: view -> length of its vectors, for the views that the head read.
    tabular_: the encoder of tabular columns; None if the documents have none, or the head does not use them.
    detailed_: the detailed labels that the head learned, too; None if it learned the scored ones alone.
    detailed_head_: the head that was fitted on them, whose probabilities are summed; None if this head was.
    notes_: messages for the user.
    parameter_count_: how many numbers were learned.
    """

    classes_: NDArray[Any]
    counts_: NDArray[np.float64]
    multilabel_: bool
    dims_: dict[str, int]
    tabular_: TabularEncoder | None = None
    detailed_: DetailedLabels | None = None
    detailed_head_: Self | None = None
    notes_: tuple[str, ...]
    parameter_count_: int
    _label_dtype: np.dtype[Any]

    def _describe(self) -> dict[str, Any]:
        return {
            "kind": "multilabel" if self.multilabel_ else "single",
            "classes": self.classes_.tolist(),
            "dtypes": [self.classes_.dtype.str, self._label_dtype.str],
            "counts": self.counts_.tolist(),
            "dims": self.dims_,
            "tabular": None if self.tabular_ is None else self.tabular_.to_json(),
            "detailed": None if self.detailed_ is None else self.detailed_.to_json(),
            "parameter_count": self.parameter_count_,
            "notes": self.notes_,
        }

    def _restore(self, content: Mapping[str, Any]) -> None:
        classes, labels = (np.dtype(text) for text in content["dtypes"])
        self.classes_, self._label_dtype = np.array(content["classes"], dtype=classes), labels
        self.counts_ = np.array(content["counts"], dtype=np.float64)
        if self.counts_.shape != self.classes_.shape:
            raise ValueError(f"{len(self.counts_)} counts for {len(self.classes_)} classes")
        self.multilabel_ = content["kind"] == "multilabel"
        self.dims_ = {str(view): int(dim) for view, dim in content["dims"].items()}
        self.tabular_ = None if content.get("tabular") is None else TabularEncoder.from_json(content["tabular"])
        self.detailed_ = None if content.get("detailed") is None else DetailedLabels.from_json(content["detailed"])
        self.notes_ = tuple(content["notes"])

    def _restore_detailed(self, detailed: DetailedLabels) -> Self:
        """A copy whose classes are the detailed labels, before `_load` reads what was learned of them."""
        restored = copy(self)
        restored.classes_, restored.counts_, restored.detailed_ = detailed.classes, detailed.counts, None
        return restored
