"""The metrics of probabilities with confidence intervals, and in resamples of documents.

A resample is the number of times that each document is drawn. The losses are products with it, and the rankings are
counted again. For many documents and labels (MAX_DOCUMENTS, MAX_PAIRS), a resampled value is the first-order
approximation of the metric instead: the value plus the sum of the influences of what was drawn (the infinitesimal
jackknife; Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 22.6), whose error falls with the number
of documents. Documents are then drawn in GROUPS random groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bca import acceleration_of, bca_interval
from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval
from heads.evaluation.probability_metrics import (
    BINS,
    check_probabilities,
    confidences,
    document_losses,
    equal_mass_bins,
)
from heads.evaluation.ranking_metrics import LabelRanking, RankingTable, rank_labels
from heads.evaluation.score_matrix import scores_to_probabilities

__all__ = ["PROBABILITY_METRICS", "ProbabilityTable", "probability_intervals", "rank_scores", "resample_probabilities"]

FloatArray = NDArray[np.float64]
PROBABILITY_METRICS = ("log_loss", "brier", "ece", "average_precision", "auroc")
LOSSES = ("log_loss", "brier")
RANKINGS = ("average_precision", "auroc")
MAX_DOCUMENTS = 20_000  # that are drawn one by one; 2,000 resamples take about a second
MAX_PAIRS = 1_000_000  # of a document and its first threshold in the ranking of a label, which take about a second too
MAX_CELLS = 5_000_000  # documents times labels, of rankings that are kept: 50 MB
GROUPS = 2000
BLOCK_CELLS = 2**19  # cells of the weights of a block of resamples: 2 MB, which stay in the cache
_Measured = dict[str, tuple[float, FloatArray]]  # a metric's value, and the influences of documents


@dataclass(frozen=True, eq=False)
class ProbabilityTable:
    """The metrics of one prediction, and what they depend on.

    Attributes:
        documents: their number.
        values: the metrics by name; those that are not defined for these documents are left out.
        influences: of each metric, float64 (documents,), its derivative by the weight of each document.
        sums: float64 (3, documents), log loss, Brier score, and how many confidences each document has.
            Rows of metrics that were not wanted are 0.
        gaps: sparse float64 (bins, documents), the sum of confidence minus correctness of each document in each bin;
            None if the ECE was not wanted.
        rankings: of the labels that have a document; empty if there are too many for a resample.
        labels: float64 (2, labels), average precision and AUROC of each label, NaN if not defined; empty without them.
    """

    documents: int
    values: Mapping[str, float]
    influences: Mapping[str, FloatArray]
    sums: FloatArray
    gaps: Any
    rankings: Sequence[LabelRanking]
    labels: FloatArray

    @classmethod
    def of(cls, truth: NDArray[Any], probabilities: NDArray[Any], names: Sequence[str] = PROBABILITY_METRICS) -> Self:
        """Measure a prediction.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            probabilities: (documents, labels).
            names: of the metrics that are wanted; without those of rankings it takes a tenth of the time.

        Returns:
            The table.

        Raises:
            ValueError: the shapes differ, or a number is not a probability.
        """
        check_probabilities(truth, probabilities)
        sums, gaps = np.zeros((3, len(truth))), None
        metrics, labels, rankings = _Measured(), np.zeros((2, 0)), list[LabelRanking]()
        if len(truth) and set(names) & set(LOSSES):
            sums[:2] = document_losses(truth, probabilities)
            metrics |= _mean_losses(sums[:2])
        if len(truth) and "ece" in names:
            gaps, sums[2] = _bin_gaps(truth, probabilities)
            metrics |= _calibration_error(gaps, sums[2])
        if len(truth) and set(names) & set(RANKINGS):
            labels, of_rankings, rankings = _measure_rankings(truth, probabilities)
            metrics |= of_rankings
        values = {name: value for name, (value, _) in metrics.items() if name in names}
        influences = {name: metrics[name][1] for name in values}
        return cls(len(truth), values, influences, sums, gaps, rankings, labels)

    @cached_property
    def _ranking_table(self) -> RankingTable:
        return RankingTable.of(self.rankings)

    @property
    def is_small(self) -> bool:
        """Whether each resample counts documents again."""
        has_rankings = bool(self.rankings) or not set(self.values) & set(RANKINGS)
        return has_rankings and self.documents <= MAX_DOCUMENTS

    def resample(self, weights: NDArray[np.float32]) -> dict[str, FloatArray]:
        """The metrics of samples by name, float64 (samples,); NaN where a sample does not have one.

        weights: (documents, samples), how often each document is in each sample.
        """
        exact = weights.astype(np.float64)
        log_loss, brier, pairs = self.sums @ exact
        resampled = {"log_loss": log_loss / self.documents, "brier": brier / self.documents}
        if self.gaps is not None:
            resampled["ece"] = np.abs(self.gaps @ exact).sum(axis=0) / np.where(pairs > 0, pairs, np.nan)
        if self.rankings:
            resampled |= zip(RANKINGS, self._ranking_table.macro(weights), strict=True)
        return {name: resampled[name] for name in self.values}

    def interval(self, name: str, resampled: FloatArray) -> ConfidenceInterval:
        """The 95 % confidence interval of a metric. resampled: its values in resamples."""
        return bca_interval(self.values[name], resampled, acceleration_of(self.influences[name]))


def _mean_losses(losses: FloatArray) -> _Measured:
    means = losses.mean(axis=1)
    influences = (losses - means[:, None]) / losses.shape[1]
    return {name: (float(means[row]), influences[row]) for row, name in enumerate(LOSSES)}


def _bin_gaps(truth: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Any, FloatArray]:
    from scipy.sparse import csr_array

    confidence, correct, rows = confidences(truth, probabilities)
    entries = (confidence - correct, (equal_mass_bins(confidence, BINS), rows))
    gaps = csr_array(entries, shape=(BINS, len(truth)))
    return gaps, np.bincount(rows, minlength=len(truth)).astype(np.float64)


def _calibration_error(gaps: Any, pairs: FloatArray) -> _Measured:
    of_bins, total = gaps.sum(axis=1), pairs.sum()
    if not total:
        return {}
    error = float(np.abs(of_bins).sum() / total)
    return {"ece": (error, (np.sign(of_bins) @ gaps - error * pairs) / total)}


def _measure_rankings(
    truth: NDArray[Any], probabilities: NDArray[Any]
) -> tuple[FloatArray, _Measured, list[LabelRanking]]:
    """The metrics of each label, their macro averages, and the rankings if they are few enough."""
    labels, influences = np.full((2, probabilities.shape[1]), np.nan), np.zeros((2, len(truth)))
    kept, pairs, is_small = list[LabelRanking](), 0, probabilities.size <= MAX_CELLS
    for label, ranking in enumerate(rank_labels(truth, probabilities)):
        labels[:, label] = ranking.average_precision, ranking.auroc
        influences += ranking.average_precision_influence(), ranking.auroc_influence()
        pairs += int(np.count_nonzero(ranking.step < ranking.thresholds))
        is_small = is_small and pairs <= MAX_PAIRS
        if is_small and ranking.positives:
            kept.append(ranking)
        elif not is_small:
            kept.clear()
    counts = np.count_nonzero(np.isfinite(labels), axis=1)
    slopes = {name: influences[row] / max(counts[row], 1) for row, name in enumerate(RANKINGS)}
    return labels, {name: (value, slopes[name]) for name, value in _macro_averages(labels).items()}, kept


def _macro_averages(labels: FloatArray) -> dict[str, float]:
    """Of the labels for which they are defined, (2, labels); those that are defined for none are left out."""
    defined = ((name, values[np.isfinite(values)]) for name, values in zip(RANKINGS, labels, strict=True))
    return {name: float(values.mean()) for name, values in defined if len(values)}


def probability_intervals(
    truth: NDArray[Any],
    probabilities: NDArray[Any],
    names: Sequence[str] = PROBABILITY_METRICS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, ConfidenceInterval]:
    """The metrics of probabilities with 95 % confidence intervals.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        probabilities: (documents, labels).
        names: of PROBABILITY_METRICS.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        Each of `names`; those that are not defined for these documents are left out.

    Raises:
        ValueError: the shapes differ, or a number is not a probability.
    """
    table = ProbabilityTable.of(truth, probabilities, names)
    (resampled,) = resample_probabilities([table], seed, resamples)
    return {name: table.interval(name, draws) for name, draws in resampled.items()}


def rank_scores(truth: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
    """The average precision and the AUROC of scores, by name, without confidence intervals.

    truth: int codes (documents,), or bool (documents, labels). scores: (documents, labels), uncalibrated.
    """
    probabilities = scores_to_probabilities(scores, multilabel=truth.ndim == 2)
    check_probabilities(truth, probabilities)
    labels = [(ranking.average_precision, ranking.auroc) for ranking in rank_labels(truth, probabilities)]
    return _macro_averages(np.array(labels).T)


def resample_probabilities(
    tables: Sequence[ProbabilityTable], seed: int = 0, resamples: int = RESAMPLES
) -> list[dict[str, FloatArray]]:
    """The metrics of predictions of the same documents in the same resamples, so that their differences are paired.

    Args:
        tables: of at least one prediction.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        For each table its metrics by name, float64 (resamples,) each.
    """
    documents = tables[0].documents
    if not documents:
        return [{} for _ in tables]
    if all(table.is_small for table in tables):
        blocks = [[table.resample(weights) for table in tables] for weights in _draw(documents, seed, resamples)]
    else:
        blocks = [_approximate(tables, seed, resamples)]
    return [
        {name: np.concatenate([block[number][name] for block in blocks]) for name in table.values}
        for number, table in enumerate(tables)
    ]


def _draw(documents: int, seed: int, resamples: int) -> Iterator[NDArray[np.float32]]:
    """Blocks of resamples, (documents, resamples of the block): how often each document is drawn."""
    random, block = np.random.default_rng(seed), max(1, BLOCK_CELLS // documents)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        cells = random.integers(documents, size=(size, documents)) + np.arange(size)[:, None] * documents
        drawn = np.bincount(cells.ravel(), minlength=size * documents).reshape(size, documents)
        yield np.ascontiguousarray(drawn.T.astype(np.float32))


def _approximate(tables: Sequence[ProbabilityTable], seed: int, resamples: int) -> list[dict[str, FloatArray]]:
    random = np.random.default_rng(seed)
    group = random.permutation(tables[0].documents) % GROUPS
    drawn = random.multinomial(GROUPS, np.full(GROUPS, 1 / GROUPS), size=resamples)
    approximate = []
    for table in tables:
        sums = {name: np.bincount(group, influence, GROUPS) for name, influence in table.influences.items()}
        approximate.append({name: np.asarray(value + drawn @ sums[name]) for name, value in table.values.items()})
    return approximate
