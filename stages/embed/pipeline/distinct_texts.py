"""The distinct texts of a corpus, or of a part of it, with their keys."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import BadData
from data.packed import Rows, StreamedTexts, texts_at
from featurestore import FeatureStore, KeyList, text_key
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart
from stages.embed.windows.tokens import never_stop

MOST_SAMPLED_FROM = 200_000  # texts; of more, only this number is read for a sample:
SAMPLED_TEXTS = 20_000
_BLOCK_ROWS = 2**18  # whose keys are copied at a time


@dataclass(frozen=True)
class DistinctTexts:
    """The distinct texts of one part of a corpus.

    documents: all of the corpus. keys: the key of each document's text. in_part: bool (documents,), whether a document
    is in the part. rows: int64, the first document of each distinct text of the part, increasing.
    """

    documents: Documents
    keys: KeyList
    in_part: NDArray[np.bool_]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, corpus: Corpus, part: CorpusPart = WHOLE_CORPUS) -> Self:
        """The distinct texts of `part`."""
        documents = Documents.from_documents(corpus.documents)
        keys = KeyList(documents.hashes.keys) if documents.hashes else KeyList.from_texts(documents.texts)
        in_part, first = part.contains(keys), keys.first_rows()
        return cls(documents, keys, in_part, first[in_part[first]])

    def missing(self, store: FeatureStore | None) -> NDArray[np.int64]:
        """The rows whose text `store` lacks by now; all rows if there is no store."""
        return self.rows if store is None else self._without_features(self.rows, store)

    def missing_in_other_parts(self, store: FeatureStore) -> int:
        """The number of documents outside the part that no process has committed yet."""
        others = np.flatnonzero(~self.in_part)
        return len(self._without_features(others, store)) if len(others) else 0

    def _without_features(self, rows: NDArray[np.int64], store: FeatureStore) -> NDArray[np.int64]:
        store.refresh()
        known = store.keys
        blocks = (rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS))
        return np.concatenate([rows[:0], *(block[~known.contains(self.keys[block])] for block in blocks)])

    def pairs(
        self, rows: NDArray[np.int64], is_cancelled: Callable[[], bool] = never_stop
    ) -> Iterator[tuple[str, str]]:
        """Key and text of the documents at `rows`, which are increasing.

        Args:
            rows: the documents.
            is_cancelled: whether they are no longer needed.

        Raises:
            BadData: a streamed text is another one now than when it was hashed.
            CancelledError: `is_cancelled` returned true.
        """
        if not isinstance(self.documents.texts, StreamedTexts):
            return ((self.keys[row], self.documents.texts[row]) for row in map(int, rows))
        return self._checked_pairs(rows, self.documents.texts.select(rows, is_cancelled))

    def _checked_pairs(self, rows: NDArray[np.int64], texts: Iterator[str]) -> Iterator[tuple[str, str]]:
        blocks = (rows[start : start + _BLOCK_ROWS].tolist() for start in range(0, len(rows), _BLOCK_ROWS))
        # the texts first, so that the selection ends and the next one continues there
        for text, row in zip(texts, (row for block in blocks for row in block), strict=True):
            key = text_key(text)
            if key != self.keys[row]:
                raise BadData(
                    f"The text of document '{self.documents.ids[row]}' changed while it was being embedded. Run the "
                    "same command again; what was encoded is kept."
                )
            yield key, text

    def texts(self, rows: NDArray[np.int64]) -> Iterator[str]:
        """The texts of the documents at `rows`, in this order."""
        return texts_at(self.documents.texts, rows)

    def sample(self, rows: NDArray[np.int64]) -> "TextSample":
        """The texts at `rows`, to draw a sample from; of many rows a random choice of them, equal for equal rows."""
        if len(rows) > MOST_SAMPLED_FROM:
            chosen = random.Random(0).sample(range(len(rows)), SAMPLED_TEXTS)
            rows = rows[np.sort(np.array(chosen, dtype=np.int64))]
        return TextSample(self.documents.texts, rows)

    def characters(self, rows: NDArray[np.int64]) -> int:
        """The characters of the texts at `rows`."""
        if self.documents.hashes is not None:
            return int(self.documents.hashes.lengths[rows].sum(dtype=np.int64))
        return sum(map(len, self.texts(rows)))


class TextSample(Rows[str]):
    """Some texts of a corpus, which are read when the first of them is used: `embed` seldom needs them."""

    def __init__(self, texts: Sequence[str], rows: NDArray[np.int64]) -> None:
        self._source, self._rows = texts, rows

    @cached_property
    def _texts(self) -> list[str]:
        return list(texts_at(self._source, self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> str:
        """The text at `index`."""
        return self._texts[index]
