"""The labeled documents that heads are fitted and scored on, and the store and corpus that they come from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, FileMissing, UnknownName, suggest_name
from data.splits import Split
from data.target import Target
from data.text_format import join_names, plural
from featurestore import Bags, CorpusTable, FeatureSource, FeatureStore, JoinedStores, newest_store
from heads.core.head import Head
from heads.evaluation.decisions.heldout import HeldOut
from heads.evaluation.score_matrix import align_scores
from stages.fitting.runs import Run


def open_store(path: Path | None, folder: Path) -> FeatureStore:
    """The store at `path`, or the newest store in `folder`. Raises FileMissing if there is none."""
    if path is not None:
        return FeatureStore.open(path if path.is_dir() or not (folder / path).is_dir() else folder / path)
    store = newest_store(folder)
    if store is None:
        raise FileMissing(f"{folder} holds no feature store. Make one with `embedonce embed FILE`.")
    return store


def open_stores(paths: Sequence[Path], folder: Path) -> tuple[FeatureSource, FeatureStore]:
    """The stores at `paths` joined into one, or the newest in `folder`; and the first of them, which has the corpus.

    Raises what `open_store` raises, and CallError for a store that is named twice.
    """
    stores = [open_store(path, folder) for path in paths] or [open_store(None, folder)]
    names = [store.name for store in stores]
    for name in names:
        if names.count(name) > 1:
            raise CallError(f"{name} is named twice: joining a store with itself adds nothing. Name it once.")
    return (stores[0] if len(stores) == 1 else JoinedStores(tuple(stores))), stores[0]


def open_corpus(store: FeatureStore, name: str | None) -> CorpusTable:
    """The corpus of that name, or the only one of `store`."""
    names = store.corpora()
    if name is not None and name not in names:
        raise UnknownName(f"{store.name} has no corpus '{name}'.{suggest_name(name, names)}")
    if not names:
        raise BadData(f"{store.name} has no corpus: its documents lack labels. Run `embedonce embed FILE` again.")
    if name is None and len(names) > 1:
        raise CallError(f"{store.name} has {len(names)} corpora: {', '.join(names)}. Choose one with --corpus.")
    return store.corpus(name or names[0])


@dataclass(frozen=True)
class Task:
    """The labeled documents of a corpus with their features; only `held_out` can read the test split.

    groups: one integer per training document; documents of one group are always on the same side of a split.
    notes: what a reader must know about the corpus, the same for every head.
    base_runs: the runs whose scores replace the features, for a stacking ensemble (stages/fitting/stacking_inputs.py).
    """

    labels: tuple[str, ...]
    train_ids: tuple[str, ...]
    train: Bags
    target: Target
    groups: NDArray[np.int64]
    test_ids: tuple[str, ...]
    test_target: Target
    held_out: HeldOut
    documents_hash: str
    notes: tuple[str, ...]
    base_runs: tuple[Run, ...] = ()

    def fit(self, head: Head, rows: NDArray[np.int64], sample_weight: NDArray[np.float64] | None = None) -> Head:
        """Fit a head on some training documents and return it.

        Args:
            head: an unfitted head; it is fitted in place.
            rows: int64, the rows of the training split to fit on.
            sample_weight: float64 (training documents,), of the whole split; None for equal weights.

        Returns:
            The same head.

        Raises:
            What the head's `fit` raises.
        """
        weight = None if sample_weight is None else sample_weight[rows]
        return head.fit(self.train[rows], self.target.names[rows], weight, self.groups[rows])

    def scores(self, head: Head, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of training documents, float32 (rows, labels): -inf for a label that the head has never seen."""
        return align_scores(head.decision_function(self.train[rows]), head.classes_, self.labels)


def load_task(
    store: FeatureSource,
    table: CorpusTable,
    *,
    layer: int | None = -1,
    skip_unlabeled: bool = False,
    order: Sequence[str] = (),
) -> Task:
    """Load the labeled documents of a corpus with their features.

    Args:
        store: the features.
        table: the corpus.
        layer: the encoder layer to read; None for every stored layer.
        skip_unlabeled: leave out documents without a label instead of raising an error.
        order: the labels of an ordinal task, the lowest first; empty if they have no order.

    Returns:
        The task.

    Raises:
        BadData: for documents without a label, fewer than two labels in the training split, or an empty split.
        CallError: what `Target.to_ordinal` raises.
    """
    rows, notes = _labeled_rows(table, skip_unlabeled=skip_unlabeled)
    rows, failed = _encodable_rows(store, table, rows)
    if failed:
        verb, names = "is" if len(failed) == 1 else "are", join_names([table.ids[row] for row in failed])
        notes += [f"{plural(len(failed), 'document')} without finite vectors {verb} left out: {names}."]
    target = Target.from_labels([table.labels[row] or () for row in rows], table.kind, taxonomy=table.taxonomy)
    target = target.to_ordinal(order) if order else target
    is_test = np.array([table.splits[row] == Split.TEST for row in rows])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    _check_splits(table, target[train], len(test))
    bags = store.bags([table.keys[row] for row in rows], layer=layer)
    ids = [table.ids[row] for row in rows]
    return Task(
        labels=target.labels,
        train_ids=tuple(ids[row] for row in train),
        train=bags[train],
        target=target[train],
        groups=_groups(table, rows)[train],
        test_ids=tuple(ids[row] for row in test),
        test_target=target[test],
        held_out=HeldOut(bags[test], target[test]),
        documents_hash=hash_documents(store, table),
        notes=(*table.notes, *notes, *_test_only_notes(target, train)),
    )


