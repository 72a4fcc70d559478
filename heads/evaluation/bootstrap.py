"""Percentile bootstrap confidence intervals of metrics.

Documents are resampled with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13).
No metric distinguishes documents with the same truth and the same prediction, so one resample is one multinomial draw
over the distinct pairs: the distribution is the same, at the cost of a confusion matrix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import ConfusionCounts, FloatArray, check_labels
from heads.evaluation.document_measures import Measures, measure_documents

RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
BLOCK_CELLS = 2**21  # cells of the largest table in memory while resampling: 16 MB


@dataclass(frozen=True)
class ConfidenceInterval:
    """The value of a metric, and the bounds that contain 95 % of its resampled values.

    The value may be outside the bounds if resampling biases the metric: a label with one document is missing from a
    third of all resamples, and macro-F1 then ignores it.
    """

    value: float
    low: float
    high: float

    @classmethod
    def from_resamples(cls, value: Any, resampled: FloatArray) -> Self:
        """The percentile interval of the resampled values (resamples,)."""
        low, high = np.quantile(resampled, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class ResampledMetrics:
    """The metrics of one prediction in each resample, float64 (resamples,).

    A metric that needs sums over documents is None if the counts lack them: those of single labels for multi-label
    targets and the reverse, the hierarchical ones without a hierarchy. `level_accuracy` is (resamples, levels), and NaN
    in a resample without a document at a level.
    """

    macro_f1: FloatArray
    micro_f1: FloatArray
    accuracy: FloatArray
    weighted_f1: FloatArray
    macro_precision: FloatArray
    macro_recall: FloatArray
    micro_precision: FloatArray
    micro_recall: FloatArray
    weighted_precision: FloatArray
    weighted_recall: FloatArray
    balanced_accuracy: FloatArray | None = None
    mcc: FloatArray | None = None
    kappa: FloatArray | None = None
    decided_share: FloatArray | None = None
    selective_accuracy: FloatArray | None = None
    hamming_loss: FloatArray | None = None
    samples_f1: FloatArray | None = None
    samples_precision: FloatArray | None = None
    samples_recall: FloatArray | None = None
    absolute_error: FloatArray | None = None
    quadratic_kappa: FloatArray | None = None
    hf1: FloatArray | None = None
    hierarchical_precision: FloatArray | None = None
    hierarchical_recall: FloatArray | None = None
    macro_hf1: FloatArray | None = None
    tree_distance: FloatArray | None = None
    lca_f1: FloatArray | None = None
    wu_palmer: FloatArray | None = None
    consistency: FloatArray | None = None
    level_accuracy: FloatArray | None = None

    @classmethod
    def from_counts(cls, counts: ConfusionCounts) -> Self:
        """The metrics of counts of some resamples."""
        return cls(**{name: getattr(counts, name) for name in counts.metrics})

    @classmethod
    def join(cls, blocks: Sequence[Self]) -> Self:
        """The metrics of all blocks of resamples."""
        names = [each.name for each in fields(cls) if getattr(blocks[0], each.name) is not None]
        return cls(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})


def resample_metrics(
    truth: NDArray[Any],
    predictions: Sequence[NDArray[Any]],
    labels: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
    *,
    hierarchy: Hierarchy | None = None,
    stratified: bool = False,
) -> list[ResampledMetrics]:
    """Compute the metrics of several predictions in the same resamples, so that their differences are paired.

    Memory grows with the number of distinct rows, not with the number of resamples.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predictions: arrays of the same shape and kind as `truth`; with a hierarchy, codes of nodes.
        labels: number of labels.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.
        hierarchy: of the labels, for the hierarchical metrics; None if they have none.
        stratified: whether each resample has as many documents of each label as the sample; a document with several
            labels counts for its rarest one.

    Returns:
        One `ResampledMetrics` per prediction.

    Raises:
        ValueError: the arrays do not match, or a code is not a label.
    """
    for predicted in predictions:
        check_labels(truth, predicted, labels, hierarchy)
    first, multiplicity = _distinct_rows([truth, *predictions])
    tables = [_IndicatorTable.build(truth[first], predicted[first], labels, hierarchy) for predicted in predictions]
    strata = _rarest_labels(truth[first], multiplicity, labels) if stratified else np.zeros(len(multiplicity), np.int64)
    # the counts of a block are larger than its metrics by the number of labels, so they are not kept
    blocks = [
        [ResampledMetrics.from_counts(table.count(draws)) for table in tables]
        for draws in _draw(multiplicity, strata, labels, seed, resamples)
    ]
    return [ResampledMetrics.join(of_prediction) for of_prediction in zip(*blocks, strict=True)]


def _distinct_rows(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A row of each distinct document of several columns, and how often it occurs."""
    if columns[0].ndim == 2:
        rows = np.concatenate([np.packbits(column, axis=1) for column in columns], axis=1)
    else:
        rows = np.stack([column.astype(np.int32) for column in columns], axis=1).view(np.uint8)
    if rows.shape[1] <= 8:  # numbers with the same order as their bytes, which sort in a fifth of the time
        rows = np.pad(rows, ((0, 0), (0, 8 - rows.shape[1])))
        keys: NDArray[Any] = np.ascontiguousarray(rows).view(">u8").ravel().astype(np.uint64)
    else:
        keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, multiplicity = np.unique(keys, return_index=True, return_counts=True)
    return first, multiplicity


