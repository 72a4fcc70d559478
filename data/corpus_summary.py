"""What a corpus holds, in numbers that a user checks before hours of encoding: columns, labels, texts, duplicates."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.documents import Corpus, Document, Documents, Kind
from data.source_spec import ROLES, SourceSpec
from data.splits import Split

PERCENTILES = {"shortest": 0, "median": 50, "p95": 95, "longest": 100}  # of the lengths of texts
FIRST_DOCUMENTS = 3


@dataclass(frozen=True)
class CorpusSummary:
    """A corpus in numbers.

    first_documents: up to `FIRST_DOCUMENTS`, so that a wrong column is seen.
    splits: documents per split.
    labels: label -> documents per split, the most frequent label first.
    characters: the percentiles of the lengths of texts, by the names in `PERCENTILES`.
    duplicate_texts: documents whose text occurred before.
    """

    source: str
    spec: SourceSpec
    kind: Kind
    documents: int
    splits: dict[str, int]
    labels: dict[str, dict[str, int]]
    unlabeled: int
    no_label_applies: int
    groups: int
    characters: dict[str, int]
    blank_texts: int
    duplicate_texts: int
    first_documents: tuple[Document, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> "CorpusSummary":
        """Summarize a corpus whose documents have splits; reads each text once."""
        documents = Documents.from_documents(corpus.documents)
        texts, splits = documents.hash_texts(), Counter(documents.splits)
        hashes = texts.exact[~texts.is_blank]
        return cls(
            source=corpus.source,
            spec=corpus.spec,
            kind=corpus.kind,
            documents=len(documents),
            splits={split: splits[split] for split in Split if splits[split]},
            labels=_count_labels(documents),
            unlabeled=sum(labels is None for labels in documents.labels),
            no_label_applies=sum(labels == () for labels in documents.labels),
            groups=len(set(filter(None, documents.groups))) if corpus.spec.group else 0,
            characters={name: int(np.percentile(texts.lengths, rank)) for name, rank in PERCENTILES.items()},
            blank_texts=int(np.count_nonzero(texts.is_blank)),
            duplicate_texts=len(hashes) - len(np.unique(hashes)),
            first_documents=tuple(documents[:FIRST_DOCUMENTS]),
        )

    @property
    def columns(self) -> Iterator[tuple[str, str]]:
        """Each role that a column has, with the column's name."""
        return ((name, value) for name, value in self._settings() if name in ROLES)

    @property
    def notation(self) -> Iterator[tuple[str, str]]:
        """What the specification of the source says besides the roles of columns."""
        return ((name, value) for name, value in self._settings() if name not in (*ROLES, "files"))

    def _settings(self) -> Iterator[tuple[str, str]]:
        for name, value in self.spec.to_json().items():
            if value:
                yield name, ", ".join(value) if isinstance(value, list) else str(value).replace("\n", r"\n")

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON."""
        return asdict(self) | {"spec": self.spec.to_json()}


def _count_labels(documents: Documents) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for split, labels in zip(documents.splits, documents.labels, strict=True):
        for label in labels or ():
            counts.setdefault(label, Counter())[str(split)] += 1
    by_frequency = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    return {label: dict(count) for label, count in by_frequency}
