"""Linear support-vector machines, one-versus-rest, on sparse rows, and their calibration to logits."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.inputs import Examples
from heads.core.pooled_head import constant_logits
from heads.linear_models.margin_scaling import fit_inverse_temperature, log_loss

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = [
    "SparseLinearModel",
    "assign_inner_folds",
    "fit_calibrated_svm",
    "fit_svm",
    "out_of_fold_log_loss",
    "out_of_fold_margins",
]

FOLDS = 3
# above this number of documents one fold is scored: all three chose the same strength on Reuters-52, in twice the time
SINGLE_FOLD_DOCUMENTS = 2000
# above this number one fold calibrates: on Reuters-52 the factors of 2,200 scored documents had a standard deviation of
# 8 %, so that of 10,000 has about 4 %
SINGLE_FOLD_CALIBRATION = 30_000
# of the dual gradient: with liblinear's default, 1e-4, the order of rows changes the fourth digit of a logit
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class SparseLinearModel:
    """Scores that are linear in sparse rows: coefficients float32 (features, labels), intercepts float32 (labels,)."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], intercepts: NDArray[np.float64]) -> Self:
        """The model of coefficients (labels, features)."""
        return cls(np.ascontiguousarray(coefficients.T, dtype=np.float32), intercepts.astype(np.float32))

    def scores(self, rows: "csr_matrix") -> NDArray[np.float64]:
        """Scores of rows (documents, features), float64 (documents, labels)."""
        return np.asarray(rows @ self.coefficients, dtype=np.float64) + self.intercepts


def fit_svm(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one squared-hinge SVM per label.

    Minimizes  |coefficients|^2 / 2 + C sum_i w_i max(0, 1 - y_i margin_i)^2  for each label; the intercept is the
    coefficient of a constant feature 1. The solver is liblinear's dual coordinate descent (Hsieh et al. 2008; Fan et
    al. 2008). Document weights are the same for all labels, or differ per label if the target is multi-label.

    Args:
        rows: (documents, features).
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        seed: seed of the solver.

    Returns:
        Coefficients (labels, features) and intercepts (labels,) of margins. The margin of a label without documents is
        -1; in multi-label targets, a label that all documents have, or none, has margin 0.
    """
    coefficients = np.zeros((labels, rows.shape[1]))
    if examples.multilabel:
        intercepts = np.zeros(labels)
        for column, present in enumerate(examples.y.T):
            if present.any() and not present.all():
                label_coefficients, label_intercept = _fit_liblinear(
                    rows, present, examples.loss_weight[:, column], C, seed
                )
                coefficients[column], intercepts[column] = label_coefficients[0], label_intercept[0]
        return coefficients, intercepts
    seen, intercepts = np.unique(examples.y), np.full(labels, -1.0)
    if len(seen) < 2:
        intercepts[seen] = 1.0
        return coefficients, intercepts
    seen_coefficients, seen_intercepts = _fit_liblinear(rows, examples.y, examples.loss_weight, C, seed)
    if len(seen) == 2:
        seen_coefficients = np.concatenate([-seen_coefficients, seen_coefficients])
        seen_intercepts = np.concatenate([-seen_intercepts, seen_intercepts])
    coefficients[seen], intercepts[seen] = seen_coefficients, seen_intercepts
    return coefficients, intercepts


def assign_inner_folds(rows: "csr_matrix", examples: Examples, seed: int) -> NDArray[np.int64]:
    """Assign each document to one of 3 folds; groups, or equal rows if there are no groups, stay together.

    The folds are not stratified, so neither the order of documents nor duplicates change any fold: it depends on the
    set of groups or rows only. A group of which no document may validate (`Examples.fit_only`) is in no fold.

    Args:
        rows: (documents, features).
        examples: the documents.
        seed: seed of the assignment.

    Returns:
        int64 (documents,), -1 for a document in no fold.
    """
    members = examples.groups
    if members is None:
        members = rows @ np.random.default_rng(seed).random(rows.shape[1])
    part = np.full(len(members), -1)
    validates = part < 0 if examples.fit_only is None else np.isin(members, members[~examples.fit_only])
    names, group = np.unique(members[validates], return_inverse=True)
    part[validates] = np.random.default_rng(seed).permutation(len(names))[group] % FOLDS
    return part


def out_of_fold_margins(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int, folds: int = FOLDS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Margins by SVMs that were fitted on neither the document nor its group.

    The rows themselves (n-grams and their idf, means and deviations) have seen all documents, but no label.

    Args:
        rows: (documents, features).
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        seed: seed of the folds and of the solver.
        folds: number of folds to score, from the first on.

    Returns:
        The scored documents (scored,) and their margins (scored, labels). A document is not scored if the other folds
        do not have its label, or if it may not validate (`Examples.fit_only`).
    """
    part = assign_inner_folds(rows, examples, seed)
    scorable = np.ones(len(part), dtype=bool) if examples.fit_only is None else ~examples.fit_only
    documents, margins = [np.zeros(0, np.int64)], [np.zeros((0, labels))]
    for fold in range(folds):
        fitted, scored = np.flatnonzero(part != fold), np.flatnonzero(scorable & (part == fold))
        if not examples.multilabel:
            scored = scored[np.isin(examples.y[scored], examples.y[fitted])]
        if len(fitted) and len(scored):
            model = SparseLinearModel.from_coefficients(*fit_svm(rows[fitted], examples[fitted], labels, C, seed))
            documents.append(scored)
            margins.append(model.scores(rows[scored]))
    return np.concatenate(documents), np.concatenate(margins)


