"""Whether the documents that a fit scores can be scored: the test split, a validation split, or folds."""

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from data.target import Target
from data.text_format import join_names, plural
from stages.fitting.task import Task, check_labels

__all__ = ["check_scored_splits", "check_test_is_unseen", "check_test_target", "check_unseen_documents"]

_NO_TEST = "Fit with --no-test, which reports only metrics on training documents that a head was not fitted on"


def check_scored_splits(name: str, task: Task, *, test: bool, validation: bool) -> None:
    """Check that the splits that a fit scores can be scored.

    Args:
        name: the corpus.
        task: its documents.
        test: whether the test split is scored.
        validation: whether the head is validated on the validation split instead of folds.

    Raises:
        BadData: such a split is empty, none of its documents can be predicted correctly, or an encoder learned from
            their labels.
    """
    training = task.target[~task.is_validation] if validation else task.target
    if test:
        check_test_is_unseen(name, task, f" {_NO_TEST}.")
        check_test_target(name, training, task.test_target)
    if validation:
        if not task.is_validation.any():
            raise BadData(
                f"{name} has no validation split. Embed again with --validation-file or with validation documents in "
                "the split column, or leave out --validate-on."
            )
        if seen := int((task.exposure.is_seen & task.is_validation).sum()):
            raise BadData(
                f"{name}: the encoder learned from the labels of {plural(seen, 'validation document')} "
                f"({task.exposure.describe_labels()}), so metrics on them would be too high. Leave out --validate-on, "
                "or make an encoder from the other training documents alone."
            )
        in_split = task.target[task.is_validation]
        _check_some_label_known(name, "validation", training, in_split, "Leave out --validate-on")
        check_labels(name, training)


def check_test_target(name: str, training: Target, test: Target) -> None:
    """Raise BadData if the test split is empty, or if none of its documents can be predicted correctly."""
    if not len(test):
        raise BadData(
            f"{name}: the test split is empty. Correct the split column and embed again, or add documents: those with "
            f"equal texts or of one group stay together. {_NO_TEST}."
        )
    _check_some_label_known(name, "test", training, test, f"{_NO_TEST}, or embed with the true labels")


def check_test_is_unseen(name: str, task: Task, otherwise: str = "") -> None:
    """Raise BadData if an encoder learned from labels of the test split. otherwise: one more sentence on what to do."""
    if task.exposure.test_labels:
        raise BadData(
            f"{name}: the encoder learned from the labels of {plural(task.exposure.test_labels, 'test document')} "
            f"({task.exposure.describe_labels()}), so the test split is no test of it. Make an encoder from the "
            f"training documents alone.{otherwise}"
        )


def _check_some_label_known(name: str, split: str, training: Target, scored: Target, remedy: str) -> None:
    """Raise BadData if no label of `scored`, which has documents, occurs in training: all its documents are missed."""
    has_label = scored.y.any(axis=1).all() if scored.kind == "multilabel" else True  # else predicting none is right
    unknown = np.flatnonzero((scored.counts > 0) & (training.counts == 0))
    if has_label and len(unknown) == np.count_nonzero(scored.counts):
        names = join_names([scored.labels[column] for column in unknown])
        raise BadData(
            f"{name}: no {split} document can be predicted correctly, because none of their labels ({names}) occurs in "
            f"training. {remedy}."
        )


def check_unseen_documents(task: Task, rows: NDArray[np.int64], least: int) -> None:
    """Raise BadData if `rows`, training documents that no encoder saw, are fewer than `least`, or have one label."""
    if not task.exposure.unscored:
        return
    labels = np.count_nonzero(task.target[rows].counts)
    if len(rows) < least or (labels < 2 and task.target.kind != "multilabel"):
        total = len(rows) + task.exposure.unscored
        rest = f"the other {len(rows):,} are too few or have one label" if len(rows) else "no other is left to score"
        was_cross_fitted = any(training.fold_encoders for training in task.exposure.trainings)
        remedy = "`embedonce adapt --hold-out 0.3`"
        remedy += "" if was_cross_fitted else ", or with `embedonce adapt --cross-fit 3`"
        raise BadData(
            f"The encoder learned from the labels of {task.exposure.unscored:,} of {total:,} training documents, "
            f"so scores on them would be too high, and {rest}. Make the encoder again with {remedy}."
        )
