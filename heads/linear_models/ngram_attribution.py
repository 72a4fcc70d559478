"""What each token of a document adds to a label's margin, by the coefficients of the n-grams that it is in."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags, ContiguousTokens
from heads.linear_models.ngrams import TfIdf
from heads.linear_models.svm import SparseLinearModel

__all__ = ["attribute_to_tokens", "margin_gradient"]


def margin_gradient(
    scores: NDArray[np.float32], column: int, against: int | None, *, multilabel: bool
) -> NDArray[np.float64]:
    """How much a margin moves with each score, float64 (labels,), at the scores (labels,) of one document.

    The margin of class `column` is its log-odds, or what its score is above that of `against`; of several labels a
    document it is the score itself.
    """
    slope = np.zeros(len(scores))
    if against is not None:
        slope[against] = -1.0
    elif not multilabel and len(scores) > 1:
        others = np.delete(np.arange(len(scores)), column)
        shares = np.exp(scores[others] - scores[others].max(), dtype=np.float64)
        slope[others] = -shares / shares.sum()
    slope[column] = 1.0
    return slope


def attribute_to_tokens(
    words: TfIdf,
    linear: SparseLinearModel,
    bags: Bags,
    scores: NDArray[np.float32],
    asked: tuple[int, int | None],
    *,
    multilabel: bool,
) -> Iterator[NDArray[np.float32]]:
    """What each token adds, float32 (tokens,) a document, in the order of "token_ids": coefficient x tf-idf.

    scores: (documents, labels). asked: column and against of `margin_gradient`. What an n-gram adds is shared evenly
    by the places where it stands and by the tokens of each. A token that the chunk before has too counts there, and
    adds 0 here.
    """
    for row, at in enumerate(scores):
        own = bags[[row]]
        passages, slope = own.contiguous_tokens(), margin_gradient(at, *asked, multilabel=multilabel)
        found = words.transform(passages, 1)
        added = np.zeros(len(words.vocabulary))
        added[found.indices] = found.data * (linear.coefficients[found.indices] @ slope)
        every = np.zeros(int(own.view("token_ids").length[0]), dtype=np.float32)
        every[ContiguousTokens.first_occurrences(own.view("token_ids"), own.chunk_layout)] = words.vocabulary.shared(
            passages, added
        )
        yield every
