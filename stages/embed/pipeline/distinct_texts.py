"""The distinct texts of a corpus, or of a part of it, with their keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from featurestore import FeatureStore, KeyList
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart


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
        keys = KeyList.from_texts(documents.texts)
        in_part, first = part.contains(keys), keys.first_rows()
        return cls(documents, keys, in_part, first[in_part[first]])

    def missing(self, store: FeatureStore | None) -> NDArray[np.int64]:
        """The rows whose text `store` lacks; all rows if there is no store."""
        return self.rows if store is None else self.rows[~store.keys.contains(self.keys[self.rows])]

    def missing_in_other_parts(self, store: FeatureStore) -> int:
        """The number of documents outside the part that no process has committed yet."""
        others = np.flatnonzero(~self.in_part)
        if not len(others):
            return 0
        store.refresh()
        return int((~store.keys.contains(self.keys[others])).sum())

    def pairs(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, str]]:
        """Key and text of the documents at `rows`."""
        return ((self.keys[row], self.documents.texts[row]) for row in map(int, rows))

    def texts(self, rows: NDArray[np.int64]) -> list[str]:
        """The texts of the documents at `rows`."""
        return [self.documents.texts[row] for row in map(int, rows)]
