"""Tf-idf of n-grams of token ids: an exact vocabulary, and sparse rows. No text is needed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from featurestore import ContiguousTokens
from heads.core.saving import row_count

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["TfIdf", "Vocabulary", "document_frequency"]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The n-grams that are in enough documents. Nothing is hashed, so two n-grams never share a column.

    Attributes:
        codes: for n = 1, 2, ... one sorted int64 array (n-grams,). The code of a single token is its id. The code of a
            longer n-gram is the index of its first n - 1 tokens among the shorter n-grams, times the number of tokens,
            plus the index of its last token. An n-gram is in no more documents than its parts, so the parts of a kept
            n-gram are kept (Agrawal & Srikant 1994), and no code exceeds 64 bits.
    """

    codes: tuple[NDArray[np.int64], ...]

    @classmethod
    def fit(
        cls, tokens: ContiguousTokens, weight: NDArray[np.float64], max_n: int, min_df: float
    ) -> tuple[Self, "csr_matrix"]:
        """Learn the n-grams of documents.

        Args:
            tokens: the tokens of the documents.
            weight: (documents,), sample weights.
            max_n: length of the longest n-grams.
            min_df: an n-gram is kept if the documents that contain it weigh at least this much.

        Returns:
            The vocabulary, and the counts of its n-grams in the documents, float64 (documents, columns).
        """
        codes: list[NDArray[np.int64]] = []
        blocks = []
        index = token_index = tokens.ids.astype(np.int64)
        for n in range(1, max_n + 1):
            starts, candidates = np.arange(len(index)), index
            if n > 1:
                starts, candidates = _extend(tokens, index, token_index, len(codes[0]), n)
            distinct, column = np.unique(candidates, return_inverse=True)
            counts = _count(tokens.document[starts], column, (len(weight), len(distinct)))
            kept = document_frequency(counts, weight) >= min_df
            codes.append(distinct[kept])
            blocks.append(counts[:, np.flatnonzero(kept)])
            index = np.full(len(tokens.ids), -1)
            index[starts] = np.where(kept, np.cumsum(kept) - 1, -1)[column]
            token_index = index if n == 1 else token_index
        return cls(tuple(codes)), _concatenate_columns(blocks)

    def __len__(self) -> int:
        """The number of columns."""
        return sum(map(len, self.codes))

    def select(self, kept: NDArray[np.bool_]) -> Self:
        """The n-grams that `kept` (columns,) selects, in the same order; it selects the parts of each, too."""
        tokens, first, codes = len(self.codes[0]), 0, list[NDArray[np.int64]]()
        index = token_index = np.zeros(0, np.int64)
        for block in self.codes:
            block_kept = kept[first : first + len(block)]
            selected = block[block_kept]
            if codes:
                start, last = np.divmod(selected, tokens)
                selected = index[start] * len(codes[0]) + token_index[last]
            index = np.cumsum(block_kept) - 1
            token_index = token_index if codes else index
            codes.append(selected)
            first += len(block)
        return type(self)(tuple(codes))

    def columns_of(self, other: "Vocabulary") -> NDArray[np.int64]:
        """The column of each n-gram of `other`, int64 (columns of `other`,); -1 for one that is not here."""
        tokens, first, columns = len(other.codes[0]), 0, list[NDArray[np.int64]]()
        index = token_index = np.zeros(0, np.int64)
        for codes, candidates in zip(self.codes, other.codes, strict=True):
            if not columns:
                index = token_index = _lookup(codes, candidates)
            else:
                start, last = np.divmod(candidates, tokens)
                known = (index[start] >= 0) & (token_index[last] >= 0)
                found = _lookup(codes, index[start] * len(self.codes[0]) + token_index[last])
                index = np.where(known, found, -1)
            columns.append(np.where(index >= 0, first + index, -1))
            first += len(codes)
        return np.concatenate(columns)

    def count(self, tokens: ContiguousTokens, documents: int) -> "csr_matrix":
        """Count each n-gram in each document, float64 (documents, columns)."""
        blocks = [
            _count(tokens.document[index >= 0], index[index >= 0], (documents, len(codes)))
            for codes, index in zip(self.codes, self._find(tokens), strict=True)
        ]
        return _concatenate_columns(blocks)

    def distribute(self, tokens: ContiguousTokens, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distribute one value per n-gram (columns,) evenly over its occurrences in one document and their tokens.

        Returns:
            float64 (tokens,), the sum of the shares of each token.
        """
        shares, first = np.zeros(len(tokens.ids)), 0
        for n, (codes, index) in enumerate(zip(self.codes, self._find(tokens), strict=True), start=1):
            starts = np.flatnonzero(index >= 0)
            occurrences = np.bincount(index[starts], minlength=len(codes))[index[starts]]
            share = values[first + index[starts]] / (occurrences * n)
            for offset in range(n):
                shares[starts + offset] += share
            first += len(codes)
        return shares

    def _find(self, tokens: ContiguousTokens) -> Iterator[NDArray[np.int64]]:
        """For n = 1, 2, ... int64 (tokens,): the index of the n-gram that starts at each token, -1 if it is unknown."""
        index = token_index = _lookup(self.codes[0], tokens.ids.astype(np.int64))
        yield index
        for n, codes in enumerate(self.codes[1:], start=2):
            starts, candidates = _extend(tokens, index, token_index, len(self.codes[0]), n)
            index = np.full(len(tokens.ids), -1)
            index[starts] = _lookup(codes, candidates)
            yield index


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Rows of (1 + log count) idf, scaled to length 1, with idf = 1 + log((1 + documents) / (1 + document frequency)).

    Salton & Buckley 1988, "Term-weighting approaches in automatic text retrieval"; scikit-learn's TfidfVectorizer with
    sublinear_tf.

    Attributes:
        vocabulary: the n-grams.
        idf: float64 (columns,).
    """

    vocabulary: Vocabulary
    idf: NDArray[np.float64]

    @classmethod
    def fit(
        cls, tokens: ContiguousTokens, weight: NDArray[np.float64], max_n: int, min_df: float
    ) -> tuple[Self, "csr_matrix"]:
        """Learn vocabulary and idf; the arguments are those of `Vocabulary.fit`.

        Returns:
            The fitted transform, and the rows of the documents, float64 (documents, columns).
        """
        return cls.from_counts(*Vocabulary.fit(tokens, weight, max_n, min_df), weight)

    @classmethod
    def from_counts(
        cls, vocabulary: Vocabulary, counts: "csr_matrix", weight: NDArray[np.float64]
    ) -> tuple[Self, "csr_matrix"]:
        """As `fit`, from the counts of a vocabulary's n-grams, which are replaced by the rows."""
        tfidf = cls(vocabulary, 1 + np.log((1 + weight.sum()) / (1 + document_frequency(counts, weight))))
        return tfidf, tfidf.weigh(counts)

    def transform(self, tokens: ContiguousTokens, documents: int) -> "csr_matrix":
        """Rows of documents, float64 (documents, columns); zeros for a document without a known n-gram."""
        return self.weigh(self.vocabulary.count(tokens, documents))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted arrays, by their names in a file."""
        return {"idf": self.idf} | {f"codes_{n}": codes for n, codes in enumerate(self.vocabulary.codes, start=1)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], max_n: int) -> Self:
        """The transform with the arrays that `arrays` returned."""
        return cls(Vocabulary(tuple(arrays[f"codes_{n}"] for n in range(1, max_n + 1))), arrays["idf"])

    @staticmethod
    def array_shapes(path: Path, max_n: int) -> dict[str, tuple[int, ...]]:
        """The shapes of `arrays` in a file. Raises RunDamaged if an array is missing."""
        rows = {f"codes_{n}": row_count(path, f"codes_{n}") for n in range(1, max_n + 1)}
        return {name: (count,) for name, count in [*rows.items(), ("idf", sum(rows.values()))]}

    def weigh(self, counts: "csr_matrix") -> "csr_matrix":
        """Replace counts by the rows of tf-idf."""
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        filled = np.flatnonzero(np.diff(counts.indptr))
        length = np.ones(counts.shape[0])
        length[filled] = np.sqrt(np.add.reduceat(counts.data**2, counts.indptr[filled])) if len(filled) else 1.0
        counts.data /= length.repeat(np.diff(counts.indptr))
        return counts


def document_frequency(counts: "csr_matrix", weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Summed weight of the documents that contain each n-gram, float64 (columns,)."""
    weights = weight.repeat(np.diff(counts.indptr))
    return np.bincount(counts.indices, weights, counts.shape[1]).astype(np.float64)


def _extend(
    tokens: ContiguousTokens, index: NDArray[np.int64], token_index: NDArray[np.int64], known_tokens: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and codes of the n-grams within one passage whose first n - 1 tokens and last token are known."""
    last = n - 1
    same_passage = tokens.passage[:-last] == tokens.passage[last:]
    starts = np.flatnonzero(same_passage & (index[:-last] >= 0) & (token_index[last:] >= 0))
    return starts, index[starts] * known_tokens + token_index[starts + last]


def _lookup(codes: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of each candidate in the sorted codes, -1 if it is absent."""
    if not len(codes):
        return np.full(len(candidates), -1)
    index = np.minimum(np.searchsorted(codes, candidates), len(codes) - 1)
    return np.where(codes[index] == candidates, index, -1)


def _count(document: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> "csr_matrix":
    from scipy.sparse import csr_matrix

    counts = csr_matrix((np.ones(len(document)), (document, column)), shape)
    counts.sort_indices()
    return counts


def _concatenate_columns(blocks: list[Any]) -> "csr_matrix":
    from scipy.sparse import hstack

    return hstack(blocks, format="csr") if len(blocks) > 1 else blocks[0]
