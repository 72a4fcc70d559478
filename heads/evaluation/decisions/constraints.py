"""The highest recall at a precision, and the highest precision at a recall.

A threshold counts as reaching the precision if its one-sided 95 % confidence bound (Clopper & Pearson 1934) does, not
if its value does: among many thresholds some look better than they are. Pairs of one document are not independent, so
the bound of all labels together is that of as many independent ones as have the same variance (Kish 1965, Survey
Sampling, section 8.2; Korn & Graubard 1998). If no threshold reaches it, the one with the highest bound is used, and
the evidence says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import multilabel, single_label
from heads.evaluation.decisions.evidence import ReachedConstraint
from heads.evaluation.decisions.objective_metrics import CONFIDENCE, Constraint
from heads.evaluation.decisions.optimizers.search import INSET, cumulate
from heads.evaluation.decisions.rules import DecisionRule, PerLabelOffsets, PerLabelThresholds, SingleThreshold

__all__ = ["fit", "reached"]

Floats = NDArray[np.float64]
Sample = single_label.Sample | multilabel.Sample


@dataclass(frozen=True, eq=False)
class Ranking:
    """What is predicted one after the other, the highest score first.

    scores: float64 (ranks,). is_true: bool (ranks,). documents: int64 (ranks,), which of them belong together.
    positives: int64 (documents,), how many of each document are true, also those that are not ranked.
    """

    scores: Floats
    is_true: NDArray[np.bool_]
    documents: NDArray[np.int64]
    positives: NDArray[np.int64]

    def threshold(self, constraint: Constraint) -> tuple[float, bool]:
        """The best threshold, and whether it reaches the constraint."""
        if not len(self.scores):
            return 0.0, False
        hits, predicted = np.cumsum(self.is_true), np.arange(1, len(self.scores) + 1)
        precision, recall = hits / predicted, hits / max(1, self.positives.sum())
        bounded, maximized = (precision, recall) if constraint.bounded == "precision" else (recall, precision)
        trials = self._trials(bounded, constraint)
        allowed = np.append(self.scores[:-1] - self.scores[1:] > 1e-9, True)  # equal scores are predicted together
        reached = allowed & self._reaches(bounded, trials, constraint.at)
        if reached.any():
            best = np.flatnonzero(reached & (maximized >= maximized[reached].max() - 1e-12))
        else:
            bounds = np.where(allowed, _lower_bound(bounded, trials), -1.0)
            best = np.flatnonzero(bounds >= bounds.max() - 1e-12)
            best = best[maximized[best] >= maximized[best].max() - 1e-12]
        return self._between(int(best[0])), bool(reached.any())

    def _trials(self, value: Floats, constraint: Constraint) -> Floats:
        """How many independent ones have the variance of each value: (ranks,)."""
        order = np.argsort(self.documents, kind="stable")
        keys, hit = self.documents[order], self.is_true[order].astype(np.int64)
        nothing = np.zeros(len(self.positives), dtype=np.int64)
        hits, predicted = cumulate(keys, hit, nothing)[0], cumulate(keys, np.ones_like(keys), nothing)[0]
        squared_hits = _totals(order, hit * (2 * hits + 1))
        if constraint.bounded == "precision":
            count = np.arange(1.0, len(order) + 1)
            shared = _totals(order, (hits + hit) * (predicted + 1) - hits * predicted)
            squares = _totals(order, 2 * predicted + 1)
        else:
            count = np.full(len(order), float(self.positives.sum()))
            shared = _totals(order, hit * self.positives[keys])
            squares = np.full(len(order), float(self.positives @ self.positives))
        variance = squared_hits - 2 * value * shared + value**2 * squares
        independent = count * value * (1 - value)
        effect = np.where(
            independent > 0, variance / np.where(independent > 0, independent, 1), squares / np.maximum(count, 1)
        )
        return np.asarray(count / np.maximum(effect, 1.0))

    def _reaches(self, value: Floats, trials: Floats, at: float) -> NDArray[np.bool_]:
        """Whether as many hits would be unlikely if the true value were `at`."""
        from scipy.special import betainc

        hits = value * trials
        return np.asarray((hits > 0) & (betainc(np.maximum(hits, 1e-9), trials - hits + 1, at) <= 1 - CONFIDENCE))

    def _between(self, last: int) -> float:
        """A threshold that the rank `last` exceeds, and the next one does not."""
        high = self.scores[last]
        low = self.scores[last + 1] if last + 1 < len(self.scores) else -np.inf
        if np.isfinite(high) and np.isfinite(low):
            return float((high + low) / 2)
        return float(high - INSET) if np.isfinite(high) else float(low + INSET) if np.isfinite(low) else 0.0


def fit(constraint: Constraint, sample: Sample) -> list[DecisionRule]:
    """The rule with the constraint: for one label per document an offset of its label, else one or more thresholds."""
    thresholds = [ranking.threshold(constraint)[0] for ranking in _rankings(constraint, sample)]
    if isinstance(sample, single_label.Sample):
        offsets = np.zeros(sample.all_scores.shape[1])
        offsets[constraint.label] = -thresholds[0]
        return [PerLabelOffsets(tuple(offsets.tolist()))]
    if constraint.label is not None:
        values = np.zeros(sample.all_scores.shape[1])
        values[constraint.label] = thresholds[0]
        return [PerLabelThresholds(tuple(values.tolist()), parents=sample.parents)]
    if constraint.per_label:
        return [PerLabelThresholds(tuple(thresholds), parents=sample.parents)]
    return [SingleThreshold(thresholds[0], parents=sample.parents)]


def reached(constraint: Constraint, counts: Sequence[ConfusionCounts], sample: Sample) -> ReachedConstraint:
    """What a rule reaches on documents that it was not fitted to.

    Args:
        constraint: what it was fitted to.
        counts: of its predictions, one of each repeat. The confidence interval is that of the first one.
        sample: of all documents.

    Returns:
        Values that are means over repeats.
    """
    value, other = (
        float(np.mean([constraint.of_counts(count, name) for count in counts]))
        for name in (constraint.bounded, constraint.maximized)
    )
    rankings = [ranking for ranking in _rankings(constraint, sample) if ranking.positives.any()]
    unreached = sum(not ranking.threshold(constraint)[1] for ranking in rankings)
    first = counts[0]
    trials = first.predicted if constraint.bounded == "precision" else first.support
    if constraint.per_label:
        of_labels = getattr(first, constraint.bounded)[(first.support > 0) & (trials > 0)]
        holding = int(np.count_nonzero(of_labels >= constraint.at))
        return ReachedConstraint(
            constraint.bounded, constraint.at, value, other, labels=len(rankings), holding=holding, unreached=unreached
        )
    number = float(trials.sum() if constraint.label is None else trials[constraint.label])
    low, high = confidence_interval(float(constraint.of_counts(first, constraint.bounded)), number)
    return ReachedConstraint(
        constraint.bounded, constraint.at, value, other, constraint.label_name, low, high, unreached=unreached
    )


def confidence_interval(value: float, trials: float) -> tuple[float, float]:
    """The two-sided 95 % confidence interval of a share of independent trials (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv

    hits, rest = value * trials, (1 - value) * trials
    level = (1 - CONFIDENCE) / 2
    low = betaincinv(hits, rest + 1, level) if hits > 0 else 0.0
    return float(low), float(betaincinv(hits + 1, rest, 1 - level) if rest > 0 else 1.0)


def _rankings(constraint: Constraint, sample: Sample) -> list[Ranking]:
    if isinstance(sample, single_label.Sample):
        return [_rank_margins(int(constraint.label or 0), sample)]
    if constraint.label is not None:
        return [_rank_label(constraint.label, sample)]
    if constraint.per_label:
        return [_rank_label(label, sample) for label in range(len(sample.support))]
    scores, documents, _, is_true = sample.ordered.all_pairs
    used = sample.rows[documents]
    return [Ranking(scores[used], is_true[used], documents[used], sample.sizes)]


def _rank_margins(label: int, sample: single_label.Sample) -> Ranking:
    """Documents by how much the score of a label exceeds the best other one."""
    scores, is_true = sample.scores, sample.truth == label
    others = np.delete(scores, label, axis=1).max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore"):  # a document may have no score for any label
        margins = scores[:, label] - others
    rows = np.flatnonzero(margins > -np.inf)
    rows = rows[np.argsort(-margins[rows], kind="stable")]
    return Ranking(margins[rows], is_true[rows], rows, is_true.astype(np.int64))


def _rank_label(label: int, sample: multilabel.Sample) -> Ranking:
    documents, scores = sample.ordered.documents[label, ::-1], sample.ordered.scores[label, ::-1]
    has_label = sample.ordered.has_label[label, ::-1]
    used = sample.rows[documents] & np.isfinite(scores)
    positives = np.where(sample.rows, sample.all_truth[:, label], 0).astype(np.int64)
    return Ranking(scores[used].astype(np.float64), has_label[used], documents[used].astype(np.int64), positives)


def _totals(order: NDArray[np.int64], changes: NDArray[Any]) -> Floats:
    """The running totals of changes that are in another order."""
    restored = np.empty(len(order))
    restored[order] = changes
    return np.cumsum(restored)


def _lower_bound(value: Floats, trials: Floats) -> Floats:
    from scipy.special import betaincinv

    hits = value * trials
    bound = betaincinv(np.maximum(hits, 1e-9), trials - hits + 1, 1 - CONFIDENCE)
    return np.where(hits > 0, bound, 0.0)
