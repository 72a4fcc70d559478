"""What to fit and how: a head, and everything else that decides a run's result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, UnknownName, suggest_name
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from data.target import Target
from data.text_format import plural
from featurestore import CorpusTable, FeatureSource, joined_fingerprint
from heads.core.head import Head
from heads.core.hyperparameters import to_json, with_explicit_defaults
from heads.evaluation.calibration import CalibrationMethod
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fold_count import FOLDS, choose_fold_count
from stages.fitting.sample_weights import align_weights
from stages.fitting.scored_splits import check_scored_splits, check_unseen_documents
from stages.fitting.task import Task, load_task, resolve_layer


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What to fit and how: everything that decides a run's result together with the documents.

    folds: their number; None chooses it for the documents (fold_count.py).
    has_chosen_folds: whether `for_task` chose the number of folds.
    layer: the stored encoder layer to read, for a head that reads one.
    tune: whether to choose a decision rule on out-of-fold scores.
    decision: what it is chosen for.
    calibration: how scores become probabilities, `auto` for the method with the lowest cross-fitted log loss.
    order: the labels of an ordinal task, the lowest first, or ("numbers",); empty if they have no order.
    scored_level: the level of the taxonomy whose nodes are learned, decided and scored, 1 for the top; the detailed
        labels below them teach heads that can use them. None for the labels as given.
    base_runs: names of the runs under a stacking ensemble; empty for all in the folder that match.
    validate_on: what chooses the decision rule and stops networks early: "folds" of the training split, or the corpus's
        validation "split", which the head is then not fitted on.
    test: whether the test split is scored.
    weights: document id -> sample weight in training; None for 1 each. Decision rules and metrics count every document
        once.
    copies: corpora of augmented copies of training documents, which are fitted on together with their origins.
    """

    head: Head
    folds: int | None = None
    has_chosen_folds: bool = False
    seed: int = 0
    layer: int = -1
    tune: bool = True
    decision: DecisionOptions = field(default_factory=DecisionOptions)
    calibration: CalibrationMethod = "auto"
    skip_unlabeled: bool = False
    order: Sequence[str] = ()
    scored_level: int | None = None
    base_runs: Sequence[str] = ()
    validate_on: Literal["folds", "split"] = "folds"
    test: bool = True
    weights: Mapping[str, float] | None = None
    copies: Sequence[CorpusTable] = ()

    def __post_init__(self) -> None:
        """Raise CallError for a number of folds or a seed out of range."""
        check_whole_number("folds", self.fold_count, 2, MAX_COUNT)
        check_whole_number("seed", self.seed, 0, MAX_SEED)

    @property
    def fold_count(self) -> int:
        """The number of folds."""
        return FOLDS if self.folds is None else self.folds

    @property
    def fits(self) -> int:
        """How many fits a run makes."""
        return 1 if self.validate_on == "split" else self.fold_count + 1

    def for_task(self, task: Task) -> "FitPlan":
        """The same with the default objective, and the folds of an encoder that was cross-fitted or of the documents.

        Raises CallError for an objective that does not fit the labels.
        """
        plan = replace(self, decision=self.decision.for_target(task.target))
        if task.exposure.folds:
            return replace(plan, folds=len(task.exposure.folds), has_chosen_folds=False)
        if self.folds is not None:
            return plan
        return replace(plan, folds=choose_fold_count(task.target), has_chosen_folds=True)

    def assign_folds(self, task: Task) -> NDArray[np.int32]:
        """The fold of each training document, int32 (documents,); -1 for one that is never scored.

        Raises CallError for more folds than training documents, and BadData if the documents outside a fold, without
        those of weight 0, have fewer than two labels, or if too few documents can be scored.
        """
        if self.fold_count > len(task.train):
            raise CallError(
                f"folds is {self.fold_count}, but there are {plural(len(task.train), 'training document')}. Choose at "
                "most as many folds, or add documents."
            )
        check_unseen_documents(task, np.flatnonzero(task.exposure.is_scored), self.fold_count)
        fold_of = task.exposure.assign_folds(task.target.strata, task.groups, self.fold_count, self.seed)
        weight = align_weights(self.weights, task.train_ids)
        for fold in np.unique(fold_of[fold_of >= 0]):
            rows = np.flatnonzero((fold_of != fold) & (True if weight is None else weight > 0))
            labels = [task.labels[column] for column in np.flatnonzero(task.target[rows].counts)]
            if not len(rows) or (len(labels) < 2 and task.target.kind != "multilabel"):
                rest = f"only '{labels[0]}' is left to learn from" if labels else "nothing is left to learn from"
                raise BadData(
                    f"Without fold {fold + 1} of {self.fold_count} {rest}: all other documents are in that fold, "
                    "because groups and duplicate texts stay together. Add documents, or make the groups smaller."
                )
        return fold_of

    def features_identity(self, store: FeatureSource, task: Task) -> tuple[object, ...]:
        """Equal for plans that read the same features of the same training documents."""
        layer = resolve_layer(self.head, self.layer)
        return joined_fingerprint(store.recipes), layer, task.documents_hash, len(task.train)

    def identity(self, store: FeatureSource, task: Task) -> str:
        """Eight hex digits that differ if the result could differ."""
        return runs.short_hash(
            {
                "format": runs.FORMAT,
                "head": self.head.name,
                "hyperparameters": to_json(with_explicit_defaults(self.head))["nested"],
                "folds": self.fold_count,
                "seed": self.seed,
            }
            | {"layer": resolve_layer(self.head, self.layer), "tune": self.tune}
            | {"features": joined_fingerprint(store.recipes), **task.input_hashes(self.head)}
            | self.decision.identity(task.target)
            | ({"calibration": self.calibration} if self.calibration != "auto" else {})
            | ({"order": task.labels} if self.order else {})
            | ({} if self.scored_level is None else {"scored_level": self.scored_level})
            | ({"base_runs": [run.name for run in task.base_runs]} if task.base_runs else {})
            | ({"validate_on": self.validate_on} if self.validate_on != "folds" else {})
            | ({} if self.test else {"test": False})
            | ({} if self.weights is None else {"weights": [self.weights[document] for document in task.train_ids]})
        )


