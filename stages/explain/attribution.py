"""The attribution methods: how much each unit (chunk, segment or token) of a document contributes to a label.

All methods have the same signature. Another method is one more function and one more line in METHODS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import Bags, Ragged
from heads.core.head import Head

Report = Callable[[int, int], None]

# bytes of altered documents that are scored together
_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class AttributionInput:
    """A document and a label, as an attribution method receives them.

    Attributes:
        head: the fitted head.
        bags: the document, with the views that the head reads.
        level: one of LEVELS, or WORDS, the level of the units.
        owners: view -> int64 (items,), the unit that each item of the view belongs to; None for a view that is coarser
            than the units and always stays whole.
        count: number of units.
        column: column of the label in the head's scores.
        against: column of another label, or None for all others.
    """

    head: Head
    bags: Bags
    level: str
    owners: Mapping[str, NDArray[np.int64] | None]
    count: int
    column: int
    against: int | None

    def margins(self, bags: Bags) -> NDArray[np.float64]:
        """How strongly the head predicts the label for each document of `bags`: float64 (documents,).

        The log-odds of the label. Against another label, the logarithm of the ratio of the two probabilities; for a
        multi-label head, which gives each label log-odds of its own, the difference of the two. A constant that is
        added to all scores of a head with one label per document changes neither.
        """
        scores = self.head.decision_function(bags).astype(np.float64)
        label_scores = scores[:, self.column]
        if self.against is not None:
            return np.asarray(label_scores - scores[:, self.against])
        if self.head.multilabel_:
            return np.asarray(label_scores)
        return np.asarray(label_scores - np.logaddexp.reduce(np.delete(scores, self.column, axis=1), axis=1))

    def remove_units(self, mask: NDArray[np.bool_]) -> Bags:
        """One copy of the document per row of `mask`, bool (copies, count), without the units that are True there."""
        rows = np.zeros(len(mask), dtype=np.int64)
        views = {name: self._remove_items(name, view, mask, rows) for name, view in self.bags.views.items()}
        return Bags(views, tabular=None if self.bags.tabular is None else self.bags.tabular[rows])

    def _remove_items(self, name: str, view: Ragged, mask: NDArray[np.bool_], rows: NDArray[np.int64]) -> Ragged:
        owners = self.owners[name]
        if owners is None:
            return view[rows]
        kept = ~mask[:, owners]
        offsets = np.concatenate([[0], kept.sum(axis=1).cumsum()])
        return Ragged.from_flat(view.row(0)[np.nonzero(kept)[1]], offsets)


def occlusion(inputs: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """The decrease of the label's margin when a unit is left out and all others stay: float64 (count,).

    This is the erasure of Li et al. 2016 (arXiv 1612.08220, section 3), which works for any model that returns scores.
    Evidence that occurs twice has a small contribution in each place, because the other place remains.
    """
    count, full_margin = inputs.count, inputs.margins(inputs.bags)
    size = sum(view.row(0).nbytes for view in inputs.bags.views.values())
    block = max(_BLOCK_BYTES // max(2 * size, 1), 1)  # views in half precision are widened to float32
    decrease = np.empty(count)
    for start in range(0, count, block):
        mask = np.eye(min(block, count - start), count, k=start, dtype=bool)
        decrease[start : start + block] = full_margin - inputs.margins(inputs.remove_units(mask))
        if report is not None:
            report(min(start + block, count), count)
    return decrease


def attention(inputs: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """The share of the head's attention that each unit gets, for any label: float64 (count,), with sum 1.

    Attention weights do not explain a decision (Jain & Wallace 2019, arXiv 1902.10186).
    """
    del report
    head: Any = inputs.head
    return _sum_per_unit(inputs, head.attention_weights(inputs.bags)[0])


def gradient(inputs: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """Gradient of the label's margin times input, relative to the mean of the training documents: float64 (count,).

    Shrikumar et al. 2016 (arXiv 1605.01713, section 1). It takes one pass for any number of units, and is exact only
    for a linear network.
    """
    del report
    head: Any = inputs.head
    return _sum_per_unit(inputs, head.gradient_times_input(inputs.bags, inputs.column, inputs.against)[0])


def coefficients(inputs: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """The contribution of each token in a head over n-grams, coefficient times tf-idf: float64 (count,).

    The contribution of an n-gram is shared by its tokens. If the head also reads vectors, their contribution is not
    included.
    """
    del report
    head: Any = inputs.head
    return _sum_per_unit(inputs, head.coefficients_times_input(inputs.bags, inputs.column, inputs.against)[0])


METHODS: Mapping[str, Callable[[AttributionInput, Report | None], NDArray[np.float64]]] = {
    "occlusion": occlusion,
    "attention": attention,
    "gradient": gradient,
    "coefficients": coefficients,
}
# the method of a head that an attribution method calls, and the message for a head without it
_REQUIREMENTS = {
    "attention": ("attention_weights", "has no attention weights; the head attention has"),
    "gradient": ("gradient_times_input", "is not a network and has no gradients"),
    "coefficients": ("coefficients_times_input", "has no coefficients of n-grams; tfidf and fused have"),
}


def check_method(head: Head, method: str) -> None:
    """Raise CallError if the attribution method does not work for this kind of head."""
    attribute, reason = _REQUIREMENTS.get(method, ("", ""))
    if attribute and not hasattr(head, attribute):
        raise CallError(f"{head.name} {reason}. Use --method occlusion, which works for every head.")


def _sum_per_unit(inputs: AttributionInput, contributions: NDArray[np.float32]) -> NDArray[np.float64]:
    """The contributions of the items of a head's first view, summed over the items of each unit."""
    owners = inputs.owners[inputs.head.reads[0]]
    if owners is None:  # refused before, because the first view is the finest
        raise CallError(f"{inputs.head.name} reads nothing as fine as {inputs.level}. Choose a coarser --by.")
    return np.bincount(owners, weights=contributions, minlength=inputs.count).astype(np.float64)
