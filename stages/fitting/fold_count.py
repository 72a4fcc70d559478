"""How many folds a corpus needs.

Every scored document has one out-of-fold score, whatever the number of folds, so the standard error of a metric is
about s / sqrt(n) with 2 folds and with 5. More folds buy one thing: each fit learns from (k - 1) / k of the documents,
and so scores a little too low. For macro-F1 this loss follows the documents m of a label: on the learning curve of
`linear` on Reuters-52 (docs/howto/learning-curves.md) macro-F1 is a - b / sqrt(m) with b = 0.57
(least squares over its three sizes from 1,600 documents on, with m from 3 to 10), so that k folds lose

    b / sqrt(m) * (sqrt(k / (k - 1)) - 1)

which is 0.118, 0.225 and 0.414 times b / sqrt(m) for 5, 3 and 2 folds. Below, fewer folds are chosen if they lose at
most 0.002 more than 5 folds do, which is less than seeds differ by. By this curve that holds for 3 folds from 930
documents per label on, and for 2 folds from 7,100 on. It is one head on one corpus, with a hundredth of the documents
per label that the rule is for, so the limits are higher. Below 20,000 documents, fits are cheap and 5 folds stay.

The documents that a label has are those for which b / sqrt(m) is the mean over labels: rare labels count most.
"""

import numpy as np

from data.target import Target

__all__ = ["FOLDS", "choose_fold_count", "documents_per_label", "fold_count_note"]

FOLDS = 5
MIN_DOCUMENTS = 20_000  # training documents
MIN_PER_LABEL = {2: 10_000, 3: 1_500}  # folds -> documents per label from which on they suffice


def documents_per_label(target: Target) -> float:
    """How many documents a label typically has: the power mean of exponent -1/2 over the labels that occur."""
    counts = target.counts[target.counts > 0]
    return float(np.mean(counts**-0.5) ** -2) if len(counts) else 0.0


def choose_fold_count(target: Target) -> int:
    """The number of folds for these training documents."""
    if len(target) < MIN_DOCUMENTS:
        return FOLDS
    typical = documents_per_label(target)
    return next((folds for folds, least in MIN_PER_LABEL.items() if typical >= least), FOLDS)


def fold_count_note(target: Target, folds: int) -> str:
    """A sentence on a number of folds that was chosen."""
    share = {2: "half", 3: "two thirds"}[folds]
    return (
        f"There are {folds} folds instead of {FOLDS}: labels have about {documents_per_label(target):,.0f} training "
        f"documents each, so a head that is fitted on {share} of them is hardly worse (--folds {FOLDS} overrides)."
    )
