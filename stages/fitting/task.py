"""The labeled documents that heads are fitted and scored on, and the store and corpus that they come from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.documents import blank_group
from data.errors import BadData, CallError
from data.splits import Split
from data.target import Target
from data.text_format import join_names, plural
from featurestore import Bags, CorpusTable, FeatureSource
from heads.core.head import Head
from heads.evaluation.decisions.heldout import HeldOut
from stages.fitting.copies import load_copies
from stages.fitting.encoder_exposure import EncoderExposure
from stages.fitting.labeled_bags import LabeledBags
from stages.fitting.runs import Run

HASHED = 4096  # documents that are written as JSON at a time


@dataclass(frozen=True, kw_only=True)
class Task(LabeledBags):
    """The labeled documents of a corpus with their features; only `held_out` can read the test split.

    is_validation: which training documents are of the corpus's validation split, bool (training documents,).
    notes: what a reader must know about the corpus, the same for every head.
    tabular_hash: of the tabular columns of these documents; "" if they have none.
    base_runs: the runs whose scores replace the features, for a stacking ensemble (stages/fitting/stacking_inputs.py).
    """

    train_ids: tuple[str, ...]
    is_validation: NDArray[np.bool_]
    test_ids: tuple[str, ...]
    test_target: Target
    held_out: HeldOut
    documents_hash: str
    notes: tuple[str, ...]
    tabular_hash: str = ""
    base_runs: tuple[Run, ...] = ()

    def input_hashes(self, head: Head) -> dict[str, str]:
        """The hashes of everything about the documents that decides what this head learns."""
        tabular = {"tabular": self.tabular_hash} if head.uses_tabular and self.tabular_hash else {}
        copies = {"copies": self.copies.hash} if self.copies is not None else {}
        encoders = {"encoder_trainings": self.exposure.hash} if self.exposure.hash else {}
        learned = self.target.detailed or self.target
        taxonomy = {"taxonomy": learned.taxonomy_hash} if learned.taxonomy is not None else {}
        return {"documents": self.documents_hash} | taxonomy | tabular | copies | encoders

    def with_features(self, rows: NDArray[np.int64], features: Bags) -> "Task":
        """The same with other features of the training documents `rows`, without the others and without copies."""
        return replace(
            self,
            train_ids=tuple(self.train_ids[row] for row in rows.tolist()),
            train=features,
            target=self.target[rows],
            groups=self.groups[rows],
            is_validation=self.is_validation[rows],
            exposure=self.exposure.select(rows, features),
            copies=None,
        )


def load_task(
    store: FeatureSource,
    table: CorpusTable,
    *,
    layer: int | None = -1,
    skip_unlabeled: bool = False,
    order: Sequence[str] = (),
    scored_level: int | None = None,
    with_test: bool = True,
    copies: Sequence[CorpusTable] = (),
    with_fold_encoders: bool = False,
) -> Task:
    """Load the labeled documents of a corpus with their features.

    Args:
        store: the features.
        table: the corpus.
        layer: the encoder layer to read; None for every stored layer.
        skip_unlabeled: leave out documents without a label instead of raising an error.
        order: the labels of an ordinal task, the lowest first; empty if they have no order.
        scored_level: the level of the taxonomy whose nodes are the labels, 1 for the top; None for the labels as given.
        with_test: whether documents and labels of the test split are loaded; if not, it is empty.
        copies: corpora of augmented copies of training documents.
        with_fold_encoders: whether each fold gets the features of its own encoder, if the encoder was cross-fitted.

    Returns:
        The task.

    Raises:
        BadData: for documents without a label, an empty training split, or one with fewer than two labels; and what
            `load_copies` raises.
        EmbedOnceError: what `Target.at_level`, `Target.to_ordinal` and `EncoderExposure.with_folds` raise.
    """
    rows, notes = labeled_rows(table, skip_unlabeled=skip_unlabeled, with_test=with_test)
    rows, failed = _encodable_rows(store, table, rows)
    if failed:
        verb, names = "is" if len(failed) == 1 else "are", join_names([table.ids[row] for row in failed])
        notes += [f"{plural(len(failed), 'document')} without finite vectors {verb} left out: {names}."]
    target = Target.from_labels([table.labels[row] or () for row in rows], table.kind, taxonomy=table.taxonomy)
    target = target if scored_level is None else target.at_level(scored_level)
    target = target.to_ordinal(order) if order else target
    splits = np.array([table.splits[row] or "" for row in rows])
    train, test = np.flatnonzero(splits != Split.TEST), np.flatnonzero(splits == Split.TEST)
    _check_training(table, target[train])
    tabular = None if table.tabular is None else table.tabular[rows]
    bags = replace(store.bags([table.keys[row] for row in rows], layer=layer), tabular=tabular)
    ids, train_rows = [table.ids[row] for row in rows], [rows[index] for index in train.tolist()]
    exposure = EncoderExposure.of(store, table, train_rows, [rows[index] for index in test.tolist()])
    if with_fold_encoders:
        keys, columns = [table.keys[row] for row in train_rows], None if tabular is None else tabular[train]
        exposure = exposure.with_folds(
            store, table, train_rows, lambda fold: replace(fold.bags(keys, layer=layer), tabular=columns)
        )
    task = Task(
        labels=target.labels,
        train_ids=tuple(ids[row] for row in train),
        train=bags[train],
        target=target[train],
        groups=number_groups(table, rows)[train],
        is_validation=splits[train] == Split.VALIDATION,
        test_ids=tuple(ids[row] for row in test),
        test_target=target[test],
        held_out=HeldOut(bags[test], target[test]),
        documents_hash=hash_documents(store, table),
        exposure=exposure,
        notes=(*table.notes, *notes, *_test_only_notes(target, train)),
        tabular_hash="" if tabular is None else tabular.digest,
    )
    if not copies:
        return task
    if exposure.folds:
        raise CallError(
            "Augmented copies have no features of the encoders of each fold. Leave them out, or use an encoder that "
            "was adapted with --hold-out instead of --cross-fit."
        )
    loaded = load_copies(store, table, copies, task.train_ids, task.train, task.groups, layer)
    return replace(task, copies=loaded, notes=(*task.notes, *loaded.notes))


def resolve_layer(head: Head, layer: int) -> int | None:
    """The layer that `head` reads: `layer`, or None if the head reads every stored layer."""
    return None if head.every_layer else layer


def labeled_rows(table: CorpusTable, *, skip_unlabeled: bool, with_test: bool = True) -> tuple[list[int], list[str]]:
    """The rows of the documents with labels, and notes on the others. Raises BadData as `load_task` does."""
    used = [row for row, split in enumerate(table.splits) if with_test or split != Split.TEST]
    rows = [row for row in used if table.labels[row] is not None]
    missing = len(used) - len(rows)
    if not rows:
        raise BadData(f"{table.name}: no document has a label. Name the label column when embedding, with --label.")
    if missing and not skip_unlabeled:
        first = next(table.ids[row] for row in used if table.labels[row] is None)
        empty = " ([] says that no label applies)" if table.kind == "multilabel" else ""
        raise BadData(
            f"{table.name}: {missing:,} of {len(used):,} documents have no label (the first is '{first}'). "
            f"Label them{empty} and embed again, or leave them out with --skip-unlabeled."
        )
    verb = "is" if missing == 1 else "are"
    return rows, [f"{plural(missing, 'document')} without a label {verb} left out."] if missing else []


def count_unlabeled(table: CorpusTable, *, with_test: bool) -> int:
    """The number of documents without a label; of the test split only if that is used."""
    split_of_unlabeled = (split for split, labels in zip(table.splits, table.labels, strict=True) if labels is None)
    return sum(with_test or split != Split.TEST for split in split_of_unlabeled)


def count_duplicates(table: CorpusTable) -> dict[str, int]:
    """The documents with the text of a training document, labeled ones alone: of the test and the validation split.

    Validation documents count as training documents of the test split, as a head is fitted on both. Blank texts
    have nothing in common.
    """
    blank = {
        key for key, name, group in zip(table.keys, table.ids, table.groups, strict=True) if group == blank_group(name)
    }
    keys: dict[str, list[str]] = {split: [] for split in Split}
    for key, split, labels in zip(table.keys, table.splits, table.labels, strict=True):
        if labels is not None and key not in blank:
            keys[split or Split.TRAIN].append(key)
    train, validation = set(keys[Split.TRAIN]), keys[Split.VALIDATION]
    learned = train.union(validation)
    counts = {
        Split.VALIDATION: sum(key in train for key in validation),
        Split.TEST: sum(key in learned for key in keys[Split.TEST]),
    }
    return {split.value: count for split, count in counts.items() if count}


def _encodable_rows(store: FeatureSource, table: CorpusTable, rows: list[int]) -> tuple[list[int], list[int]]:
    """Divide rows into those that may have features, and those whose texts have no finite vectors."""
    failed = store.unencodable([table.keys[row] for row in rows])
    return [rows[index] for index in np.flatnonzero(~failed)], [rows[index] for index in np.flatnonzero(failed)]


def _check_training(table: CorpusTable, train: Target) -> None:
    if not len(train):
        raise BadData(
            f"{table.name}: the training split is empty. Correct the split column and embed again; without such a "
            "column, add documents: those with equal texts or of one group stay together."
        )
    check_labels(table.name, train)


def check_labels(name: str, train: Target) -> None:
    """Raise BadData if training documents, of the corpus `name`, have fewer than two labels."""
    seen = np.flatnonzero(train.counts)
    if len(seen) < 2:
        only = train.labels[seen[0]] if len(seen) else "none"
        raise BadData(
            f"{name}: every training document has the same label ('{only}'), so a classifier has nothing to "
            "learn. Add documents with another label."
        )


def number_groups(table: CorpusTable, rows: Sequence[int]) -> NDArray[np.int64]:
    """A number for the group of each document in `rows`, int64 (rows,); equal texts without a group form one."""
    # duplicate texts have equal features: without a given group they form one, or a fold would have seen its answers
    names = [f"group {table.groups[row]}" if table.groups[row] else f"key {table.keys[row]}" for row in rows]
    codes = {name: code for code, name in enumerate(sorted(set(names)))}  # an array of texts takes four times as much
    return np.fromiter(map(codes.__getitem__, names), np.int64, len(names))


def hash_documents(store: FeatureSource, table: CorpusTable) -> str:
    """SHA-256 of the labeled documents: their ids, texts, splits, groups and labels, and the kind of the labels.

    Documents without finite vectors are left out.
    """
    return hash_rows(table, _encodable_rows(store, table, labeled_rows(table, skip_unlabeled=True)[0])[0])


def hash_rows(table: CorpusTable, rows: Sequence[int]) -> str:
    """SHA-256 of the documents in these rows of a corpus, as `hash_documents` makes it."""
    columns = (table.ids, table.keys, table.splits, table.groups, table.labels)
    digest = hashlib.sha256(b"[")
    for start in range(0, len(rows), HASHED):  # as one JSON list, which would take the memory of the corpus again
        block = json.dumps([[column[row] for column in columns] for row in rows[start : start + HASHED]])
        digest.update(f"{', ' if start else ''}{block[1:-1]}".encode())
    if table.kind == "multilabel":  # the same labels mean something else
        extra = json.dumps([table.kind, table.taxonomy and sorted(table.taxonomy.parents.items())])
        digest.update(f"{', ' if len(rows) else ''}{extra[1:-1]}".encode())
    digest.update(b"]")
    return digest.hexdigest()


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
