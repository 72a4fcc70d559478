"""Fits label sets on out-of-fold scores, and measures them on documents that the thresholds were not fitted to."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.splits import assign_folds
from heads.evaluation.decisions.label_sets import (
    LabelSetOptions,
    LabelSetRule,
    conformal_threshold,
    first_labels,
    uniform_numbers,
)
from heads.evaluation.label_set_metrics import label_set_metrics
from heads.evaluation.score_matrix import row_blocks

__all__ = ["calibrate_label_sets", "check_one_label", "fit_label_sets"]

FOLDS = 5
PENALTIES = (0.001, 0.01, 0.1, 0.5, 1.0)  # those of Angelopoulos et al. 2021, appendix E, and two higher ones
TUNING_SHARE = 5  # one of this number of documents chooses the penalty, and the others the threshold


@dataclass(frozen=True, eq=False)
class _Documents:
    """Documents with known labels, from which thresholds are computed."""

    probabilities: NDArray[Any]
    truth: NDArray[np.int64]
    uniform: NDArray[np.float64]
    first: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[Any]) -> "_Documents":
        return _Documents(self.probabilities[rows], self.truth[rows], self.uniform[rows], self.first[rows])

    def true_scores(self, rule: LabelSetRule) -> NDArray[np.float64]:
        """The score of each document's true label, float64 (documents,)."""
        scores = np.empty(len(self.truth))
        for rows in row_blocks(self.probabilities.shape):
            of_labels = rule.label_scores(self.probabilities[rows], self.uniform[rows], self.first[rows])
            scores[rows] = np.take_along_axis(of_labels, self.truth[rows, None], axis=1)[:, 0]
        return scores


def fit_label_sets(
    probabilities: NDArray[Any],
    truth: NDArray[Any],
    predicted: NDArray[np.int64],
    ids: Sequence[str],
    options: LabelSetOptions,
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
) -> tuple[LabelSetRule, NDArray[np.bool_]]:
    """Find the thresholds of label sets, and measure these out of fold.

    Each document gets the set of the rule of the folds without it.

    Args:
        probabilities: calibrated and out-of-fold, (documents, labels).
        truth: the true label of each document, int64 (documents,).
        predicted: out-of-fold predictions without undecided documents, codes of labels, or of nodes of a hierarchy.
        ids: of the documents.
        options: what is requested.
        groups: (documents,); rows of one group stay in one fold. None if there are no groups.
        seed: of the folds and of the random numbers.

    Returns:
        The rule, and the out-of-fold sets, bool (documents, labels).

    Raises:
        CallError: the labels are multi-label, or there are too few documents for the level.
    """
    check_one_label(truth)
    names = np.array(ids, dtype=object)
    fold_of, sets = assign_folds(truth, groups, FOLDS, seed), np.empty(probabilities.shape, dtype=bool)
    for fold in np.unique(fold_of).tolist():
        rows, others = fold_of == fold, fold_of != fold
        rule = calibrate_label_sets(
            probabilities[others], truth[others], predicted[others], names[others], options, seed
        )
        sets[rows] = rule.sets(probabilities[rows], names[rows], predicted[rows])
    rule = calibrate_label_sets(probabilities, truth, predicted, names, options, seed)
    return replace(rule, evidence=label_set_metrics(sets, truth, seed)), sets


def check_one_label(truth: NDArray[Any]) -> None:
    """Raise CallError for multi-label documents. truth: int64 (documents,), or bool (documents, labels)."""
    if truth.ndim == 2:
        raise CallError(
            "Label sets are for documents with one label, and these may have any number of labels. Leave --label-sets "
            "out, or choose thresholds with --objective."
        )


def calibrate_label_sets(
    probabilities: NDArray[Any],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64] | None,
    ids: Sequence[str] | NDArray[Any],
    options: LabelSetOptions,
    seed: int = 0,
) -> LabelSetRule:
    """Find the thresholds of label sets on documents that the head was not fitted on: split conformal prediction.

    Args:
        probabilities: calibrated, (documents, labels).
        truth: the true label of each document, int64 (documents,).
        predicted: as for `fit_label_sets`; None for the most probable labels.
        ids: of the documents.
        options: what is requested.
        seed: of the random numbers.

    Returns:
        The rule, without evidence.

    Raises:
        CallError: there are too few documents for the level.
    """
    documents = _Documents(probabilities, truth, uniform_numbers(ids, seed), first_labels(probabilities, predicted))
    rule = LabelSetRule(options, (), seed=seed)
    if options.score == "raps":
        is_tuning = np.random.default_rng(seed).permutation(len(truth)) % TUNING_SHARE == 0
        rule, documents = _choose_penalty(documents[is_tuning], rule), documents[~is_tuning]
    return _with_thresholds(rule, documents)


def _with_thresholds(rule: LabelSetRule, documents: _Documents) -> LabelSetRule:
    """The rule with its thresholds. A label with too few documents shares one with the other such labels."""
    level, labels = rule.options.level, documents.probabilities.shape[1]
    scores = documents.true_scores(rule)
    common = conformal_threshold(scores, level)
    if common == np.inf:
        raise CallError(
            f"Label sets that contain the true label of {100 * level:g} % of documents need thresholds from at least "
            f"{min_documents(level):,} documents, and there are {len(scores):,} (the others measure them). Choose a "
            "lower level."
        )
    if not rule.options.per_label:
        return replace(rule, thresholds=(common,) * labels)
    is_rare = (np.bincount(documents.truth, minlength=labels) < min_documents(level))[documents.truth]
    of_rare = conformal_threshold(scores[is_rare], level)
    shared = common if of_rare == np.inf else of_rare
    own = (conformal_threshold(scores[documents.truth == label], level) for label in range(labels))
    return replace(rule, thresholds=tuple(shared if threshold == np.inf else threshold for threshold in own))


def _choose_penalty(documents: _Documents, rule: LabelSetRule) -> LabelSetRule:
    """The rule of raps with the smallest sets: Angelopoulos et al. 2021, algorithm 4, or one free rank."""
    scores = -np.sort(-documents.probabilities, axis=1)
    of_truth = np.take_along_axis(documents.probabilities, documents.truth[:, None], axis=1)
    ranks = (scores > of_truth).sum(axis=1) + 1
    usual = int(np.quantile(ranks, rule.options.level, method="higher"))
    candidates = [
        replace(rule, penalty=penalty, free_ranks=rank) for rank in sorted({1, usual}) for penalty in PENALTIES
    ]
    return min(candidates, key=lambda each: _mean_size(each, documents))


def _mean_size(rule: LabelSetRule, documents: _Documents) -> float:
    """The mean size of sets of the documents that the threshold comes from; one without a threshold has all labels."""
    threshold = conformal_threshold(documents.true_scores(rule), rule.options.level)
    scores = rule.label_scores(documents.probabilities, documents.uniform, documents.first)
    return float((scores <= threshold).sum(axis=1).mean())


def min_documents(level: float) -> int:
    """The number of documents without which there is no threshold for a level."""
    return int(np.ceil(level / (1 - level) - 1e-9))
