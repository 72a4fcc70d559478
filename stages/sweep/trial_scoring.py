"""How one trial is scored: on folds of the training split that its head did not learn from."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from data.target import Target
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision
from heads.evaluation.score_matrix import align_scores
from stages.fitting.plan import configure_head
from stages.fitting.sample_weights import align_weights
from stages.fitting.task import Task
from stages.sweep.space import SearchSpace

__all__ = ["AFTER_EPOCHS", "Reached", "score"]

AFTER_EPOCHS = 100_000  # the step of the first fold: no head has so many epochs

Reached = Callable[[int, float], None]  # told of a step and its figure; what it raises ends the trial


def score(space: SearchSpace, found: Task, values: Mapping[str, Any], reached: Reached) -> float:
    """The figure of `space.metric` with these parameters, by the plain decision (argmax, or 0.5 for several labels).

    Hits are counted over all scored folds together, which for F1 has less bias than a mean of folds (Forman & Scholz
    2010, "Apples-to-Apples in Cross-Validation Studies", section 3). `reached` hears of each epoch of the first fold,
    where the head is one that has epochs, by the fold that is scored or the part that the head keeps aside to know when
    to stop (macro-F1, or for another metric accuracy); and of each fold but the last.
    """
    plan, head = space.plan, configure_head(space.head(values), found.target)
    names, part = found.target.names, plan.assign_folds(found)
    weight = align_weights(plan.weights, found.train_ids)
    left_out = [rows for fold in range(plan.folds) if len(rows := np.flatnonzero(part == fold))][: space.scored_folds]
    scores: list[NDArray[np.float32]] = []
    for fold, rows in enumerate(left_out):
        fitting = np.setdiff1d(np.arange(len(part)), rows)
        own = clone(head)
        if fold == 0 and hasattr(own, "progress"):
            own.progress, own.watch = _epochs(reached, space.metric), (found.train[rows], names[rows])
        own.fit(
            found.train[fitting], names[fitting], None if weight is None else weight[fitting], found.groups[fitting]
        )
        scores.append(align_scores(own.decision_function(found.train[rows]), own.classes_, found.labels))
        score = _figure(np.concatenate(scores), found.target[np.concatenate(left_out[: fold + 1])], space.metric)
        if fold + 1 < len(left_out):
            reached(AFTER_EPOCHS + fold, score)
    return score


def _epochs(reached: Reached, metric: str) -> Callable[[Any], None]:
    def told(epoch: Any) -> None:
        score = epoch.macro_f1 if metric == "macro_f1" else epoch.accuracy
        if score is not None:
            reached(epoch.number, score)

    return told


def _figure(scores: NDArray[np.float32], target: Target, metric: str) -> float:
    decided = default_decision(scores, target.y, ordinal=target.is_ordinal).out_of_fold
    return float(getattr(ConfusionCounts.from_predictions(target.y, decided, scores.shape[1]), metric))