def load_planned_task(store: FeatureSource, table: CorpusTable, plan: FitPlan) -> Task:
    """The documents of `table` as the plan's head reads them.

    Raises BadData if a split that the plan scores cannot be scored, and what `load_task` raises.
    """
    task = load_task(
        store,
        table,
        layer=resolve_layer(plan.head, plan.layer),
        skip_unlabeled=plan.skip_unlabeled,
        order=plan.order,
        scored_level=plan.scored_level,
        with_test=plan.test,
        copies=plan.copies,
        with_fold_encoders=plan.validate_on == "folds",
    )
    check_scored_splits(table.name, task, test=plan.test, validation=plan.validate_on == "split")
    return task


def configure_head(head: Head, target: Target) -> Head:
    """A copy of `head` with explicit defaults that knows the taxonomy or the order of the labels, if it can use one.

    Raises UnknownName if its hyperparameters name a label that does not exist, CallError for a local classifier that a
    run cannot save.
    """
    configured: Head = with_explicit_defaults(head)
    parameters = head.get_params(deep=False)
    local = parameters.get("local")
    if local is not None and not isinstance(local, Head):
        raise CallError(f"A run cannot save {type(local).__name__} without pickle. Use a head of embedonce as local.")
    first, weights = parameters.get("first"), parameters.get("class_weight")
    for label in ([first] if first is not None else []) + list(weights if isinstance(weights, dict) else []):
        if label not in target.labels:
            raise UnknownName(f"No label is called '{label}'.{suggest_name(label, target.labels)}")
    if target.kind == "multilabel" and isinstance(weights, dict):
        configured.set_params(class_weight={target.labels.index(label): weight for label, weight in weights.items()})
    if first is not None and target.detailed is not None and head.detail_use == "sum":
        raise CallError(
            f"first names a scored label, but with --scored-level {head.name} decides among the detailed ones. Leave "
            "one of them out."
        )
    learned = target if target.detailed is None or head.detail_use == "none" else target.detailed
    taxonomy = None if learned.kind == "multilabel" else learned.taxonomy  # multi-label documents have all nodes
    if "tree" in parameters and parameters["tree"] is None and first is None and taxonomy is not None:
        configured.set_params(tree=taxonomy.restricted_to(learned.labels).to_json())
    if target.is_ordinal and configured.get_params().get("training__imbalance__loss") == "emd":
        configured.set_params(training__imbalance__order=target.labels)
    if target.kind != "multilabel" and "columns" in parameters:
        configured.set_params(columns=target.labels)
    return configured
