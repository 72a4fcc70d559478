"""The labelled documents that heads are fitted and scored on, and which store and corpus they come from."""

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
from data.text_format import join_names
from featurestore import Bags, CorpusTable, FeatureSource, FeatureStore, JoinedStores, newest_store
from heads.core.head import Head
from heads.evaluation.decisions.heldout import HeldOut
from stages.fitting.runs import Run


def open_store(path: Path | None, folder: Path) -> FeatureStore:
    """The store at `path`, or the newest in `folder`. Raises FileMissing when there is none."""
    if path is not None:
        return FeatureStore.open(path if path.is_dir() or not (folder / path).is_dir() else folder / path)
    store = newest_store(folder)
    if store is None:
        raise FileMissing(f"{folder} holds no feature store. Make one with `embedonce embed FILE`.")
    return store


def open_stores(paths: Sequence[Path], folder: Path) -> tuple[FeatureSource, FeatureStore]:
    """The stores at `paths` as one, or the newest in `folder`; and the first of them, whose corpora are meant.

    Raises as `open_store`, and CallError for a store that is named twice.
    """
    stores = [open_store(path, folder) for path in paths] or [open_store(None, folder)]
    for store in stores[1:]:
        if [each.name for each in stores].count(store.name) > 1:
            raise CallError(f"{store.name} is named twice: beside itself a store has nothing to add.")
    return (stores[0] if len(stores) == 1 else JoinedStores(tuple(stores))), stores[0]


def open_corpus(store: FeatureStore, name: str | None) -> CorpusTable:
    """The corpus of that name, or the only one of `store`."""
    names = store.corpora()
    if name is not None and name not in names:
        raise UnknownName(f"{store.name} has no corpus '{name}'.{suggest_name(name, names)}")
    if not names:
        raise BadData(f"{store.name} knows no corpus: its documents lack labels. Run `embedonce embed FILE` again.")
    if name is None and len(names) > 1:
        raise CallError(f"{store.name} has several corpora: {', '.join(names)}. Choose one with --corpus.")
    return store.corpus(name or names[0])


@dataclass(frozen=True)
class Task:
    """The labelled documents of a corpus with their features; the test split is out of reach behind `held_out`.

    groups: one integer a training document; documents of one group never stand on both sides of a split.
    base_runs: the runs whose scores stand in the place of features, if any do (stages/fitting/stacking_inputs.py).
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


def load_task(
    store: FeatureSource,
    table: CorpusTable,
    *,
    layer: int | None = -1,
    skip_unlabelled: bool = False,
    order: Sequence[str] = (),
) -> Task:
    """The documents of `table` as a head wants them.

    layer: None is every one that is kept. order: of the labels, the lowest first, where they have one. Raises what
    `Target.ordered` raises, and BadData for documents without a label (unless skipped), for fewer than
    two labels, and for an empty split.
    """
    rows, notes = _labelled(table, skip_unlabelled=skip_unlabelled)
    target = Target.from_labels([table.labels[row] for row in rows], table.kind, taxonomy=table.taxonomy)
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
        documents_hash=hash_documents(table),
        notes=(*table.notes, *notes, *_only_in_test(target, train)),
    )


def resolve_layer(head: Head, chosen: int) -> int | None:
    """The layer that `head` is given: the one chosen, or None, which is every one that is kept."""
    return None if head.every_layer else chosen


def _labelled(table: CorpusTable, *, skip_unlabelled: bool) -> tuple[list[int], list[str]]:
    rows = [row for row, labels in enumerate(table.labels) if labels or table.kind == "multilabel"]
    missing = len(table.ids) - len(rows)
    if not rows:
        raise BadData(f"{table.name}: no document has a label. Name the column when embedding, with --label.")
    if missing and not skip_unlabelled:
        without = next(table.ids[row] for row, labels in enumerate(table.labels) if not labels)
        raise BadData(
            f"{table.name}: {missing:,} of {len(table.ids):,} documents have no label (the first is '{without}'). "
            "Label them and embed again, or leave them out with --skip-unlabelled."
        )
    return rows, [f"{missing:,} documents without a label are left out."] if missing else []


def _check_splits(table: CorpusTable, train: Target, test_documents: int) -> None:
    if not len(train) or not test_documents:
        empty = "test" if len(train) else "training"
        raise BadData(
            f"{table.name}: the {empty} split is empty. Correct its column and embed again; where there is none, add "
            "documents, as those of equal text or of one group stay together."
        )
    seen = np.flatnonzero(train.counts)
    if len(seen) < 2:
        only = train.labels[seen[0]] if len(seen) else "none"
        raise BadData(
            f"{table.name}: every training document has the same label ('{only}'): there is nothing to learn."
        )


def _groups(table: CorpusTable, rows: Sequence[int]) -> NDArray[np.int64]:
    # equal texts have equal features: where no group is given they form one, or a fold would have seen its answers
    names = [f"group {table.groups[row]}" if table.groups[row] else f"key {table.keys[row]}" for row in rows]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def hash_documents(table: CorpusTable) -> str:
    """Of the labelled documents: ids, texts, splits, groups, labels, and what kind these are."""
    rows, _ = _labelled(table, skip_unlabelled=True)
    columns = (table.ids, table.keys, table.splits, table.groups, table.labels)
    said: list[Any] = [[column[row] for column in columns] for row in rows]
    if table.kind != "single":  # the same labels mean something else
        said += [table.kind, table.taxonomy and sorted(table.taxonomy.paths.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _only_in_test(target: Target, train: NDArray[np.int64]) -> list[str]:
    unseen = [label for label, count in zip(target.labels, target[train].counts, strict=True) if count == 0]
    if not unseen:
        return []
    return [f"Only the test split has {join_names(unseen)}: no head can predict this, and it is scored as missed."]


def rare_label_notes(target: Target, folds: int) -> list[str]:
    """A sentence on the labels that some fold does not see, where there are any."""
    rare = [label for label, count in zip(target.labels, target.counts.tolist(), strict=True) if 0 < count < folds]
    if not rare:
        return []
    return [
        f"{len(rare)} labels have fewer training documents than there are folds ({join_names(rare)}): "
        "they are trained and scored, but no rule is tuned for a label that its fold never saw."
    ]
