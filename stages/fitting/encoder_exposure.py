"""What encoders learned from the documents of a corpus: which documents may be scored, and on whose features.

An encoder that learned from the label of a document places it next to the others of that label. A head that was not
fitted on the document labels it correctly too often, and a rule or an epoch that is chosen on it is chosen on an easy
problem. So such documents, and those of their groups, are fitted on in each fit and are never scored.

An encoder of `adapt --cross-fit` comes with one encoder per fold, which was trained without the documents of that fold.
The store of each is next to that of the encoder: a fold is scored on the features of its own encoder by a head that was
fitted on features of the same encoder.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, EmbedOnceError, FileMissing, StoreDamaged
from data.splits import Strata, assign_folds
from data.text_format import join_words
from featurestore import (
    Bags,
    CorpusTable,
    EncoderTraining,
    FeatureSource,
    FeatureStore,
    JoinedStores,
    joined_fingerprint,
    list_stores,
)

__all__ = ["EncoderExposure", "EncoderFold", "exposure_notes"]


@dataclass(frozen=True, eq=False)
class EncoderFold:
    """A fold of `adapt --cross-fit`: the features of the encoder that was trained without it.

    is_seen: bool (training documents,), whether that encoder learned from a label of the document's group.
    features: of the training documents.
    """

    source: FeatureSource
    is_seen: NDArray[np.bool_]
    features: Bags


@dataclass(frozen=True, eq=False)
class EncoderExposure:
    """What the encoders of some features learned from the documents of a task.

    trainings: of the encoders that this program trained.
    is_seen: bool (training documents,), whether an encoder learned from a label of the document's group.
    test_texts: the number of test documents whose text an encoder learned from. test_labels: of these, those whose
        label it learned from too.
    unscored: the number of training documents that are never scored out of fold.
    folds: of an encoder that was cross-fitted; else empty.
    """

    trainings: tuple[EncoderTraining, ...]
    is_seen: NDArray[np.bool_]
    test_texts: int
    test_labels: int
    unscored: int
    folds: tuple[EncoderFold, ...] = ()

    @classmethod
    def of(cls, source: FeatureSource, table: CorpusTable, train: Sequence[int], test: Sequence[int]) -> Self:
        """Look up what the encoders of `source` learned from some documents.

        Args:
            source: the features.
            table: the corpus.
            train: the rows of the training documents in the table.
            test: the rows of the test documents.

        Returns:
            The exposure, without folds.
        """
        if not source.trainings:
            return cls((), np.zeros(len(train), dtype=bool), 0, 0, 0)
        texts = frozenset().union(*(step.keys for training in source.trainings for step in training.steps))
        labels, test_keys = _label_keys(source), [table.keys[row] for row in test]
        is_seen = _find_seen(labels, table, train)
        return cls(
            trainings=source.trainings,
            is_seen=is_seen,
            test_texts=sum(key in texts for key in test_keys),
            test_labels=sum(key in labels for key in test_keys),
            unscored=int(is_seen.sum()),
        )

    def with_folds(
        self,
        source: FeatureSource,
        table: CorpusTable,
        train: Sequence[int],
        read_features: Callable[[FeatureSource], Bags],
    ) -> Self:
        """The same with the folds of an encoder that was cross-fitted; other encoders have none.

        Args:
            source: the features.
            table: the corpus.
            train: the rows of the training documents in the table.
            read_features: reads the training documents from the stores of a fold.

        Returns:
            The exposure.

        Raises:
            FileMissing: there is no store of a fold's encoder.
            CallError: stores with different numbers of folds are joined.
            EmbedOnceError: what `read_features` raises.
        """
        keys = [table.keys[row] for row in train]
        folds = tuple(
            EncoderFold(fold, _find_seen(_label_keys(fold), table, train), read_features(fold))
            for fold in _find_fold_sources(source, keys)
        )
        exposure = replace(self, folds=folds)
        return replace(exposure, unscored=int(np.count_nonzero(~exposure.is_scored)))

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """bool (training documents,): whether there are features of an encoder that did not see the document."""
        if not self.folds:
            return ~self.is_seen
        is_unseen: NDArray[np.bool_] = np.any([~fold.is_seen for fold in self.folds], axis=0)
        return is_unseen

    @property
    def documents(self) -> int:
        """The number of training documents."""
        return self.unscored + int(self.is_scored.sum())

    @property
    def hash(self) -> str:
        """Of everything that the encoders learned from; "" if this program trained none of them."""
        if not self.trainings:
            return ""
        parts = [training.hash for training in self.trainings]
        for fold in self.folds:
            parts += [joined_fingerprint(fold.source.recipes), *(training.hash for training in fold.source.trainings)]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def summaries(self) -> list[dict[str, Any]]:
        """The records of the encoders as JSON values, without the keys of texts, but with the hash of the record."""
        return [{"hash": training.hash, **training.summary()} for training in self.trainings]

    def describe_labels(self) -> str:
        """The trainings that used labels, in words: "supervised on news"."""
        steps = [step for training in self.trainings for step in training.steps if step.uses_labels]
        return join_words(list(dict.fromkeys(f"{step.method} on {step.corpus}" for step in steps)))

    def fit_only(self, fold: int | None) -> NDArray[np.bool_] | None:
        """bool (training documents,): documents that cannot validate in the fit without a fold, or in the last fit.

        None if there are none.
        """
        is_seen = self.folds[fold].is_seen if self.folds and fold is not None else self.is_seen
        return is_seen if is_seen.any() else None

    def assign_folds(
        self, y: NDArray[Any] | Strata, groups: NDArray[np.int64], folds: int, seed: int
    ) -> NDArray[np.int32]:
        """Assign a fold to each training document; -1 to a document that is never scored.

        Of an encoder that was cross-fitted, the fold is one whose encoder did not see the document. Documents that no
        encoder saw, such as new ones, are distributed over all folds.

        Args:
            y: labels of the training documents, or their strata, as `data.splits.assign_folds` takes them.
            groups: int64 (training documents,).
            folds: their number, for an encoder that was not cross-fitted.
            seed: of the distribution.

        Returns:
            int32 (training documents,).
        """
        if self.folds:
            is_open = ~np.stack([fold.is_seen for fold in self.folds], axis=1)
        else:
            is_open = np.repeat(~self.is_seen[:, None], folds, axis=1)
        fold_of = np.where(is_open.any(axis=1), is_open.argmax(axis=1), -1).astype(np.int32)
        free = np.flatnonzero(is_open.all(axis=1))
        fold_of[free] = assign_folds(y[free], groups[free], is_open.shape[1], seed)
        return fold_of

    def select(self, rows: NDArray[np.int64], features: Bags) -> Self:
        """The same for some of the training documents, with other features of them."""
        folds = tuple(replace(fold, is_seen=fold.is_seen[rows], features=features) for fold in self.folds)
        return replace(self, is_seen=self.is_seen[rows], folds=folds)


def exposure_notes(exposure: EncoderExposure, test: int, *, folds: bool) -> list[str]:
    """What a reader of a run's metrics must know about what the encoders learned from.

    Args:
        exposure: of the run's documents.
        test: the number of test documents that are scored.
        folds: whether the run is validated on folds.

    Returns:
        Sentences, none for encoders that this program did not train.
    """
    notes, scored = [], exposure.documents - exposure.unscored
    if exposure.folds and folds:
        stores = ", ".join(fold.source.name for fold in exposure.folds)
        notes.append(
            f"The encoder was cross-fitted, so the folds are its {len(exposure.folds)}, whatever --folds says: each is "
            f"scored on the features of the encoder that was trained without it ({stores})."
        )
    if exposure.unscored and folds:
        notes.append(
            f"The encoder learned from the labels of {exposure.unscored:,} of {exposure.documents:,} training "
            f"documents ({exposure.describe_labels()}): they are fitted on, and the other {scored:,} alone are scored "
            "out of fold and choose the decision rule."
        )
    if exposure.test_texts and test:
        notes.append(
            f"The encoder learned from the texts of {exposure.test_texts:,} of {test:,} test documents, without "
            "labels: the test metrics are those of documents that were known when the encoder was trained."
        )
    return notes


def _label_keys(source: FeatureSource) -> frozenset[str]:
    return frozenset().union(*(training.label_keys for training in source.trainings))


def _find_seen(learned: frozenset[str], table: CorpusTable, rows: Sequence[int]) -> NDArray[np.bool_]:
    """bool (rows,): whether one of `learned` is the key of the document, or of another one of its group."""
    if not learned:
        return np.zeros(len(rows), dtype=bool)
    groups = {group for group, key in zip(table.groups, table.keys, strict=True) if group and key in learned}
    return np.array([table.keys[row] in learned or table.groups[row] in groups for row in rows], dtype=bool)


def _find_fold_sources(source: FeatureSource, keys: Sequence[str]) -> list[FeatureSource]:
    """The features of each fold's encoder, joined with the other stores of `source`; empty if none was cross-fitted."""
    if isinstance(source, JoinedStores):
        stores = source.stores
    else:
        stores = (source,) if isinstance(source, FeatureStore) else ()
    by_store = [_find_fold_stores(store, keys) for store in stores]
    counts = sorted({len(found) for found in by_store if found})
    if not counts:
        return []
    if len(counts) > 1:
        raise CallError(
            f"The encoders of {source.name} were cross-fitted on {join_words([str(count) for count in counts])} folds. "
            "Join stores of encoders that were adapted with the same --cross-fit."
        )
    folds = [
        tuple(found[fold] if found else store for store, found in zip(stores, by_store, strict=True))
        for fold in range(counts[0])
    ]
    return [fold[0] if len(fold) == 1 else JoinedStores(fold) for fold in folds]


