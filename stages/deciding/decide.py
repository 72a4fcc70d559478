"""Decide again on the scores of a run: a new run that refers to it for weights and scores.

The decision is chosen and cross-fitted on the scores of documents that the head was not fitted on, as in `fit_head`.
The test split is read by `--final` alone, from the stored scores, once for each decision.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.splits import Split
from data.target import Target
from heads.evaluation.decisions import Evidence
from heads.evaluation.metrics import Scorecard
from stages.deciding.features import OpenFeatures
from stages.deciding.inputs import DecisionInputs
from stages.deciding.plan import DecisionPlan
from stages.deciding.scored_decisions import register_scoring
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.predictions import Predictions, score_predictions
from stages.fitting.saving import add_test, save_decided

__all__ = ["Decided", "DecisionValues", "check_request", "decide", "score_decision"]


@dataclass(frozen=True)
class DecisionValues:
    """What a decision is worth by the metric that it was chosen for, if no document is left undecided.

    Attributes:
        metric: its name.
        untuned: of the rule without a fitted parameter, out of fold.
        apparent: of the rule on the documents that it was fitted to, which is too good.
        cross_fitted: of rules that were fitted without the document that they decide, out of fold.
        test: of the test split; None if it was not scored.
    """

    metric: str
    untuned: float
    apparent: float
    cross_fitted: float
    test: float | None

    @classmethod
    def of(cls, run: runs.Run) -> "DecisionValues":
        """Those of a run."""
        return cls.of_evidence(run.decision.evidence, _test_value(run) if "test" in run.scorecards else None)

    @classmethod
    def of_evidence(cls, evidence: Evidence, test: float | None) -> "DecisionValues":
        """Those of the evidence for a rule, and the value on the test split."""
        return cls(
            metric=evidence.metric,
            untuned=evidence.comparisons[0].cross_fitted,
            apparent=evidence.selected.in_sample,
            cross_fitted=evidence.selected.cross_fitted,
            test=test,
        )


def _test_value(run: runs.Run) -> float:
    test = run.predictions().of(Split.TEST)
    target = run.record.target(test.truth)
    predicted = run.decision.without_shift.decide_all(test.scores)
    return DecisionOptions.from_json(run.record.rule_options).value(target, predicted)


@dataclass(frozen=True)
class Decided:
    """A decided run, and what was done for it.

    Attributes:
        run: the run.
        is_new: whether it did not exist before.
        is_scored_now: whether it had not been scored on the test split before.
    """

    run: runs.Run
    is_new: bool
    is_scored_now: bool


def decide(
    run: runs.Run,
    plan: DecisionPlan,
    *,
    final: bool = False,
    command: str = "",
    open_features: OpenFeatures | None = None,
) -> Decided:
    """Choose a decision on the scores of a run, and write the decided run next to it.

    The same plan on the same run returns the run that it made before.

    Args:
        run: the run with the scores. A decided run stands for its parent; without any option in the plan, for itself.
        plan: what is decided and how.
        final: whether the test split is scored too.
        command: the command line, for the record.
        open_features: opens the features of a run, if documents unlike training are left undecided.

    Returns:
        The decided run.

    Raises:
        CallError: an option does not fit the labels, or there are no test scores for `final`.
        EmbedOnceError: the run or its parent is damaged or gone, or nothing can be written.
    """
    if run.record.parent and plan == DecisionPlan():
        return _finish(run, open_features, final=final, is_new=False)
    check_request(run, plan, final=final, has_shift=plan.unlabelled is not None)
    origin = run.origin
    inputs = DecisionInputs.of(origin)
    plan = plan.for_target(inputs.target)
    folder = origin.folder.parent / f"{origin.name}-{_identity(plan, origin, inputs.target)}"
    if folder.exists():
        return _finish(runs.load(folder), open_features, final=final, is_new=False)
    start = time.perf_counter()
    features = open_features(origin) if open_features is not None and plan.abstention.other else None
    decision = plan.decide(inputs, features)
    record = _record(origin, plan, command, seconds=round(time.perf_counter() - start, 3))
    predictions = inputs.predictions(decision, record.ranking_split)
    scorecards = {record.ranking_metrics: _scorecard(predictions, record)}
    decided = save_decided(folder, record, decision, predictions, scorecards)
    return _finish(decided, open_features, final=final, is_new=True)


def check_request(run: runs.Run, plan: DecisionPlan, *, final: bool, has_shift: bool) -> None:
    """Check what can be refused before new documents are encoded and anything is computed.

    Args:
        run: as for `decide`.
        plan: as for `decide`, still without new documents.
        final: as for `decide`.
        has_shift: whether the decision will be shifted to the frequencies of new documents.

    Raises:
        CallError: an option does not fit the labels, or there are no test scores for `final`.
        EmbedOnceError: the run or its parent is damaged or gone.
    """
    origin = run.origin
    if final:
        _check_has_test(origin)
    if has_shift:
        plan.check_with_shift(origin)
    plan.for_target(origin.record.target(origin.predictions().of(origin.record.ranking_split).truth))


def _record(origin: runs.Run, plan: DecisionPlan, command: str, *, seconds: float) -> runs.Record:
    """The record of a decided run that is not scored on the test split. seconds: that the decision took."""
    return replace(
        origin.record,
        parent=origin.name,
        parent_scores=origin.files["scores.npy"],
        tuned=plan.tune,
        objective=plan.rule.objective or "",
        rule_options=plan.rule.to_json(),
        labels_only=plan.rule.labels_only,
        documents={split: count for split, count in origin.record.documents.items() if split != Split.TEST.value},
        seconds={**origin.record.seconds, "decision": seconds},
        run_notes=[*origin.record.run_notes, *_shift_notes(plan)],
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_versions=runs.package_versions(),
    )


def _finish(run: runs.Run, open_features: OpenFeatures | None, *, final: bool, is_new: bool) -> Decided:
    scored = score_decision(run, open_features) if final else run
    return Decided(scored, is_new, is_scored_now=scored.record.final and not run.record.final)


def _check_has_test(run: runs.Run) -> None:
    """Raise CallError if there are no scores of the test split."""
    if "test" not in run.scorecards:
        raise CallError(
            f"{run.name} was fitted with --no-test, so it has no scores of the test split. Fit it again without "
            "--no-test, which makes another run, and decide on that one."
        )


def score_decision(run: runs.Run, open_features: OpenFeatures | None = None) -> runs.Run:
    """Score a decided run on the test split, from its parent's scores; one that was scored before is returned as it is.

    Args:
        run: a decided run.
        open_features: as for `decide`.

    Returns:
        The run with its test metrics, under the same name.

    Raises:
        CallError: there are no test scores, or no features to compare documents with those of training.
        StorageFailed: the look at the test split cannot be recorded, or the run not be written.
    """
    if run.record.final:
        return run
    origin = run.origin
    _check_has_test(origin)
    test = origin.predictions().of(Split.TEST)
    vectors = _test_vectors(run, test.ids, open_features)
    before = register_scoring(origin, run.name)
    decision = run.decision.without_shift
    predicted, sets = decision.decide(test.scores, vectors), decision.sets(test.scores, test.ids)
    documents = origin.record.documents
    record = replace(run.record, final=True, decisions_scored_before=before, documents=documents)
    decided = replace(test, predicted=predicted, decision=run.decision, label_sets=sets)
    return add_test(run, record, decided, _scorecard(decided, record))


def _test_vectors(run: runs.Run, ids: Sequence[str], open_features: OpenFeatures | None) -> NDArray[np.float32] | None:
    """The vectors of test documents that the decision compares with those of training, if it compares any."""
    abstention = run.decision.abstention
    if abstention is None or abstention.other is None:
        return None
    if open_features is None:
        raise CallError(f"{run.name} compares documents with those of training. Name the store of its features.")
    return open_features(run).vectors(ids, abstention.other.view)


def _shift_notes(plan: DecisionPlan) -> list[str]:
    """What a reader of the metrics must know if the decision is shifted."""
    if plan.unlabelled is None:
        return []
    return [
        f"The label shift to the frequencies of {plan.unlabelled.source} is for new documents (`predict`); the metrics "
        "are of decisions without it, because the documents of the corpus have the frequencies of training."
    ]


def _identity(plan: DecisionPlan, origin: runs.Run, target: Target) -> str:
    """Eight hex digits that differ if the result could differ."""
    parent = {"format": runs.FORMAT, "parent": origin.name, "scores": origin.files["scores.npy"]}
    return runs.short_hash(parent | dict(plan.identity(target)))


def _scorecard(predictions: Predictions, record: runs.Record) -> Scorecard:
    return score_predictions(predictions, record.target(predictions.truth), record.seed)
