"""A scikit-learn classifier with the decision rule, the calibration and the label sets of a run."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import column_or_1d, get_tags, indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from data.errors import CallError, UnknownName, suggest_name
from data.splits import assign_folds
from heads.evaluation.calibration import CalibrationMethod, check_method, fit_calibration
from heads.evaluation.decisions import Decision, default_decision, tune_decision
from heads.evaluation.decisions.label_set_fitting import fit_label_sets
from heads.evaluation.decisions.label_sets import LabelSetOptions
from heads.evaluation.decisions.objective_request import ObjectiveRequest
from heads.evaluation.score_matrix import probabilities_to_scores

__all__ = ["TunedDecision"]

MIN_DOCUMENTS = 2  # of cross-fitting


class TunedDecision(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Any classifier, with a decision rule that is chosen on its cross-fitted scores as `fit_head` chooses it.

    The classifier is fitted on all documents and, for scores of documents that it was not fitted on, once per fold. On
    these scores the decision rule is chosen: a more flexible one only if it is better on documents that the rule was
    not fitted to. So is the calibration of the probabilities. Documents may have one label or any number of them.

    Args:
        estimator: an unfitted classifier with `predict_proba` or `decision_function`.
        objective: what the rule is chosen for, as in `embedonce decide --objective`; None for macro-F1.
        beta: of "macro-fbeta" and "micro-fbeta", by how much recall counts more than precision.
        costs: of "cost", (labels, labels) in the order of `classes_`: the cost of predicting the column for the row.
        at: of "recall-at-precision" and "precision-at-recall", the lowest precision or recall.
        label: of these two, the label that they are for; for multi-label targets its column.
        per_label: of these two, whether each label must reach it, not all of them together.
        calibration: "auto", "none", "temperature", "vector" or "isotonic".
        label_sets: the share of documents whose set of `predict_sets` is to contain the true label; None for no sets.
        cv: the number of folds.
        random_state: the seed of the folds, of those of the rule, and of the random numbers of label sets.

    Attributes:
        classes_: the labels, in the order of the columns; 0, 1, ... for multi-label targets.
        estimator_: the classifier, fitted on all documents.
        decision_: a `heads.evaluation.decisions.Decision`: the rule, the evidence for it, calibration and label sets.
        n_features_in_, feature_names_in_: of `estimator_`, if it has them.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        objective: str | None = None,
        beta: float | None = None,
        costs: ArrayLike | None = None,
        at: float | None = None,
        label: Hashable | None = None,
        per_label: bool = False,
        calibration: CalibrationMethod = "auto",
        label_sets: float | None = None,
        cv: int = 5,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.objective = objective
        self.beta = beta
        self.costs = costs
        self.at = at
        self.label = label
        self.per_label = per_label
        self.calibration = calibration
        self.label_sets = label_sets
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Sequence[Hashable] | NDArray[Any] | None = None) -> Self:
        """Fit the classifier, and choose the rule, the calibration and the thresholds of label sets.

        Args:
            X: what the classifier takes: an array, a sparse matrix, a data frame, a list of texts, or `Bags`.
            y: labels (documents,), or 0 and 1 (documents, labels) for multi-label targets.
            groups: (documents,); documents of one group are in one fold. None if there are no groups.

        Returns:
            The fitted estimator itself.

        Raises:
            ValueError: y is no classification target, an option does not fit it, or the classifier refuses the input.
        """
        check_method(self.calibration)
        sets = None if self.label_sets is None else LabelSetOptions(level=self.label_sets)
        check_classification_targets(y)
        self._multilabel = type_of_target(y) == "multilabel-indicator"
        y = _to_dense(y) if self._multilabel else column_or_1d(y, warn=True)
        groups = None if groups is None else list(groups)  # by position, whatever index a series has
        self.estimator_ = clone(self.estimator).fit(X, y)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        truth = self._encode(y)
        self._seen, request = self._seen_in(truth), self._request()
        scores = self._cross_fit(X, y, truth, groups)
        if scores is None:
            if sets is not None:
                raise CallError(
                    "Label sets need documents that can be divided into folds, each with two labels among the others, "
                    "and there are too few. Leave label_sets out."
                )
            self.decision_: Decision = _without_evidence(default_decision(self._scores(X), truth, objective=request))
            return self
        decision = tune_decision(scores, truth, groups, self.random_state, objective=request)
        calibration = fit_calibration(scores, truth, groups, self.random_state, method=self.calibration)
        self.decision_ = replace(decision, calibration=calibration)
        if sets is not None:
            self._fit_label_sets(scores, truth, groups, sets)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels (documents,), or int64 0 and 1 (documents, labels) for multi-label targets."""
        check_is_fitted(self)
        decided = self.decision_.decide(self._scores(X))
        return decided.astype(np.int64) if self._multilabel else np.asarray(self.classes_[decided])

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (documents, labels)."""
        check_is_fitted(self)
        return self.decision_.probabilities(self._scores(X))

    def predict_sets(self, X: Any) -> NDArray[np.bool_]:
        """Label sets, bool (documents, labels). Raises ValueError if `label_sets` is None."""
        check_is_fitted(self)
        scores = self._scores(X)
        sets = self.decision_.sets(scores, list(map(str, range(len(scores)))))
        if sets is None:
            raise CallError("There are no label sets. Give label_sets=0.95, the share of sets with the true label.")
        return sets

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "fit"):
            inner = get_tags(self.estimator)
            tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
            tags.target_tags = inner.target_tags
        return tags

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """The labels as int64 (documents,) codes of `classes_`, or bool (documents, labels)."""
        if self._multilabel:
            self.classes_: NDArray[Any] = np.arange(y.shape[1])
            return y.astype(bool)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return codes.astype(np.int64)

    def _request(self) -> ObjectiveRequest:
        return ObjectiveRequest(
            name=self.objective,
            beta=self.beta,
            costs=None if self.costs is None else self._cost_matrix(),
            at=self.at,
            label=None if self.label is None else self._column(self.label),
            label_name="" if self.label is None else str(self.label),
            per_label=self.per_label,
        )

    def _cost_matrix(self) -> NDArray[np.float64]:
        costs, labels = np.asarray(self.costs, dtype=np.float64), len(self.classes_)
        if costs.shape != (labels, labels):
            raise CallError(f"costs must have a row and a column for each of {labels} labels, got {costs.shape}.")
        return costs

    def _column(self, label: Hashable) -> int:
        names = self.classes_.tolist()
        if label not in names:
            raise UnknownName(f"There is no label {label!r}.{suggest_name(str(label), map(str, names))}")
        return int(names.index(label))

    def _cross_fit(
        self, X: Any, y: Any, truth: NDArray[Any], groups: Sequence[Hashable] | NDArray[Any] | None
    ) -> NDArray[np.float64] | None:
        """Scores of documents that a classifier was not fitted on; None if there are too few documents for two folds.

        A label that the fit of a fold did not see has the score -inf in this fold.
        """
        fold_of = assign_folds(truth, groups, self.cv, self.random_state)
        folds = [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in np.unique(fold_of)]
        if not self._multilabel:
            folds = [] if any(len(np.unique(truth[rows])) < MIN_DOCUMENTS for rows, _ in folds) else folds
        if len(folds) < MIN_DOCUMENTS:
            return None
        X, y = indexable(X, y)  # cross_val_predict refuses decision functions of folds that lack one of three labels
        scores = np.empty((len(truth), len(self.classes_)))
        for rows, scored in folds:
            inputs, targets = _safe_split(self.estimator, X, y, rows)
            classifier = clone(self.estimator).fit(inputs, targets)
            held_out, _ = _safe_split(self.estimator, X, None, scored, rows)
            scores[scored] = self._scores_of(classifier, held_out, self._seen_in(truth[rows]))
        return scores

    def _seen_in(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """Which labels documents have, bool (labels,)."""
        seen = truth.any(axis=0) if self._multilabel else np.isin(np.arange(len(self.classes_)), truth)
        return np.asarray(seen)

    def _scores(self, X: Any) -> NDArray[np.float64]:
        return self._scores_of(self.estimator_, X, self._seen)

    def _scores_of(self, classifier: Any, X: Any, seen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Logits or logarithms of probabilities, float64 (documents, labels), -inf for labels that are not seen.

        seen: bool (labels,), those of the documents that the classifier was fitted on.
        """
        method = "predict_proba" if hasattr(classifier, "predict_proba") else "decision_function"
        raw = getattr(classifier, method)(X)
        if isinstance(raw, list):  # one array per label, with the probabilities of 0 and 1
            of_labels = zip(raw, classifier.classes_, strict=True)
            raw = np.stack([_of_one(values, classes) for values, classes in of_labels], axis=1)
        values = np.asarray(raw, dtype=np.float64)
        if method == "predict_proba":
            values = probabilities_to_scores(values, multilabel=self._multilabel)
        elif values.ndim == 1:  # of two labels, the score of the second
            values = np.stack([np.zeros_like(values), values], axis=1)
        columns = np.arange(len(seen)) if self._multilabel else np.flatnonzero(seen)
        if values.shape[1] != len(columns):
            raise CallError(
                f"{type(classifier).__name__} has {values.shape[1]} scores per document for {len(columns)} labels. "
                "Choose one score per label, as decision_function_shape='ovr' does."
            )
        scores = np.full((len(values), len(seen)), -np.inf)
        scores[:, columns] = values
        scores[:, ~seen] = -np.inf
        return scores

    def _fit_label_sets(
        self,
        scores: NDArray[np.float64],
        truth: NDArray[Any],
        groups: Sequence[Hashable] | NDArray[Any] | None,
        options: LabelSetOptions,
    ) -> None:
        decision = self.decision_
        rule, sets = fit_label_sets(
            decision.corpus_probabilities(scores, decision.calibration.folds),
            truth,
            decision.out_of_fold,
            list(map(str, range(len(truth)))),
            options,
            groups,
            self.random_state,
        )
        self.decision_ = replace(decision, label_sets=rule, out_of_fold_sets=sets)


def _without_evidence(decision: Decision) -> Decision:
    """A decision whose scores are of the documents that the classifier was fitted on: they measure nothing."""
    (only,), nothing = decision.evidence.comparisons, decision.out_of_fold[:0]
    evidence = replace(decision.evidence, documents=0, comparisons=(replace(only, cross_fitted=np.nan),))
    return replace(decision, evidence=evidence, out_of_fold=nothing)


def _to_dense(y: Any) -> NDArray[Any]:
    """Multi-label targets as an array."""
    return np.asarray(y.toarray() if hasattr(y, "toarray") else y)


def _of_one(probabilities: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """The probability of 1; a label that all documents have, or none, leaves one column."""
    return np.asarray(probabilities[:, np.asarray(classes) == 1].sum(axis=1))
