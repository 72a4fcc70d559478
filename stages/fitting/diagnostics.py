"""What a fit records for the checks of `compare`: how well a head knows its training documents, and what views add.

All of it is counted on at most SAMPLE documents with the decision that has no parameter, so it costs a few scorings of
these, and does not depend on the decision rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.target import Target
from featurestore import Bags, Ragged
from heads.core.head import Head
from heads.evaluation.document_measures import is_right
from heads.evaluation.paired_counts import PairedCounts
from heads.evaluation.score_matrix import align_scores

__all__ = ["FitDiagnostics", "ViewUse", "count_training", "draw_sample"]

SAMPLE = 1_000  # documents
TABULAR = "tabular columns"


@dataclass(frozen=True)
class ViewUse:
    """What the views of a head contribute to its predictions of documents that it was not fitted on.

    alone: for each view, the head with all its views, and with this one alone.
    without: the head with all its views, and with none; it then predicts the same for all documents.
    """

    alone: Mapping[str, PairedCounts] = field(default_factory=dict)
    without: PairedCounts | None = None

    @classmethod
    def measure(cls, head: Head, bags: Bags, target: Target, seed: int) -> Self:
        """Predict held-out documents without some views of them; empty for a head that reads one view.

        A view is taken away by replacing its vectors by their mean, and token ids and tabular columns by those of other
        documents, so that each document keeps its number of positions (Breiman 2001, "Random Forests", section 10).

        Args:
            head: a fitted head.
            bags: documents that it was not fitted on.
            target: their labels.
            seed: of the permutation.

        Returns:
            The counts.
        """
        views = (*head.reads, *([TABULAR] if head.tabular_labels else []))
        if len(views) < 2 or not len(bags):
            return cls()
        order = np.random.default_rng(seed).permutation(len(bags))

        def right(kept: tuple[str, ...]) -> NDArray[np.bool_]:
            replaced = _replace_views(bags, [view for view in views if view not in kept], order)
            return _is_right(align_scores(head.decision_function(replaced), head.classes_, target.labels), target)

        with_all = right(views)
        alone = {view: PairedCounts.of(with_all, right((view,))) for view in views}
        return cls(alone, PairedCounts.of(with_all, right(())))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        alone = {view: counts.to_json() for view, counts in self.alone.items()}
        return {"alone": alone, "without": None if self.without is None else self.without.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The counts that `to_json` returned."""
        without = content.get("without")
        alone = {view: PairedCounts.from_json(counts) for view, counts in content.get("alone", {}).items()}
        return cls(alone, None if without is None else PairedCounts.from_json(without))


@dataclass(frozen=True)
class FitDiagnostics:
    """What a fit records for checks.

    training: a sample of training documents, predicted by the head that was fitted on them, and out of fold; None for a
        run that is not validated on folds.
    views: the views of the head that was fitted without the first fold, on a sample of that fold.
    """

    training: PairedCounts | None = None
    views: ViewUse = field(default_factory=ViewUse)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        training = None if self.training is None else self.training.to_json()
        return {"training": training, "views": self.views.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The diagnostics that `to_json` returned; empty ones for a run without them."""
        training = content.get("training")
        return cls(
            None if training is None else PairedCounts.from_json(training), ViewUse.from_json(content.get("views", {}))
        )


def count_training(fitted: NDArray[np.float32], out_of_fold: NDArray[np.float32], target: Target) -> PairedCounts:
    """Count how many training documents a head gets right, and how many were right out of fold.

    Args:
        fitted: scores of the head that was fitted on the documents, float32 (documents, labels).
        out_of_fold: those of heads that were not, of the same shape.
        target: the labels of the documents.

    Returns:
        The counts; the first prediction is that of the head that was fitted on the documents.
    """
    return PairedCounts.of(_is_right(fitted, target), _is_right(out_of_fold, target))


def draw_sample(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """At most SAMPLE of the rows at random, in their order."""
    if len(rows) <= SAMPLE:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))


def _is_right(scores: NDArray[np.float32], target: Target) -> NDArray[np.bool_]:
    """bool (documents,): whether the label with the highest score, or those with a score above 0, are right."""
    return is_right(target.y, scores > 0 if target.kind == "multilabel" else scores.argmax(axis=1))


def _replace_views(bags: Bags, names: Sequence[str], order: NDArray[np.int64]) -> Bags:
    """The documents without the information of some views. order: int64 (documents,), a permutation.

    A head whose views were pooled before the fit reads these rows alone, so no vector of the store is read for them.
    """
    views, tabular, computed = dict(bags.views), bags.tabular, dict(bags.computed)
    pooled = {key: _mean_columns(bags, key, names) for key in bags.pooled_rows}
    for name in names:
        if name == TABULAR:
            tabular = None if tabular is None else tabular[order]
        elif name == "token_ids":
            views[name] = views[name][order]
            computed = {key: each[order] for key, each in computed.items()}
        elif not any(name in key for key in pooled):
            views[name] = _as_mean(views[name])
    return replace(bags, views=views, tabular=tabular, computed=computed, pooled_rows=pooled)


def _mean_columns(bags: Bags, key: tuple[str, ...], names: Sequence[str]) -> Ragged:
    """The pooled rows of some views, in which the columns of `names` have their mean."""
    rows, ends = bags.pooled(key).copy(), np.cumsum([bags.pooled_dim([view]) for view in key])
    for view, columns in zip(key, np.split(rows, ends[:-1], axis=1), strict=True):
        if view in names:
            columns[:] = columns.mean(axis=0)
    return Ragged.from_flat(rows, np.arange(len(rows) + 1))


def _as_mean(vectors: Ragged) -> Ragged:
    """Each vector replaced by the mean of all."""
    items, offsets = vectors.gather(np.float32)
    return Ragged.from_flat(np.broadcast_to(items.mean(axis=0), items.shape), offsets)
