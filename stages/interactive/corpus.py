"""A corpus whose features are in a store, as a Python user holds it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from data.ranges import MAX_SEED, check_whole_number
from data.readers.inputs import MEMORY_PREFIX
from featurestore import Bags, CorpusTable, FeatureStore, text_key
from stages.interactive.parameters import spell_parameters

if TYPE_CHECKING:
    from heads.evaluation.metrics import Scorecard
    from stages.fitting.task import Task

__all__ = ["EmbeddedCorpus", "TrainingSplit"]


@dataclass(frozen=True)
class TrainingSplit:
    """The labeled training documents of a corpus, in the order of their source.

    Attributes:
        ids: one id per document.
        labels: as scikit-learn takes them: strings (documents,), or a bool matrix (documents, labels) if multi-label.
        groups: int64 (documents,); documents of one group have one number, and so do those without a group whose texts
            are equal. Pass it to splitters.
        features: the ragged vectors of the documents, which embedonce's own heads read.
        seen: bool (documents,), whether the encoder learned from the label of the document, or of one of its group. A
            classifier labels such a document correctly too often, even if it was not fitted on it.
    """

    ids: tuple[str, ...]
    labels: NDArray[Any]
    groups: NDArray[np.int64]
    features: Bags
    seen: NDArray[np.bool_]

    def pooled(self, *views: str) -> NDArray[np.float32]:
        """One vector per document, float32 (documents, sum of dimensions).

        Args:
            views: of "cls", "mean", "max", "segments", concatenated in this order; the maximum over a document's chunks
                for "max", the mean for the others. By default "mean".

        Raises:
            UnknownName: for a view that the store does not keep.
        """
        return self.features.pooled(views or ("mean",))

    def __len__(self) -> int:
        return len(self.ids)


class EmbeddedCorpus:
    """A corpus whose features are in a store. Made by `embed` and `load_corpus`.

    Attributes:
        name: the corpus's name in the store.
        store: the folder or URL of the store.
        notes: sentences on what was guessed, what is missing and what the encoder did.
    """

    def __init__(
        self, store: FeatureStore, table: CorpusTable, notes: Sequence[str] = (), texts: Sequence[str] | None = None
    ) -> None:
        self._texts = texts
        self.features = store
        self.table = table
        self.name = table.name
        self.store = store.location
        self.notes = tuple(dict.fromkeys(map(spell_parameters, (*table.notes, *notes))))

    def __len__(self) -> int:
        return len(self.table.ids)

    def texts_in_memory(self) -> dict[str, str] | None:
        """The texts by their keys; None if they are in a file.

        Raises:
            BadData: if they were in memory when they were embedded, and this object is not what `embed` returned.
        """
        if self._texts is None and self.table.source.startswith(MEMORY_PREFIX):
            raise BadData(
                f"The texts of {self.name} were in memory when they were embedded, and a store keeps none. Call "
                "embed with them again, which encodes nothing twice, and use the corpus that it returns."
            )
        return None if self._texts is None else {text_key(text): text for text in self._texts}

    def __repr__(self) -> str:
        return f"<EmbeddedCorpus {self.name}: {len(self):,} documents in {self.store}>"

    @cached_property
    def _task(self) -> "Task":
        from stages.fitting.task import load_task

        return load_task(self.features, self.table, skip_unlabeled=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of every column of scores and probabilities."""
        return self._task.labels

    @property
    def train(self) -> TrainingSplit:
        """The training split; documents without a label are left out.

        Warns if the encoder learned from labels of these documents, because `cross_val_score` would be too high.
        """
        task = self._task
        if task.exposure.is_seen.any():
            warnings.warn(
                f"The encoder learned from the labels of {int(task.exposure.is_seen.sum()):,} of {len(task.train):,} "
                f"training documents ({task.exposure.describe_labels()}): scores on these, as of cross_val_score, are "
                "too high. Score only documents with `seen` False; embedonce.fit_head does so.",
                stacklevel=2,
            )
        return TrainingSplit(task.train_ids, task.target.names, task.groups, task.train, task.exposure.is_seen)

    def score_once(self, estimator: Any, *views: str, seed: int = 0) -> "Scorecard":
        """Fit a clone of `estimator` on the training split, and score it on the test split, once per corpus object.

        The test split is a `HeldOut` (heads/evaluation/decisions/heldout.py): nothing else reads it.

        Args:
            estimator: a scikit-learn classifier over float32 (documents, dimensions).
            views: the pooled views that it reads, as in `TrainingSplit.pooled`.
            seed: of the bootstrap.

        Returns:
            Every metric with its 95 % confidence interval.

        Raises:
            CallError: for a seed out of range.
            BadData: if the encoder learned from labels of the test split.
            RuntimeError: the second time, because a second look would choose by the test split.
        """
        from sklearn.base import clone

        from heads.evaluation.decisions.rules import Argmax, FixedThreshold
        from stages.fitting.scored_splits import check_test_is_unseen

        check_whole_number("seed", seed, 0, MAX_SEED)
        task, names = self._task, views or ("mean",)
        check_test_is_unseen(self.name, task)
        multilabel = task.target.kind == "multilabel"
        fitted = clone(estimator).fit(task.train.pooled(names), task.target.names)
        predictor = _PooledEstimator(fitted, names, task.labels, multilabel=multilabel)
        rule = FixedThreshold() if multilabel else Argmax()
        return task.held_out.score(predictor, rule, task.labels, seed).scorecard


class _PooledEstimator:
    """The predictions of a fitted classifier over pooled vectors, as scores: 1 for a predicted label, -1 for others."""

    def __init__(self, estimator: Any, views: Sequence[str], labels: Sequence[str], *, multilabel: bool) -> None:
        self.estimator = estimator
        self.views = views
        self.labels = np.array(labels, dtype=object)
        self.classes_: NDArray[Any] = np.arange(len(labels)) if multilabel else self.labels

    def decision_function(self, X: Bags) -> NDArray[np.float32]:
        """Scores, float32 (documents, labels)."""
        predicted = np.asarray(self.estimator.predict(X.pooled(self.views)))
        is_predicted = predicted > 0 if predicted.ndim == 2 else predicted[:, None] == self.labels[None, :]
        return np.where(is_predicted, 1, -1).astype(np.float32)
