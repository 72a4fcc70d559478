"""What is decided and how: everything that decides the result of `decide`, together with the parent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from data.errors import CallError
from data.target import Target
from heads.evaluation.calibration import Calibration, CalibrationMethod, fit_calibration
from heads.evaluation.decisions import Decision
from heads.evaluation.decisions.abstention import AbstentionOptions, check_can_abstain
from heads.evaluation.decisions.label_set_fitting import check_one_label
from heads.evaluation.decisions.label_sets import LabelSetOptions, SetScore
from stages.deciding.features import RunFeatures
from stages.deciding.inputs import DecisionInputs
from stages.deciding.new_documents import NewDocuments, add_label_shift
from stages.deciding.undecided import add_abstention, add_label_sets
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.runs import Run

__all__ = ["DecisionPlan", "abstention_options", "label_set_options"]


def abstention_options(
    min_confidence: float | None, coverage: float | None, *, other: bool, false_alarms: float | None
) -> AbstentionOptions:
    """Which documents are left undecided. false_alarms: None for the default; else only with `other`.

    Raises CallError for values that cannot be, or go without another.
    """
    if false_alarms is None:
        return AbstentionOptions(min_confidence=min_confidence, coverage=coverage, other=other)
    if not other:
        raise CallError("--false-alarms is for documents unlike those of training. Give --other too.")
    return AbstentionOptions(min_confidence=min_confidence, coverage=coverage, other=other, false_alarms=false_alarms)


def label_set_options(
    level: float | None, score: SetScore | None, *, per_label: bool, allow_empty: bool
) -> LabelSetOptions | None:
    """Which sets of labels are made; None if `level` is. score: None for the default.

    Raises CallError for values that cannot be, or go without a level.
    """
    if level is not None:
        return LabelSetOptions(level=level, score=score or "probability", per_label=per_label, allow_empty=allow_empty)
    if score is not None or per_label or allow_empty:
        raise CallError(
            "--set-score, --sets-per-label and --empty-sets are for label sets. Give --label-sets too, as in "
            "--label-sets 0.97."
        )
    return None


@dataclass(frozen=True, kw_only=True)
class DecisionPlan:
    """What is decided and how.

    Attributes:
        rule: what the decision rule is chosen for.
        tune: whether a rule is chosen on the scores; else the one without a fitted parameter decides.
        calibration: how scores become probabilities, as in `FitPlan`; None for the calibration of the parent.
        abstention: which documents are left undecided.
        label_sets: which sets of labels are made; None for no sets.
        unlabelled: new documents, whose frequencies of labels the decision is shifted to; None for no shift.
    """

    rule: DecisionOptions = field(default_factory=DecisionOptions)
    tune: bool = True
    calibration: CalibrationMethod | None = None
    abstention: AbstentionOptions = field(default_factory=AbstentionOptions)
    label_sets: LabelSetOptions | None = None
    unlabelled: NewDocuments | None = None

    def for_target(self, target: Target) -> "DecisionPlan":
        """The same with the defaults of these labels. Raises CallError for an option that does not fit them."""
        if self.label_sets is not None:
            check_one_label(target.y)
        if self.abstention.is_requested:
            check_can_abstain(target.y)
        return replace(self, rule=self.rule.for_target(target))

    def check_with_shift(self, run: Run) -> None:
        """Raise CallError if a label shift does not go with the labels of a run, the other parts, or the objective."""
        if run.record.kind == "multilabel" and run.record.taxonomy:
            raise CallError(
                f"--unlabelled shifts each label by its own frequency, but the labels of {run.name} are nodes of a "
                "taxonomy, which depend on each other. Leave it out."
            )
        if self.abstention.is_requested or (self.label_sets is not None and not self.label_sets.per_label):
            raise CallError(
                "--unlabelled does not go with undecided documents, and with label sets only per label "
                "(--sets-per-label): other levels are those of documents with the frequencies of training. Leave one "
                "of them out."
            )
        if self.rule.at is not None:
            raise CallError(
                f"--unlabelled does not go with --objective {self.rule.objective}: the rule is chosen for a level that "
                "a shift would move. Leave it out, or choose another objective."
            )

    def identity(self, target: Target) -> Mapping[str, Any]:
        """What the name of the run depends on, in addition to the parent; {} for the defaults."""
        identity = {**self.rule.identity(target), **({} if self.tune else {"tune": False})}
        identity |= {} if self.calibration is None else {"calibration": self.calibration}
        identity |= {"abstention": asdict(self.abstention)} if self.abstention.is_requested else {}
        identity |= {} if self.label_sets is None else {"label_sets": asdict(self.label_sets)}
        return identity | ({} if self.unlabelled is None else {"unlabelled": self.unlabelled.identity})

    def decide(self, inputs: DecisionInputs, features: RunFeatures | None = None) -> Decision:
        """Choose the decision on scores of documents that the head was not fitted on, one part after the other.

        Args:
            inputs: the documents.
            features: of the documents; only needed if those unlike training are left undecided.

        Returns:
            The decision.

        Raises:
            CallError: an option does not fit the labels, or there are too few documents for it.
        """
        decision = replace(self._choose_rule(inputs), calibration=self._calibrate(inputs))
        if self.unlabelled is not None:
            decision = add_label_shift(decision, inputs, self.rule, self.unlabelled)
        if self.label_sets is not None:
            decision = add_label_sets(decision, inputs, self.label_sets)
        if self.abstention.is_requested:  # last, because it leaves predictions out
            decision = add_abstention(decision, inputs, self.abstention, features)
        return decision

    def _choose_rule(self, inputs: DecisionInputs) -> Decision:
        if self.tune:
            return self.rule.tune(inputs.scores, inputs.target, inputs.groups, inputs.seed)
        return self.rule.decide(inputs.scores, inputs.target)

    def _calibrate(self, inputs: DecisionInputs) -> Calibration:
        if self.calibration is None:
            return inputs.calibration
        return fit_calibration(
            inputs.scores,
            inputs.target.y,
            inputs.groups,
            inputs.seed,
            method=self.calibration,
            hierarchy=inputs.target.hierarchy,
        )
