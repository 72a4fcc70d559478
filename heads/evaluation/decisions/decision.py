"""A decision: everything that turns a head's scores into labels, probabilities and label sets, and why it was chosen.

The parts read the scores in this order: `label_shift` moves the scores that `rule` reads; `calibration` makes
probabilities of the scores, and `label_shift` moves these too; `abstention` and `label_sets` read the probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.calibration import Calibration
from heads.evaluation.decisions.abstention import ABSTAINED, OTHER, REASONS, Abstention
from heads.evaluation.decisions.evidence import Evidence
from heads.evaluation.decisions.label_sets import LabelSetRule
from heads.evaluation.decisions.label_shift import LabelShift
from heads.evaluation.decisions.novelty import TrainingDistance
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.decisions.rules import DecisionRule

__all__ = ["ABSTAINED", "OTHER", "REASONS", "Decision"]


@dataclass(frozen=True)
class Decision:
    """A decision rule with its optional parts.

    Attributes:
        rule: the rule, fitted on all documents.
        evidence: how its family compares with the others.
        out_of_fold: predictions for the documents that it was tuned on, each by a rule of the same family that was
            fitted without that document: int64 (documents,), in a hierarchy the codes of nodes, or bool (documents,
            labels). Empty if read from JSON.
        calibration: how scores become probabilities.
        label_shift: other frequencies of labels than in training; None for the same.
        abstention: which documents are left undecided; None if all are decided.
        label_sets: what is in the label set of a document; None if there are no sets.
        training_distance: how far documents are from those of training; None unless `abstention` has `other`. It is
            kept next to the JSON.
        out_of_fold_sets: the label sets of the documents that they were fitted on, each by thresholds that were fitted
            without that document: bool (documents, labels). Empty if read from JSON.
    """

    rule: DecisionRule
    evidence: Evidence
    out_of_fold: NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=np.int64), compare=False, repr=False)
    calibration: Calibration = field(default_factory=Calibration, kw_only=True)
    label_shift: LabelShift | None = field(default=None, kw_only=True)
    abstention: Abstention | None = field(default=None, kw_only=True)
    label_sets: LabelSetRule | None = field(default=None, kw_only=True)
    training_distance: TrainingDistance | None = field(default=None, kw_only=True, compare=False, repr=False)
    out_of_fold_sets: NDArray[np.bool_] = field(
        default_factory=lambda: np.empty((0, 0), dtype=bool), kw_only=True, compare=False, repr=False
    )

    def decide(self, scores: NDArray[Any], vectors: NDArray[Any] | None = None) -> NDArray[Any]:
        """The predictions of documents.

        Args:
            scores: float (documents, labels), -inf for a label that the head has not seen.
            vectors: the pooled vectors of the documents in the view of `abstention.other`, (documents, dims); None if
                they are not known, and then no document is `OTHER`.

        Returns:
            int64 (documents,), in a hierarchy the codes of nodes, `ABSTAINED` or `OTHER` for a document that is left
            undecided; or bool (documents, labels) if multi-label.
        """
        predicted = self.decide_all(scores)
        if self.abstention is None:
            return predicted
        distance = self.training_distance
        distances = None if distance is None or vectors is None else distance.distances(vectors)
        return self.abstention.apply(predicted, self.probabilities(scores), distances)

    def decide_all(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The predictions of documents, none of which is left undecided."""
        return self.rule.decide(scores if self.label_shift is None else self.label_shift.shift_scores(scores))

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (documents, labels). scores: as for `decide`."""
        probabilities = self.corpus_probabilities(scores)
        return probabilities if self.label_shift is None else self.label_shift.shift_probabilities(probabilities)

    @property
    def without_shift(self) -> Self:
        """The decision for documents among which labels have the frequencies of training."""
        return replace(self, label_shift=None)

    def corpus_probabilities(
        self, scores: NDArray[Any], calibration_folds: NDArray[np.int8] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities of documents among which labels have the frequencies of training, without the label shift.

        Args:
            scores: as for `decide`.
            calibration_folds: as in `Calibration.folds`, so that the probabilities of documents that the calibration
                was fitted to are cross-fitted; None for other documents.

        Returns:
            float32 (documents, labels).
        """
        return self.calibration.probabilities(scores, calibration_folds, multilabel=self.rule.is_multilabel)

    def sets(self, scores: NDArray[Any], ids: Sequence[str]) -> NDArray[np.bool_] | None:
        """The label sets of documents, bool (documents, labels); None if there are none. ids: of the documents.

        They are of probabilities without the label shift, as their thresholds are: those of each label then hold with
        other frequencies of labels too.
        """
        if self.label_sets is None:
            return None
        return self.label_sets.sets(self.corpus_probabilities(scores), ids, self.decide_all(scores))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a shift changes, what is left undecided, what this is good for, and what label sets cover."""
        shift = () if self.label_shift is None else (self.label_shift.sentence,)
        undecided = shift if self.abstention is None else (*shift, *self.abstention.sentences)
        return undecided if self.label_sets is None else (*undecided, self.label_sets.sentence)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`: those of the rule and the evidence, and of the parts that there are."""
        parts = {name: getattr(self, name) for name in _PARTS}
        return {
            "rule": self.rule.to_json(),
            "evidence": self.evidence.to_json(),
            **{name: part.to_json() for name, part in parts.items() if part is not None},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The decision that `to_json` returned, without `out_of_fold`. Raises ValueError for any other content."""
        try:
            parts = {name: part.from_json(content[name]) for name, part in _PARTS.items() if name in content}
            return cls(rule_from_json(content["rule"]), Evidence.from_json(content["evidence"]), **parts)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the content is not a decision: {error}") from error


_PARTS: Mapping[str, Any] = {
    "calibration": Calibration,
    "label_shift": LabelShift,
    "abstention": Abstention,
    "label_sets": LabelSetRule,
}
