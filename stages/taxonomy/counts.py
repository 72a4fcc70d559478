"""A taxonomy with the number of documents at and below each node."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from data.corpus_summary import TaxonomySummary
from data.documents import Labels
from data.splits import Split
from data.splitting.train_test_split import parse_split_name
from data.taxonomy import Taxonomy
from data.text_format import plural

__all__ = ["CountedTaxonomy"]

_NO_SPLIT = ""


@dataclass(frozen=True)
class CountedTaxonomy:
    """A taxonomy, and the documents of a corpus at its nodes; without a corpus there are none.

    Attributes:
        name: name of the corpus, or of the file of the taxonomy.
        taxonomy: the nodes and their parents.
        documents: number of documents with a label.
        below: node -> documents that have it or a node below it as a label.
        labeled: node -> documents that have the node itself as a label.
        splits: split -> node -> documents, as `below`; the splits that documents have.
        notes: sentences on how it was read.
    """

    name: str
    taxonomy: Taxonomy
    documents: int = 0
    below: Mapping[str, int] = field(default_factory=dict)
    labeled: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_corpus(cls, name: str, taxonomy: Taxonomy, labels: Sequence[Labels], splits: Sequence[str | None]) -> Self:
        """Count documents.

        Args:
            name: name of the corpus.
            taxonomy: its taxonomy, with all labels.
            labels: of each document; None if it is unlabeled.
            splits: of each document, as its source names it; None if it is not known.

        Returns:
            The counts. A document with several labels counts once at each node.
        """
        below, labeled = dict[str, Counter[str]](), Counter[str]()
        names_of_splits = (parse_split_name(split or "") or _NO_SPLIT for split in splits)
        rows = Counter(zip(labels, names_of_splits, strict=True))
        for (names, split), count in rows.items():
            for node in {node for name in names or () for node in taxonomy.ancestors(name)}:
                below.setdefault(split, Counter())[node] += count
            labeled.update(dict.fromkeys(names or (), count))
        known = [split.value for split in Split if split.value in below]
        return cls(
            name,
            taxonomy,
            documents=sum(count for (names, _), count in rows.items() if names is not None),
            below=sum(below.values(), Counter()),
            labeled=labeled,
            splits={split: below[split] for split in known},
        )

    @cached_property
    def inner_labels(self) -> frozenset[str]:
        """The inner nodes that are labels of documents."""
        return frozenset(node for node in self.labeled if self.taxonomy.children[node])

    @cached_property
    def single_children(self) -> frozenset[str]:
        """The inner nodes with one child."""
        return frozenset(node for node, below in self.taxonomy.children.items() if len(below) == 1)

    @property
    def summary(self) -> str:
        """The taxonomy in one sentence."""
        documents = f"; {plural(self.documents, 'document')}" if self.documents else ""
        return f"{self.name}: {TaxonomySummary.of(self.taxonomy, [(label,) for label in self.labeled])}{documents}."

    def to_json(self) -> dict[str, Any]:
        """The nodes with their counts as plain values, parents before their children."""
        return {
            "name": self.name,
            "levels": max(self.taxonomy.depths.values(), default=0),
            "leaves": len(self.taxonomy.leaves),
            "is_tree": self.taxonomy.is_tree,
            "documents": self.documents,
            "nodes": [self._node_to_json(node) for node in self.taxonomy.nodes],
        }

    def _node_to_json(self, node: str) -> dict[str, Any]:
        return {
            "node": node,
            "parents": list(self.taxonomy.parents[node]),
            "level": self.taxonomy.depths[node],
            "children": len(self.taxonomy.children[node]),
            "documents": self.below.get(node, 0),
            "documents_at_node": self.labeled.get(node, 0),
            **{split: counts.get(node, 0) for split, counts in self.splits.items()},
        }