def resolve_layer(head: Head, layer: int) -> int | None:
    """The layer that `head` reads: `layer`, or None if the head reads every stored layer."""
    return None if head.every_layer else layer


def _labeled_rows(table: CorpusTable, *, skip_unlabeled: bool) -> tuple[list[int], list[str]]:
    rows = [row for row, labels in enumerate(table.labels) if labels is not None]
    missing = len(table.ids) - len(rows)
    if not rows:
        raise BadData(f"{table.name}: no document has a label. Name the label column when embedding, with --label.")
    if missing and not skip_unlabeled:
        first = next(table.ids[row] for row, labels in enumerate(table.labels) if labels is None)
        empty = " ([] says that no label applies)" if table.kind == "multilabel" else ""
        raise BadData(
            f"{table.name}: {missing:,} of {len(table.ids):,} documents have no label (the first is '{first}'). "
            f"Label them{empty} and embed again, or leave them out with --skip-unlabeled."
        )
    verb = "is" if missing == 1 else "are"
    return rows, [f"{plural(missing, 'document')} without a label {verb} left out."] if missing else []


def _encodable_rows(store: FeatureSource, table: CorpusTable, rows: list[int]) -> tuple[list[int], list[int]]:
    """Divide rows into those that may have features, and those whose texts have no finite vectors."""
    failed = store.unencodable([table.keys[row] for row in rows])
    return [rows[index] for index in np.flatnonzero(~failed)], [rows[index] for index in np.flatnonzero(failed)]


def _check_splits(table: CorpusTable, train: Target, test_documents: int) -> None:
    if not len(train) or not test_documents:
        empty = "test" if len(train) else "training"
        raise BadData(
            f"{table.name}: the {empty} split is empty. Correct the split column and embed again; without such a "
            "column, add documents: those with equal texts or of one group stay together."
        )
    seen = np.flatnonzero(train.counts)
    if len(seen) < 2:
        only = train.labels[seen[0]] if len(seen) else "none"
        raise BadData(
            f"{table.name}: every training document has the same label ('{only}'), so a classifier has nothing to "
            "learn. Add documents with another label."
        )


def _groups(table: CorpusTable, rows: Sequence[int]) -> NDArray[np.int64]:
    # duplicate texts have equal features: without a given group they form one, or a fold would have seen its answers
    names = [f"group {table.groups[row]}" if table.groups[row] else f"key {table.keys[row]}" for row in rows]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def hash_documents(store: FeatureSource, table: CorpusTable) -> str:
    """SHA-256 of the labeled documents: their ids, texts, splits, groups and labels, and the kind of the labels.

    Documents without finite vectors are left out.
    """
    rows, _ = _encodable_rows(store, table, _labeled_rows(table, skip_unlabeled=True)[0])
    columns = (table.ids, table.keys, table.splits, table.groups, table.labels)
    content: list[Any] = [[column[row] for column in columns] for row in rows]
    if table.kind != "single":  # the same labels mean something else
        content += [table.kind, table.taxonomy and sorted(table.taxonomy.paths.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _test_only_notes(target: Target, train: NDArray[np.int64]) -> list[str]:
    unseen = [label for label, count in zip(target.labels, target[train].counts, strict=True) if count == 0]
    if not unseen:
        return []
    return [f"Only the test split has {join_names(unseen)}: no head can predict that, and it counts as missed."]


def rare_label_notes(target: Target, folds: int) -> list[str]:
    """A sentence on the labels that are missing from some fold, if there are any."""
    rare = [label for label, count in zip(target.labels, target.counts.tolist(), strict=True) if 0 < count < folds]
    if not rare:
        return []
    return [
        f"Some labels have fewer training documents than there are folds ({join_names(rare)}): they are fitted and "
        "scored, but no decision rule is tuned for a label that the fit of its fold never saw."
    ]
