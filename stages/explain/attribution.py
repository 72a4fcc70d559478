"""How much each item of a document spoke for a label: a function a method, all of one form.

A method that reads what a head has learned is one more function and one more line of `METHODS`.
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
_TOGETHER = 64 * 2**20


@dataclass(frozen=True)
class AttributionInput:
    """A document and a label, as a method sees them.

    bags: one document, with the views that the head reads. level: of LEVELS, what is weighed. owners: view -> which of
    `count` items of that level each of the view's own belongs to, int64, or None for a view that always stays whole.
    column: of the label in the head's scores; against: the same of another one, or None for all others.
    """

    head: Head
    bags: Bags
    level: str
    owners: Mapping[str, NDArray[np.int64] | None]
    count: int
    column: int
    against: int | None

    def margins(self, bags: Bags) -> NDArray[np.float64]:
        """How far each document of `bags` is on the label's side: float64 (documents,).

        Its log-odds, or where it is set against another label the logarithm of the ratio of the two probabilities;
        what a constant added to all logits does not change.
        """
        scores = self.head.decision_function(bags).astype(np.float64)
        own = scores[:, self.column]
        if self.against is not None:
            return np.asarray(own - scores[:, self.against])
        if self.head.multilabel_:
            return np.asarray(own)
        return np.asarray(own - np.logaddexp.reduce(np.delete(scores, self.column, axis=1), axis=1))

    def without(self, left_out: NDArray[np.bool_]) -> Bags:
        """The document as often as `left_out` (documents, count) has rows, each time without the items named there."""
        rows = np.zeros(len(left_out), dtype=np.int64)
        return Bags({name: self._without(name, view, left_out, rows) for name, view in self.bags.views.items()})

    def _without(self, name: str, view: Ragged, left_out: NDArray[np.bool_], rows: NDArray[np.int64]) -> Ragged:
        owner = self.owners[name]
        if owner is None:
            return view[rows]
        stays = ~left_out[:, owner]
        offsets = np.concatenate([[0], stays.sum(axis=1).cumsum()])
        return Ragged.from_flat(view.row(0)[np.nonzero(stays)[1]], offsets)


def occlusion(question: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """What the label's margin loses when an item is left out, everything else staying: float64 (count,).

    Erasure of Li et al. 2016 (arXiv 1612.08220, section 3), which asks any model that gives scores. Of what is said
    twice, each place alone is worth little: the other one still says it.
    """
    count, whole = question.count, question.margins(question.bags)
    size = sum(view.row(0).nbytes for view in question.bags.views.values())
    block = max(_TOGETHER // max(2 * size, 1), 1)  # views of half floats are widened
    lost = np.empty(count)
    for start in range(0, count, block):
        left_out = np.eye(min(block, count - start), count, k=start, dtype=bool)
        lost[start : start + block] = whole - question.margins(question.without(left_out))
        if report is not None:
            report(min(start + block, count), count)
    return lost


def attention(question: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """The share of a head's attention that each item gets, whatever the label: float64 (count,), of sum 1.

    Where a head looks is not why it decides (Jain & Wallace 2019, arXiv 1902.10186).
    """
    del report
    head: Any = question.head
    return _summed(question, head.attention_weights(question.bags)[0])


def gradient(question: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """Gradient of the label's margin times input, from the mean of the training documents on: float64 (count,).

    Shrikumar et al. 2016 (arXiv 1605.01713, section 1). One pass for any number of items, and exact only where the
    network is linear.
    """
    del report
    head: Any = question.head
    return _summed(question, head.gradient_times_input(question.bags, question.column, question.against)[0])


def coefficients(question: AttributionInput, report: Report | None = None) -> NDArray[np.float64]:
    """What a head over words adds for each token, coefficient x tf-idf: float64 (count,).

    An n-gram's part is shared by its tokens. Where a head reads vectors beside words, their part is in none.
    """
    del report
    head: Any = question.head
    return _summed(question, head.coefficients_times_input(question.bags, question.column, question.against)[0])


METHODS: Mapping[str, Callable[[AttributionInput, Report | None], NDArray[np.float64]]] = {
    "occlusion": occlusion,
    "attention": attention,
    "gradient": gradient,
    "coefficients": coefficients,
}
_ASKED_OF = {  # what a head must have for a method, and what is said of one that lacks it
    "attention": ("attention_weights", "gives no attention weights; the head attention does"),
    "gradient": ("gradient_times_input", "is no network and has no gradients"),
    "coefficients": ("coefficients_times_input", "has no coefficients of words; tfidf and fused do"),
}


def check_method(head: Head, method: str) -> None:
    """Raise CallError for a method that `head` has nothing for."""
    needed, lacking = _ASKED_OF.get(method, ("", ""))
    if needed and not hasattr(head, needed):
        raise CallError(f"{head.name} {lacking}. Take --method occlusion, which asks any head.")


def _summed(question: AttributionInput, of_steps: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the items of a head's first view got, by the items of the question that they belong to."""
    owner = question.owners[question.head.reads[0]]
    if owner is None:  # refused before, as the first view is the finest
        raise CallError("Nothing that this head reads is as fine as that.")
    return np.bincount(owner, weights=of_steps, minlength=question.count).astype(np.float64)
