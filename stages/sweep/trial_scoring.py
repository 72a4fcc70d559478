"""How one trial is scored: on folds of the training split, or the validation split, that its head was not fitted on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from data.target import Target
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import MACRO_F1, Metric
from heads.evaluation.probability_table import rank_scores
from stages.fitting.plan import configure_head
from stages.fitting.sample_weights import align_weights
from stages.fitting.task import Task
from stages.sweep.space import SearchSpace

__all__ = ["AFTER_EPOCHS", "StepCallback", "score_trial"]

AFTER_EPOCHS = 100_000  # the step of the first fold: no head is trained for that many epochs

StepCallback = Callable[[int, float], None]  # called with a step and the score at it; an exception ends the trial


def score_trial(space: SearchSpace, task: Task, values: Mapping[str, Any], on_step: StepCallback) -> float:
    """Score hyperparameters by `space.metric` with the decision rule without a fitted parameter.

    Hits are counted over all scored folds together, which for F1 has less bias than a mean over folds (Forman & Scholz
    2010, "Apples-to-Apples in Cross-Validation Studies", section 3).

    Args:
        space: the head, its folds and the metric.
        task: the documents.
        values: the searched hyperparameters by full name.
        on_step: called after each epoch of the first fold, if the head is trained in epochs, with the score on the
            fold, or on the head's own validation split for early stopping (macro-F1, or accuracy for any other metric);
            and after each fold but the last.

    Returns:
        The metric over all scored folds.

    Raises:
        EmbedOnceError: what the head's `fit` raises; and what `on_step` raises.
    """
    plan, head = space.plan, configure_head(space.make_head(values), task.target)
    has_folds, weight = plan.validate_on == "folds", align_weights(plan.weights, task.train_ids)
    # the validation split is the only fold that is scored
    fold_of = plan.assign_folds(task) if has_folds else np.where(task.is_validation, 0, 1).astype(np.int32)
    folds = np.unique(fold_of[fold_of >= 0])[: space.scored_folds].tolist()
    scores, scored = list[NDArray[np.float32]](), list[NDArray[np.int64]]()
    for fold in folds:
        fold_head, rows = clone(head), np.flatnonzero(fold_of == fold)
        if not scored and hasattr(fold_head, "on_epoch"):
            fold_head.on_epoch = _report_epochs(on_step, space.metric)
            fold_head.tracked = task.features(fold)[rows], task.target.names[rows]
        task.fit(fold_head, np.flatnonzero(fold_of != fold), weight, None if has_folds else rows, fold)
        scored.append(rows)
        scores.append(task.scores(fold_head, rows, fold))
        score = _score(np.concatenate(scores), task.target[np.concatenate(scored)], space)
        if len(scored) < len(folds):
            on_step(AFTER_EPOCHS + len(scored) - 1, score)
    return score


def _report_epochs(on_step: StepCallback, metric: Metric) -> Callable[[Any], None]:
    def on_epoch(epoch: Any) -> None:
        score = epoch.macro_f1 if metric == MACRO_F1 else epoch.accuracy
        if score is not None:
            on_step(epoch.number, score)

    return on_epoch


def _score(scores: NDArray[np.float32], target: Target, space: SearchSpace) -> float:
    if space.metric.needs == "probabilities":
        return rank_scores(target.y, scores).get(space.metric.attribute, 0.0)
    predicted = space.plan.decision.decide(scores, target).out_of_fold
    counts = ConfusionCounts.from_predictions(target.y, predicted, scores.shape[1], target.hierarchy)
    return float(space.metric.signed_value(counts))
