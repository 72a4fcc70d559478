"""Linear support-vector machines, one versus the rest, on sparse rows; and what their margins are as logits."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.examples import Examples
from heads.core.pooled_head import constant_logits
from heads.linear_models.margin_scaling import cross_entropy, fit_inverse_temperature

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
# documents by a third of which a choice is made: more of them chose the same strength on Reuters-52, in twice the time
ENOUGH = 2000
# of the dual's gradient: at liblinear's own, 1e-4, the order of rows shows in the fourth digit of a logit
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class SparseLinearModel:
    """Scores linear in rows: coefficients float32 (features, labels), intercepts float32 (labels,)."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], intercepts: NDArray[np.float64]) -> Self:
        """From coefficients (labels, features)."""
        return cls(np.ascontiguousarray(coefficients.T, dtype=np.float32), intercepts.astype(np.float32))

    def scores(self, rows: "csr_matrix") -> NDArray[np.float64]:
        """(documents, features) -> float64 (documents, labels)."""
        return np.asarray(rows @ self.coefficients, dtype=np.float64) + self.intercepts


def fit_svm(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(coefficients (labels, features), intercepts (labels,)) of margins.

    Minimises  |coefficients|^2 / 2 + C sum_i w_i max(0, 1 - y_i margin_i)^2  for each label, the intercept being the
    coefficient of a constant 1: liblinear's dual coordinate descent (Hsieh et al. 2008; Fan et al. 2008). Documents
    weigh alike for all labels, or differently for each where a document may have several. The margin of a label that no
    document has is -1; where a document may have several, one that all have, or none, has 0.
    """
    coefficients = np.zeros((labels, rows.shape[1]))
    if examples.multilabel:
        intercepts = np.zeros(labels)
        for column, present in enumerate(examples.y.T):
            if present.any() and not present.all():
                own, offset = _machine(rows, present, examples.loss_weight[:, column], C, seed)
                coefficients[column], intercepts[column] = own[0], offset[0]
        return coefficients, intercepts
    seen, intercepts = np.unique(examples.y), np.full(labels, -1.0)
    if len(seen) < 2:
        intercepts[seen] = 1.0
        return coefficients, intercepts
    found, offsets = _machine(rows, examples.y, examples.loss_weight, C, seed)
    if len(seen) == 2:
        found, offsets = np.concatenate([-found, found]), np.concatenate([-offsets, offsets])
    coefficients[seen], intercepts[seen] = found, offsets
    return coefficients, intercepts


def assign_inner_folds(rows: "csr_matrix", examples: Examples, seed: int) -> NDArray[np.int64]:
    """One of 3 folds a document, int64 (documents,): groups kept together, or without groups equal rows.

    Not stratified, so that neither the order of documents nor copies of some move any: a fold follows from the set of
    groups or of rows alone.
    """
    members = examples.groups
    if members is None:
        members = rows @ np.random.default_rng(seed).random(rows.shape[1])
    names, group = np.unique(members, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(names))[group] % FOLDS)


def out_of_fold_margins(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int, folds: int = FOLDS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(documents (asked,), margins (asked, labels)) by machines that learned neither from a document nor its group.

    Asked are those of the first `folds` folds, but for documents with a label that the rest does not have. What rows
    are made by (n-grams and their idf, means and deviations) has seen all documents, but no label.
    """
    part = assign_inner_folds(rows, examples, seed)
    documents, margins = [np.zeros(0, np.int64)], [np.zeros((0, labels))]
    for fold in range(folds):
        learned, asked = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        if not examples.multilabel:
            asked = asked[np.isin(examples.y[asked], examples.y[learned])]
        if len(learned) and len(asked):
            found = fit_svm(rows[learned], examples[learned], labels, C, seed)
            documents.append(asked)
            margins.append(SparseLinearModel.from_coefficients(*found).scores(rows[asked]))
    return np.concatenate(documents), np.concatenate(margins)


def out_of_fold_log_loss(rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int) -> float:
    """Cross entropy of left-out documents, at the factor that is likeliest for them.

    Of fewer than ENOUGH each is left out once; of more, those of the first fold stand for all.
    """
    asked, margins = out_of_fold_margins(rows, examples, labels, C, seed, FOLDS if len(examples) < ENOUGH else 1)
    if not len(asked):
        return 0.0
    known, none = examples[asked], np.zeros(labels)
    return cross_entropy(fit_inverse_temperature(margins, none, known, _doubt(known)) * margins, known)


def fit_calibrated_svm(
    rows: "csr_matrix", examples: Examples, labels: int, C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(coefficients (labels, features), intercepts (labels,)) of logits.

    Margins times one factor, the likeliest for left-out ones, and for a label that all documents have, or none, what
    is left to say of it.
    """
    offset = np.zeros(labels)
    if examples.multilabel:
        constant = examples.y.all(axis=0) | ~examples.y.any(axis=0)
        offset[constant] = constant_logits(examples.y, examples.sample_weight)[constant]
    asked, margins = out_of_fold_margins(rows, examples, labels, C, seed)
    known = examples[asked]
    factor = fit_inverse_temperature(margins, offset, known, _doubt(known)) if len(asked) else 1.0
    coefficients, intercepts = fit_svm(rows, examples, labels, C, seed)
    return factor * coefficients, factor * intercepts + offset


def _doubt(examples: Examples) -> float:
    """Of margins that are all right it is known that at most one in so many is wrong (Platt 1999, section 2.2)."""
    return float(1 / (examples.sample_weight.sum() + 2))


def _machine(
    rows: "csr_matrix", y: NDArray[Any], weight: NDArray[np.float64], C: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (values of y, features) and intercepts, of sorted values; of two the second alone."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=C, random_state=seed % 2**32, tol=TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(rows, y, sample_weight=weight)
    return machine.coef_, machine.intercept_