def out_of_fold_log_loss(rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int) -> float:
    """Log loss of out-of-fold documents after temperature scaling on the same documents.

    Below SINGLE_FOLD_DOCUMENTS documents every fold is scored, else the first.

    Args:
        rows: (documents, features).
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        seed: seed of the folds and of the solver.

    Returns:
        The loss; 0 if no document can be scored.
    """
    folds = FOLDS if len(examples) < SINGLE_FOLD_DOCUMENTS else 1
    scored, margins = out_of_fold_margins(rows, examples, labels, C, seed, folds)
    if not len(scored):
        return 0.0
    scored_examples, no_offset = examples[scored], np.zeros(labels)
    factor = fit_inverse_temperature(margins, no_offset, scored_examples, _smoothing(scored_examples))
    return log_loss(factor * margins, scored_examples)


def fit_calibrated_svm(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit SVMs and calibrate their margins to logits by temperature scaling on out-of-fold margins.

    Below SINGLE_FOLD_CALIBRATION documents every fold is scored, else the first. A multi-label label that all documents
    have, or none, gets the log-odds of its frequency.

    Args:
        rows: (documents, features).
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        seed: seed of the folds and of the solver.

    Returns:
        Coefficients (labels, features) and intercepts (labels,) of logits.
    """
    offset = np.zeros(labels)
    if examples.multilabel:
        constant = examples.y.all(axis=0) | ~examples.y.any(axis=0)
        offset[constant] = constant_logits(examples.y, examples.sample_weight)[constant]
    folds = FOLDS if len(examples) < SINGLE_FOLD_CALIBRATION else 1
    scored, margins = out_of_fold_margins(rows, examples, labels, C, seed, folds)
    scored_examples = examples[scored]
    smoothing = _smoothing(scored_examples)
    factor = fit_inverse_temperature(margins, offset, scored_examples, smoothing) if len(scored) else 1.0
    coefficients, intercepts = fit_svm(rows, examples, labels, C, seed)
    return factor * coefficients, factor * intercepts + offset


def _smoothing(examples: Examples) -> float:
    """Label smoothing 1 / (n + 2), so that n correct margins are not taken as certain (Platt 1999, section 2.2)."""
    return float(1 / (examples.sample_weight.sum() + 2))


def _fit_liblinear(
    rows: "csr_matrix", y: NDArray[Any], weight: NDArray[np.float64], C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (classes, features) and intercepts (classes,) in sorted class order; two classes give one row."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=C, random_state=seed % 2**32, tol=TOLERANCE)
    with warnings.catch_warnings():
        # of convergence, and that many whole numbers as labels might be a regression
        warnings.simplefilter("ignore", UserWarning)
        model.fit(rows, y, sample_weight=weight)
    return model.coef_, model.intercept_
