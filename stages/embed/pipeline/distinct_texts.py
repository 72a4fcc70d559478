"""The texts of a corpus, or of a part of it, by their keys: what each step of stage one knows of a document."""

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
    """All distinct texts of a part.

    keys: of every document of the corpus, in their order. inside: bool (documents,), which are in the part. rows:
    int64, the first document of each distinct text of the part, rising.
    """

    documents: Documents
    keys: KeyList
    inside: NDArray[np.bool_]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, corpus: Corpus, part: CorpusPart = WHOLE_CORPUS) -> Self:
        """Those of `part`."""
        documents = Documents.from_documents(corpus.documents)
        keys = KeyList.of_texts(documents.texts)
        inside, first = part.contains(keys), keys.first_rows()
        return cls(documents, keys, inside, first[inside[first]])

    def missing(self, store: FeatureStore | None) -> NDArray[np.int64]:
        """Those of `rows` whose text the store lacks; all where there is none."""
        return self.rows if store is None else self.rows[~store.keys.contains(self.keys[self.rows])]

    def missing_in_other_parts(self, store: FeatureStore) -> int:
        """Documents outside the part that no process has committed yet."""
        others = np.flatnonzero(~self.inside)
        if not len(others):
            return 0
        store.refresh()
        return int((~store.keys.contains(self.keys[others])).sum())

    def pairs(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, str]]:
        """Key and text of the documents numbered `rows`."""
        return ((self.keys[row], self.documents.texts[row]) for row in map(int, rows))

    def texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Of the documents numbered `rows`."""
        return [self.documents.texts[row] for row in map(int, rows)]
