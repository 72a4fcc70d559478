"""Counts of n-grams that all fits of a command share. The vocabulary and the idf of a fit are of its own documents.

An n-gram that enough documents of a fit contain is in at least as many of all documents. So the counts of a fit are
some rows and columns of the counts of all documents, and equal what the fit would count itself.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import Bags, Ragged
from heads.core.inputs import Examples
from heads.linear_models.ngrams import TfIdf, Vocabulary, document_frequency

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["NgramCounting", "NgramCounts", "fit_tfidf", "transform_tfidf"]


@dataclass(frozen=True)
class NgramCounting:
    """Counts n-grams of at most `max_n` tokens that at least `min_df` documents contain; a key of `Bags.computed`."""

    max_n: int
    min_df: float

    def compute(self, bags: Bags) -> "NgramCounts":
        """Count them in all documents. Raises UnknownName if the token ids were not kept."""
        vocabulary, counts = Vocabulary.fit(bags.contiguous_tokens(), np.ones(len(bags)), self.max_n, self.min_df)
        columns = Ragged.from_flat(counts.indices.astype(np.int32), counts.indptr)
        return NgramCounts(vocabulary, columns, Ragged.from_flat(counts.data.astype(np.float32), counts.indptr))

    def find(self, bags: Bags) -> "NgramCounts | None":
        """The counts that were computed before for these documents."""
        found = bags.computed.get(self)
        return found if isinstance(found, NgramCounts) else None


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """Sparse counts: `columns` int32 and `counts` float32, one row of n-grams per document."""

    vocabulary: Vocabulary
    columns: Ragged
    counts: Ragged

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Self:
        """Select documents."""
        return type(self)(self.vocabulary, self.columns[rows], self.counts[rows])

    def matrix(self) -> "csr_matrix":
        """The counts as float64 (documents, columns)."""
        from scipy.sparse import csr_matrix

        shape = len(self.counts), len(self.vocabulary)
        return csr_matrix((self.counts.gather(np.float64)[0], *self.columns.gather()), shape)


def fit_tfidf(examples: Examples, counting: NgramCounting) -> tuple[TfIdf, "csr_matrix", str]:
    """Fit tf-idf; if no n-gram reaches `min_df`, as in a handful of documents, keep every n-gram.

    Args:
        examples: the documents.
        counting: length of the longest n-grams, and the lowest document frequency of one, by sample weight.

    Returns:
        The transform, the rows of the documents, and a note for the user, or "".

    Raises:
        CallError: the documents have no tokens.
    """
    max_n, min_df = counting.max_n, counting.min_df
    weight, shared = examples.sample_weight, counting.find(examples.bags)
    if shared is not None and weight.max() <= 1:  # a larger weight may raise an n-gram that was not counted to min_df
        tfidf, rows = _fit_shared(shared, weight, min_df)
    else:
        tfidf, rows = TfIdf.fit(examples.bags.contiguous_tokens(), weight, max_n, min_df)
    if len(tfidf.vocabulary):
        return tfidf, rows, ""
    tfidf, rows = TfIdf.fit(examples.bags.contiguous_tokens(), weight, max_n, float(weight.min()))
    if not len(tfidf.vocabulary):
        raise CallError("The documents have no tokens, so there are no n-grams to learn. Check the text column.")
    return tfidf, rows, f"No token has a document frequency of min_df={min_df:g}, so every n-gram was kept."


def _fit_shared(shared: NgramCounts, weight: NDArray[np.float64], min_df: float) -> tuple[TfIdf, "csr_matrix"]:
    counts = shared.matrix()
    kept = document_frequency(counts, weight) >= min_df
    return TfIdf.from_counts(shared.vocabulary.select(kept), counts[:, np.flatnonzero(kept)], weight)


def transform_tfidf(tfidf: TfIdf, bags: Bags, counting: NgramCounting) -> "csr_matrix":
    """Rows of documents, float64 (documents, columns), from counts of all of its n-grams if there are such."""
    shared = counting.find(bags)
    if shared is not None:
        columns = shared.vocabulary.columns_of(tfidf.vocabulary)
        if (columns >= 0).all():
            return tfidf.weigh(shared.matrix()[:, columns])
    return tfidf.transform(bags.contiguous_tokens(), len(bags))
