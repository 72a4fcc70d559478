"""Which documents an encoder learns from: never test documents, their duplicates or their groups.

    corpus -> test split                                         never read
           -> duplicates and groups of the test split            never read
           -> held-out documents, whole groups, stratified       not learned from: for perplexity, and to score heads
           -> duplicates of held-out documents in other groups   not learned from
           -> all others, documents of a validation split too    learned from

Texts that differ only in case and white space count as duplicates.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import BadData, CallError
from data.packed import CategoricalColumn
from data.splits import Split, stratified_split
from data.splitting.train_test_split import group_hashes
from data.target import Target

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """Rows of a corpus, increasing.

    learned: the documents to learn from. held_out: training documents that are not learned from.
    """

    learned: Rows
    held_out: Rows


class TrainingDocuments:
    """The documents of a corpus that an encoder may learn from.

    Attributes:
        corpus: The corpus.
        documents: Its documents, as columns.
        rows: The documents that may be learned from.
        is_test: bool (documents,), the test split.
        is_related: bool (documents,), documents outside the test split that have a text or a group of it.
        unlabeled: How many of the others have no label.
    """

    def __init__(self, corpus: Corpus, *, with_labels: bool, include_test: bool = False) -> None:
        """Select the documents.

        Args:
            corpus: Documents with splits, as `assign_splits` returns them.
            with_labels: Whether labels are learned; documents without labels are left out then.
            include_test: Whether the texts of the test split are used, too.

        Raises:
            BadData: There is no such document, or the labels cannot be learned.
            CallError: Labels would be learned from the test split.
        """
        if with_labels and include_test:
            raise CallError("--include-test-text is for methods without labels. Remove it, or choose another --method.")
        self.corpus, self.documents = corpus, Documents.from_documents(corpus.documents)
        self._texts = self.documents.hash_texts()
        self.is_test = np.fromiter((split == Split.TEST for split in self.documents.splits), bool, len(self.documents))
        hidden = self.is_test & (not include_test)
        self.is_related = self._related_to(hidden)
        usable = ~hidden & ~self.is_related & ~self._texts.is_blank
        self.unlabeled = sum(self.documents.labels[row] is None for row in np.flatnonzero(usable).tolist())
        if with_labels:
            usable &= np.fromiter((labels is not None for labels in self.documents.labels), bool, len(self.documents))
        self.rows: Rows = np.flatnonzero(usable)
        self._check(with_labels=with_labels)

    def _check(self, *, with_labels: bool) -> None:
        source = self.corpus.source
        if with_labels and all(labels is None for labels in self.documents.labels):
            raise BadData(
                f"{source}: no document has a label. Name the label column with --label, or choose another --method."
            )
        if not len(self.rows):
            raise BadData(
                f"{source} has no training document to learn from: of {len(self.documents):,} documents, "
                f"{int(self.is_test.sum()):,} are the test split, {int(self.is_related.sum()):,} have a text or a "
                "group of it, and the others are blank or have no label."
            )
        if with_labels and np.count_nonzero(self.target(self.rows).counts) < 2:
            raise BadData(
                f"{source}: all training documents have the same label, so there is nothing to tell apart. Choose a "
                "--method without labels."
            )

    def _related_to(self, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The documents outside `hidden` that have a text or a group of a document in it: bool (documents,)."""
        groups = {group for group, is_hidden in zip(self.documents.groups, hidden, strict=True) if is_hidden} - {None}
        in_group = np.fromiter((group in groups for group in self.documents.groups), bool, len(self.documents))
        texts = self._texts.folded[hidden & ~self._texts.is_blank]
        return np.asarray((np.isin(self._texts.folded, texts) | in_group) & ~hidden)

    def target(self, rows: Rows) -> Target:
        """The labels of these documents as numbers; a document without a label has the label ""."""
        labels = CategoricalColumn(self.documents.labels[row] for row in rows.tolist())
        return Target.with_unlabeled(labels, self.corpus.kind, self.corpus.taxonomy)

    def hold_out(self, share: float, seed: int) -> Selection:
        """Hold out a share of the documents: stratified by label, whole groups. Raises BadData if none is left."""
        if not share:
            return Selection(self.rows, self.rows[:0])
        return self._without(self._split([1 - share, share], seed) == 1, f"--hold-out {share:g}")

    def folds(self, count: int, seed: int) -> list[Selection]:
        """One selection per fold, whose documents are held out: stratified by label, whole groups."""
        fold_of = self._split([1 / count] * count, seed)
        return [self._without(fold_of == fold, f"--cross-fit {count}") for fold in range(count)]

    def _split(self, shares: list[float], seed: int) -> NDArray[np.int32]:
        groups = group_hashes(self.documents, self._texts)[self.rows]
        return stratified_split(self.target(self.rows).strata, groups, shares, seed)

    def _without(self, is_held_out: NDArray[np.bool_], option: str) -> Selection:
        held_out = np.zeros(len(self.documents), dtype=bool)
        held_out[self.rows[is_held_out]] = True
        related = self._related_to(held_out)
        selection = Selection(self.rows[~is_held_out & ~related[self.rows]], np.flatnonzero(held_out))
        if not len(selection.learned) or not len(selection.held_out):
            part = "to learn from" if len(selection.held_out) else "held out"
            raise BadData(
                f"{self.corpus.source}: no document is {part} with {option}: documents of one group and with the same "
                "text stay together. Choose another share, or add documents."
            )
        return selection


def hash_labels(keys: Iterable[str], target: Target) -> str:
    """The hex sha256 of what is learned about texts, in whatever order: their keys with the labels, and the kind."""
    numbers = map(np.flatnonzero, target.y) if target.y.ndim == 2 else target.y[:, None]
    labels = ([target.labels[number] for number in document.tolist()] for document in numbers)
    return hashlib.sha256(json.dumps([target.kind, sorted(zip(keys, labels, strict=True))]).encode()).hexdigest()