def _find_fold_stores(store: FeatureStore, keys: Sequence[str]) -> list[FeatureStore]:
    """The store of each fold's encoder, next to that of the encoder and with the same options."""
    if store.training is None or not store.training.fold_encoders:
        return []
    siblings, fold_stores = _open_siblings(store), []
    for name, weights in store.training.fold_encoders.items():
        candidates = [sibling for sibling in siblings if sibling.recipe.weights == weights]
        if not candidates:
            raise FileMissing(
                f"{store.name}: its encoder was cross-fitted, and {store.location.resolve().parent} has no store of "
                f"its fold encoder {name} with the same options. Run the same `embedonce embed` again, which encodes "
                "with it too."
            )
        # each corpus that was encoded with it has a store
        fold_store = min(candidates, key=lambda candidate: len(candidate.missing_keys(keys)))
        if fold_store.training is None:
            raise StoreDamaged(f"{fold_store.name} does not say what {name} learned from. Remove it and embed again.")
        fold_stores.append(fold_store)
    return fold_stores


def _open_siblings(store: FeatureStore) -> list[FeatureStore]:
    """The stores in the same folder that differ from `store` in nothing but the weights of the encoder."""
    siblings = []
    for folder in sorted(list_stores(store.location.resolve().parent)):
        try:
            sibling = FeatureStore.open(folder)
        except EmbedOnceError:  # damaged or of another format: reported to those who name it
            continue
        weights, config = store.recipe.weights, store.recipe.config
        if replace(sibling.recipe, weights=weights, config=config) == store.recipe:
            siblings.append(sibling)
    return siblings
