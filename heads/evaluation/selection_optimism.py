"""How much too high the score of the best of several predictions is, because it was chosen by this score.

Bootstrap bias-corrected cross-validation (BBC-CV; Tsamardinos, Greasidou & Borboudakis 2018, Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107, algorithm 3): in each
resample of the documents the best prediction is chosen again, and scored on the documents that are not in the resample.
No head is fitted again. A stacking ensemble is one more prediction to choose.

A third of the documents lacks rare labels, which changes macro-F1 for a reason that has nothing to do with the choice.
So each prediction's mean over these samples is replaced by its value for all documents. For a metric that is a mean
over documents, both are equal but for the noise of resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.count_table import CountTables, DistinctRows
from heads.evaluation.metrics import Metric
from heads.evaluation.paired import mean_of_seeds
from heads.evaluation.resampling import draw_with_left_out

__all__ = ["RESAMPLES", "SelectionOptimism", "correct_selection"]

RESAMPLES = 2000


@dataclass(frozen=True)
class SelectionOptimism:
    """The value of the best of several predictions, as measured and corrected for having been chosen by it.

    candidates: how many predictions the best was chosen from.
    """

    raw: float
    corrected: float
    candidates: int


def correct_selection(
    truth: NDArray[Any],
    candidates: Sequence[Sequence[NDArray[Any]]],
    labels: int,
    metric: Metric,
    *,
    hierarchy: Hierarchy | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> SelectionOptimism:
    """Correct the value of the best of several predictions for the choice among them.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        candidates: the predictions to choose from, each with one array per seed, of the same shape and kind.
        labels: number of labels.
        metric: what chooses, and what is corrected.
        hierarchy: of the labels, which hierarchical metrics need.
        seed: the same seed draws the same resamples.
        resamples: how many are drawn.

    Returns:
        The value of the best as it is, and corrected.
    """
    predictions = [each for seeds in candidates for each in seeds]
    rows = DistinctRows.of([truth, *predictions])
    tables = CountTables.build(truth[rows.first], [each[rows.first] for each in predictions], labels, hierarchy)
    mean = mean_of_seeds([len(seeds) for seeds in candidates])

    def values_of(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The signed metric of each candidate in each sample, (candidates, samples)."""
        samples = weights * (len(truth) / np.maximum(weights.sum(axis=0), 1))  # as if of as many documents
        return np.asarray(mean @ [metric.signed_value(counts) for counts in tables.count(samples, len(truth))])

    blocks = [
        (values_of(drawn).argmax(axis=0), values_of(left_out))
        for drawn, left_out in draw_with_left_out(rows, labels, resamples, seed)
    ]
    chosen, unseen = np.concatenate([each for each, _ in blocks]), np.concatenate([each for _, each in blocks], axis=1)
    values = values_of(rows.multiplicity[:, None].astype(np.float64))[:, 0]
    corrected = values[chosen] + (unseen[chosen, np.arange(len(chosen))] - unseen.mean(axis=1)[chosen])
    raw, unbiased = float(values.max()), float(corrected.mean())
    return SelectionOptimism(metric.sign * raw, metric.sign * unbiased, len(candidates))
