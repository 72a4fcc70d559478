"""Word counts without words: n-grams of token ids, an exact vocabulary, and tf-idf rows as a sparse matrix."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import ContiguousTokens
from heads.core.examples import Examples
from heads.core.saving import rows_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["TfIdf", "Vocabulary", "fit_tfidf"]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The n-grams that occur in enough documents, without hashing: two never share a column.

    codes: for n = 1, 2, ... int64 (n-grams,), sorted: a token's id; then the place of the first n - 1 tokens among
    those of one less, times the number of tokens, plus the place of the last. An n-gram is in no more documents than
    its parts are, so the parts of one that is kept are kept (Agrawal & Srikant 1994), and no code outgrows 64 bits.
    """

    codes: tuple[NDArray[np.int64], ...]

    @classmethod
    def fit(
        cls, passages: ContiguousTokens, weight: NDArray[np.float64], longest: int, min_df: float
    ) -> tuple[Self, "csr_matrix"]:
        """The n-grams of 1 to `longest` tokens in documents that weigh `min_df` together, and their `counts`.

        weight: (documents,).
        """
        codes: list[NDArray[np.int64]] = []
        blocks = []
        place = tokens = passages.ids.astype(np.int64)
        for n in range(1, longest + 1):
            at, asked = np.arange(len(place)), place
            if n > 1:
                at, asked = _continued(passages, place, tokens, len(codes[0]), n)
            found, column = np.unique(asked, return_inverse=True)
            counts = _counted(passages.document[at], column, (len(weight), len(found)))
            kept = _documents_with(counts, weight) >= min_df
            codes.append(found[kept])
            blocks.append(counts[:, np.flatnonzero(kept)])
            place = np.full(len(passages.ids), -1)
            place[at] = np.where(kept, np.cumsum(kept) - 1, -1)[column]
            tokens = place if n == 1 else tokens
        return cls(tuple(codes)), _side_by_side(blocks)

    def __len__(self) -> int:
        """How many columns."""
        return sum(map(len, self.codes))

    def counts(self, passages: ContiguousTokens, documents: int) -> "csr_matrix":
        """How often each n-gram is in each document: float64 (documents, columns)."""
        blocks = [
            _counted(passages.document[place >= 0], place[place >= 0], (documents, len(codes)))
            for codes, place in zip(self.codes, self._places(passages), strict=True)
        ]
        return _side_by_side(blocks)

    def shared(self, passages: ContiguousTokens, added: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is `added` by each n-gram (columns,), as a share of each token of one document: float64 (tokens,)."""
        shares, first = np.zeros(len(passages.ids)), 0
        for n, (codes, place) in enumerate(zip(self.codes, self._places(passages), strict=True), start=1):
            at = np.flatnonzero(place >= 0)
            times = np.bincount(place[at], minlength=len(codes))[place[at]]
            each = added[first + place[at]] / (times * n)
            for token in range(n):
                shares[at + token] += each
            first += len(codes)
        return shares

    def _places(self, passages: ContiguousTokens) -> Iterator[NDArray[np.int64]]:
        """For n = 1, 2, ... int64 (tokens,): the place of the n-gram that begins there, -1 where it is not kept."""
        place = tokens = _found(self.codes[0], passages.ids.astype(np.int64))
        yield place
        for n, codes in enumerate(self.codes[1:], start=2):
            at, asked = _continued(passages, place, tokens, len(self.codes[0]), n)
            place = np.full(len(passages.ids), -1)
            place[at] = _found(codes, asked)
            yield place


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Rows of (1 + log count) idf, of length 1, with idf = 1 + log((1 + documents) / (1 + documents with the n-gram)).

    Salton & Buckley 1988, "Term-weighting approaches in automatic text retrieval"; scikit-learn's TfidfVectorizer with
    sublinear_tf. idf: float64 (columns,).
    """

    vocabulary: Vocabulary
    idf: NDArray[np.float64]

    @classmethod
    def fit(
        cls, passages: ContiguousTokens, weight: NDArray[np.float64], longest: int, min_df: float
    ) -> tuple[Self, "csr_matrix"]:
        """From documents that count by their weight (documents,), and their `rows`."""
        vocabulary, counts = Vocabulary.fit(passages, weight, longest, min_df)
        own = cls(vocabulary, 1 + np.log((1 + weight.sum()) / (1 + _documents_with(counts, weight))))
        return own, own._weighted(counts)

    def transform(self, passages: ContiguousTokens, documents: int) -> "csr_matrix":
        """float64 (documents, columns); zeros for a document without any n-gram of the vocabulary."""
        return self._weighted(self.vocabulary.counts(passages, documents))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What it is made of, by names for a file."""
        return {"idf": self.idf} | {f"codes_{n}": codes for n, codes in enumerate(self.vocabulary.codes, start=1)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], longest: int) -> Self:
        """From `arrays`."""
        return cls(Vocabulary(tuple(arrays[f"codes_{n}"] for n in range(1, longest + 1))), arrays["idf"])

    @staticmethod
    def array_shapes(path: Path, longest: int) -> dict[str, tuple[int, ...]]:
        """The shapes of `arrays` in a file. Raises RunDamaged where they are not there."""
        rows = {f"codes_{n}": rows_of(path, f"codes_{n}") for n in range(1, longest + 1)}
        return {name: (count,) for name, count in [*rows.items(), ("idf", sum(rows.values()))]}

    def _weighted(self, counts: "csr_matrix") -> "csr_matrix":
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        filled = np.flatnonzero(np.diff(counts.indptr))
        length = np.ones(counts.shape[0])
        length[filled] = np.sqrt(np.add.reduceat(counts.data**2, counts.indptr[filled])) if len(filled) else 1.0
        counts.data /= length.repeat(np.diff(counts.indptr))
        return counts


def fit_tfidf(examples: Examples, longest: int, min_df: float) -> tuple[TfIdf, "csr_matrix", str]:
    """What `TfIdf.learn` gives, and what the user should know of it, or "".

    Of documents that share no token, as a handful may, every token is learned. Raises CallError where there is none.
    """
    passages, weight = examples.bags.contiguous_tokens(), examples.sample_weight
    words, rows = TfIdf.fit(passages, weight, longest, min_df)
    if len(words.vocabulary):
        return words, rows, ""
    words, rows = TfIdf.fit(passages, weight, longest, float(weight.min()))
    if not len(words.vocabulary):
        raise CallError("The documents have no tokens: there are no words to learn from.")
    return words, rows, f"No token is in documents that weigh {min_df:g} together: all that there are were learned."


def _documents_with(counts: "csr_matrix", weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the documents with each n-gram weigh together: float64 (columns,)."""
    weights = weight.repeat(np.diff(counts.indptr))
    return np.bincount(counts.indices, weights, counts.shape[1]).astype(np.float64)


def _continued(
    passages: ContiguousTokens, place: NDArray[np.int64], tokens: NDArray[np.int64], known: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where n tokens of one passage begin whose first n - 1 and last are kept, and the codes of these n-grams."""
    last = n - 1
    within = passages.passage[:-last] == passages.passage[last:]
    at = np.flatnonzero(within & (place[:-last] >= 0) & (tokens[last:] >= 0))
    return at, place[at] * known + tokens[at + last]


def _found(codes: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each in the sorted `codes`, -1 where it is not there."""
    if not len(codes):
        return np.full(len(asked), -1)
    place = np.minimum(np.searchsorted(codes, asked), len(codes) - 1)
    return np.where(codes[place] == asked, place, -1)


def _counted(document: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> "csr_matrix":
    from scipy.sparse import csr_matrix

    counts = csr_matrix((np.ones(len(document)), (document, column)), shape)
    counts.sort_indices()
    return counts


def _side_by_side(blocks: list[Any]) -> "csr_matrix":
    from scipy.sparse import hstack

    return hstack(blocks, format="csr") if len(blocks) > 1 else blocks[0]