def _rarest_labels(truth: NDArray[Any], multiplicity: NDArray[np.int64], labels: int) -> NDArray[np.int64]:
    """The rarest label of each distinct row, `labels` if it has none: int64 (distinct rows,)."""
    if truth.ndim == 1:
        return truth.astype(np.int64)
    by_support = np.argsort(multiplicity @ truth, kind="stable")
    rarest = np.append(by_support, labels)[np.where(truth.any(axis=1), truth[:, by_support].argmax(axis=1), labels)]
    return np.asarray(rarest, dtype=np.int64)


def _draw(
    multiplicity: NDArray[np.int64], strata: NDArray[np.int64], labels: int, seed: int, resamples: int
) -> Iterator[NDArray[np.int64]]:
    """Blocks of resamples, int64 (resamples of the block, distinct rows): how often each distinct row is drawn.

    Each resample has as many documents of a stratum as the sample.
    """
    random = np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // max(len(multiplicity), labels))
    rows_of_strata = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for start in range(0, resamples, block):
        draws = np.zeros((min(block, resamples - start), len(multiplicity)), dtype=np.int64)
        for rows in rows_of_strata:
            documents = multiplicity[rows].sum()
            draws[:, rows] = random.multinomial(documents, multiplicity[rows] / documents, size=len(draws))
        yield draws


@dataclass(frozen=True)
class _IndicatorTable:
    """Indicators of each distinct row as sparse matrices (distinct rows, labels), with its correctness and measures."""

    true_positives: Any
    predicted: Any
    support: Any
    exact_matches: NDArray[np.bool_]
    measures: Measures

    @classmethod
    def build(cls, truth: NDArray[Any], predicted: NDArray[Any], labels: int, hierarchy: Hierarchy | None) -> Self:
        positives, support = _to_sparse(predicted, labels), _to_sparse(truth, labels)
        correct = truth == predicted
        exact_matches = correct.all(axis=1) if correct.ndim == 2 else correct
        true_positives = support.multiply(positives).tocsr()
        measures = measure_documents(truth, predicted, hierarchy)
        return cls(true_positives, positives, support, exact_matches, measures)

    def count(self, draws: NDArray[np.int64]) -> ConfusionCounts:
        weights = draws.astype(np.float64)  # for which NumPy calls BLAS
        return ConfusionCounts(
            true_positives=np.asarray(draws @ self.true_positives),
            predicted=np.asarray(draws @ self.predicted),
            support=np.asarray(draws @ self.support),
            exact_matches=draws @ self.exact_matches,
            documents=int(draws[0].sum()),
            sums={name: np.asarray(weights @ values) for name, values in self.measures.items()},
        )


def _to_sparse(values: NDArray[Any], labels: int) -> Any:
    """csr_array int64 (documents, labels) of codes or bools; a code that is no label has an empty row."""
    from scipy.sparse import csr_array

    if values.ndim == 2:
        return csr_array(values).astype(np.int64)
    is_label = (values >= 0) & (values < labels)
    starts = np.append(0, np.cumsum(is_label))
    return csr_array((np.ones(starts[-1], dtype=np.int64), values[is_label], starts), shape=(len(values), labels))
