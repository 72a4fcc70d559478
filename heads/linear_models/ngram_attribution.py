"""Attribution of a label's margin to the tokens of a document, by the coefficients of their n-grams."""

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
    """The gradient of a class's margin with respect to the scores of one document.

    The margin is the class's score minus that of `against`; without `against` it is the log-odds of the class, which
    for a multi-label target is its score.

    Args:
        scores: (labels,).
        column: the class.
        against: the class to compare with, or None for all other classes.
        multilabel: whether the target is multi-label.

    Returns:
        float64 (labels,).
    """
    from scipy.special import softmax

    gradient = np.zeros(len(scores))
    if against is not None:
        gradient[against] = -1.0
    elif not multilabel and len(scores) > 1:
        others = np.delete(np.arange(len(scores)), column)
        gradient[others] = -softmax(scores[others].astype(np.float64))
    gradient[column] = 1.0
    return gradient


def attribute_to_tokens(
    tfidf: TfIdf,
    model: SparseLinearModel,
    bags: Bags,
    scores: NDArray[np.float32],
    margin: tuple[int, int | None],
    *,
    multilabel: bool,
) -> Iterator[NDArray[np.float32]]:
    """Attribute a margin of each document to its tokens: coefficient times tf-idf.

    The value of an n-gram is distributed evenly over its occurrences and their tokens. A token that the previous chunk
    contains too gets its value there, and 0 in the later chunk.

    Args:
        tfidf: the fitted transform.
        model: the linear model of its rows.
        bags: the documents.
        scores: (documents, labels).
        margin: `column` and `against` of `margin_gradient`.
        multilabel: whether the target is multi-label.

    Yields:
        For each document float32 (tokens,), in the order of the view "token_ids".
    """
    for row, document_scores in enumerate(scores):
        document = bags[[row]]
        tokens, ids = document.contiguous_tokens(), document.view("token_ids")
        ngrams = tfidf.transform(tokens, 1)
        gradient = margin_gradient(document_scores, *margin, multilabel=multilabel)
        values = np.zeros(len(tfidf.vocabulary))
        values[ngrams.indices] = ngrams.data * (model.coefficients[ngrams.indices] @ gradient)
        attribution = np.zeros(int(ids.length[0]), dtype=np.float32)
        first = ContiguousTokens.first_occurrences(ids, document.chunk_layout)
        attribution[first] = tfidf.vocabulary.distribute(tokens, values)
        yield attribution
