"""What a corpus holds, in numbers that a user checks before hours of encoding: columns, labels, texts, duplicates."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.documents import Corpus, Document, Documents, Kind, Labels, is_group_of_texts
from data.packed import CategoricalColumn
from data.source_spec import ROLES, SourceSpec
from data.splits import Split
from data.taxonomy import Taxonomy
from data.text_format import plural

PERCENTILES = {"shortest": 0, "median": 50, "p95": 95, "longest": 100}  # of the lengths of texts
FIRST_DOCUMENTS = 3


@dataclass(frozen=True)
class TaxonomySummary:
    """A taxonomy in numbers.

    inner_labels: inner nodes that are labels. several_parents: nodes below more than one. one_child: inner nodes with
    a single child.
    """

    nodes: int
    levels: int
    leaves: int
    inner_labels: int
    several_parents: int
    one_child: int

    @classmethod
    def of(cls, taxonomy: Taxonomy, labels: Sequence[Labels]) -> "TaxonomySummary":
        """Summarize a taxonomy that has the labels of these documents."""
        names = {label for each in CategoricalColumn.of(labels).categories for label in each or ()}
        children = taxonomy.children
        return cls(
            nodes=len(taxonomy),
            levels=max(taxonomy.depths.values(), default=0),
            leaves=len(taxonomy.leaves),
            inner_labels=sum(bool(children[name]) for name in names),
            several_parents=sum(len(above) > 1 for above in taxonomy.parents.values()),
            one_child=sum(len(below) == 1 for below in children.values()),
        )

    def __str__(self) -> str:
        """The numbers in words, without what there is none of."""
        parts = [
            f"{plural(self.nodes, 'node')} on {plural(self.levels, 'level')}",
            plural(self.leaves, "leaf", "leaves"),
            self.inner_labels and plural(self.inner_labels, "inner node is a label", "inner nodes are labels"),
            self.several_parents
            and plural(self.several_parents, "node has several parents", "nodes have several parents"),
            self.one_child and plural(self.one_child, "inner node has one child", "inner nodes have one child"),
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class CorpusSummary:
    """A corpus in numbers.

    first_documents: up to `FIRST_DOCUMENTS`, so that a wrong column is seen.
    splits: documents per split.
    labels: label -> documents per split, the most frequent label first.
    groups: the different groups of the source.
    characters: the percentiles of the lengths of texts, by the names in `PERCENTILES`.
    duplicate_texts: documents whose text occurred before.
    """

    source: str
    spec: SourceSpec
    kind: Kind
    taxonomy: TaxonomySummary | None
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
            taxonomy=None if corpus.taxonomy is None else TaxonomySummary.of(corpus.taxonomy, documents.labels),
            documents=len(documents),
            splits={split: splits[split] for split in Split if splits[split]},
            labels=_count_labels(documents),
            unlabeled=sum(labels is None for labels in documents.labels),
            no_label_applies=sum(labels == () for labels in documents.labels),
            groups=sum(group is not None and not is_group_of_texts(group) for group in set(documents.groups)),
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
