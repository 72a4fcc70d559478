"""The pooled vectors of a run's documents, which tell whether a document is unlike those of training.

A decision needs them only if it leaves such documents undecided (`Abstention.other`); everything else of a decision
reads scores alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, RecipeMismatch
from featurestore import Bags, CorpusTable, FeatureStore, Shard
from stages.fitting.runs import Run
from stages.fitting.task import hash_documents

__all__ = ["OpenFeatures", "RunFeatures", "compared_vectors"]

VIEWS = ("segments", "mean", "cls", "max")  # the first that a store keeps is compared


@dataclass(frozen=True, eq=False)
class RunFeatures:
    """The store and the corpus that a run was fitted on. Made by `of`, which checks that they are the same."""

    run: Run
    store: FeatureStore
    table: CorpusTable

    @classmethod
    def of(cls, run: Run, store: FeatureStore, table: CorpusTable) -> "RunFeatures":
        """Check that these are the documents and features of the run.

        Args:
            run: the run, or a decision on its scores.
            store: the features.
            table: the corpus.

        Returns:
            The features.

        Raises:
            CallError: the run reads several stores.
            RecipeMismatch: the store has other features.
            BadData: the corpus has other documents.
        """
        if len(run.recipes) > 1:
            raise CallError(
                f"{run.name} reads several stores, and --other compares documents by the vectors of one. Leave --other "
                "out."
            )
        if differences := run.recipes[0].differences(store.recipe):
            raise RecipeMismatch(
                f"{run.name} was fitted on other features than those of {store.name}: {'; '.join(differences)}. Name "
                "its store with --store."
            )
        if hash_documents(store, table) != run.record.documents_hash:
            raise BadData(
                f"The documents, labels or splits of {table.name} have changed since {run.name} was fitted, so its "
                "documents cannot be compared with them. Fit it again."
            )
        return cls(run, store, table)

    @property
    def view(self) -> str:
        """The view whose pooled vectors are compared."""
        return next(view for view in VIEWS if view in self._bags(self.table.ids[:1]).views)

    def vectors(self, ids: Sequence[str], view: str) -> NDArray[np.float32]:
        """The pooled vectors of documents, float32 (documents, dims)."""
        return self._bags(ids).pooled((view,))

    def _bags(self, ids: Sequence[str]) -> Bags:
        return self.store.bags(self.table.keys_of(ids), layer=_layer(self.run))


OpenFeatures: TypeAlias = Callable[[Run], RunFeatures]


def compared_vectors(run: Run, documents: Bags | Shard) -> NDArray[np.float32] | None:
    """The vectors of documents that the decision of a run compares with those of training.

    Args:
        run: the run.
        documents: their features in its only store, at the layers that its head reads; or a shard of these.

    Returns:
        float32 (documents, dims); None if the decision compares none.
    """
    abstention, distance = run.decision.abstention, run.decision.training_distance
    if abstention is None or abstention.other is None or distance is None:
        return None
    bags = documents.bags(_layer(run)) if isinstance(documents, Shard) else documents
    return bags.pooled((abstention.other.view,))[:, -len(distance.mean) :]  # of all layers, the last one


def _layer(run: Run) -> int:
    """The layer whose vectors are compared: the one that the head reads, or the last one if it reads all or none."""
    layer, kept = run.record.layer, run.recipes[0].layers
    return layer if layer in kept else kept[-1]
