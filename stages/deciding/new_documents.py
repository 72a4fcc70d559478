"""Documents without labels whose label frequencies a decision is shifted to."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions import Decision
from heads.evaluation.decisions.label_shift import ShiftMetric, TrainingDocuments, fit_label_shift
from stages.deciding.inputs import DecisionInputs
from stages.fitting.decision_options import DecisionOptions

__all__ = ["LEAST_DOCUMENTS", "NewDocuments", "add_label_shift"]

LEAST_DOCUMENTS = 50  # with fewer, frequencies are mostly those of training, whatever the documents


@dataclass(frozen=True, eq=False)
class NewDocuments:
    """Documents without labels, as the head of a run scores them.

    Attributes:
        source: what they were read from, as the user wrote it.
        scores: float32 (documents, labels), of the documents with finite vectors.
    """

    source: str
    scores: NDArray[np.float32]

    @property
    def identity(self) -> str:
        """Equal for documents with the same scores."""
        return hashlib.sha256(np.ascontiguousarray(self.scores).tobytes()).hexdigest()


def add_label_shift(
    decision: Decision, inputs: DecisionInputs, options: DecisionOptions, documents: NewDocuments
) -> Decision:
    """Add the shift to the label frequencies of new documents to a decision, used or not.

    Args:
        decision: with its calibration.
        inputs: the documents that it was chosen on.
        options: what the rule was chosen for.
        documents: the new documents.

    Returns:
        The decision with `label_shift`.
    """
    target = inputs.target
    calibration, rule, multilabel = decision.calibration, decision.rule, target.kind == "multilabel"
    metric = options.metric(target)
    training = TrainingDocuments(
        inputs.scores, decision.corpus_probabilities(inputs.scores, calibration.folds), target.y
    )
    shift = fit_label_shift(
        calibration.probabilities(documents.scores, multilabel=multilabel),
        training,
        calibration.calibrator.scales(len(target.labels)),
        rule.decide,
        ShiftMetric(metric.name, metric.sign, lambda rows, predicted: options.value(target[rows], predicted)),
        inputs.seed,
    )
    return replace(decision, label_shift=shift)
