"""What to fit, and how: a head and all beside it that decides a run's result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, UnknownName, suggest_name
from data.splits import assign_folds
from data.target import Target
from featurestore import FeatureSource, joined_fingerprint
from heads.core.head import Head
from heads.core.hyperparameters import to_json, with_explicit_defaults
from stages.fitting import runs
from stages.fitting.sample_weights import align_weights
from stages.fitting.task import Task, resolve_layer


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What to fit, and how: all that decides a run's result beside the documents.

    layer: which of those kept, for a head that reads one.
    order: of labels that have one, the lowest first, or ("numbers",).
    runs: for a head upon runs, their names; none are all in the folder that agree.
    weights: id -> how much a document counts in training, None for 1 each. Rules and figures count every document once.
    """

    head: Head
    folds: int = 5
    seed: int = 0
    layer: int = -1
    tune: bool = True
    skip_unlabelled: bool = False
    order: Sequence[str] = ()
    runs: Sequence[str] = ()
    weights: Mapping[str, float] | None = None

    def assign_folds(self, found: Task) -> NDArray[np.int8]:
        """The fold of each training document, int8 (documents,).

        Raises BadData where the documents beside a fold, those that count, leave nothing to tell apart.
        """
        part = assign_folds(found.target.y, found.groups.tolist(), self.folds, self.seed)
        weight = align_weights(self.weights, found.train_ids)
        for fold in np.unique(part):
            beside = np.flatnonzero((part != fold) & (True if weight is None else weight > 0))
            labels = [found.labels[at] for at in np.flatnonzero(found.target[beside].counts)]
            if not len(beside) or (len(labels) < 2 and found.target.kind != "multilabel"):
                left = f"only '{labels[0]}' is left to learn from" if labels else "there is nothing left to learn from"
                raise BadData(
                    f"Without fold {fold + 1} of {self.folds} {left}: what else counts lies in that fold, whole groups "
                    "and equal texts together. Add documents, or put fewer of them into one group."
                )
        return part

    def identity(self, store: FeatureSource, found: Task) -> str:
        """Eight hex digits that differ where the result could."""
        return runs.short_hash(
            {
                "head": self.head.name,
                "parameters": to_json(with_explicit_defaults(self.head))["nested"],
                "folds": self.folds,
                "seed": self.seed,
            }
            | {"layer": resolve_layer(self.head, self.layer), "tune": self.tune}
            | {"features": joined_fingerprint(store.recipes), "documents": found.documents_hash}
            | ({"order": found.labels} if self.order else {})
            | ({"base_runs": [run.name for run in found.base_runs]} if found.base_runs else {})
            | ({} if self.weights is None else {"weights": [self.weights[each] for each in found.train_ids]})
        )


def configure_head(head: Head, target: Target) -> Head:
    """A copy of `head`, its defaults spelled out, that knows the tree or the order of the labels where it can use one.

    Raises UnknownName where its parameters name a label that does not exist.
    """
    own: Head = with_explicit_defaults(head)
    parameters = head.get_params(deep=False)
    first, weights = parameters.get("first"), parameters.get("class_weight")
    for label in ([first] if first is not None else []) + list(weights if isinstance(weights, dict) else []):
        if label not in target.labels:
            raise UnknownName(f"no label is called '{label}'.{suggest_name(label, target.labels)}")
    if target.kind == "multilabel" and isinstance(weights, dict):
        own.set_params(class_weight={target.labels.index(label): weight for label, weight in weights.items()})
    if "tree" in parameters and parameters["tree"] is None and first is None and target.taxonomy is not None:
        own.set_params(tree={label: target.taxonomy.paths[label] for label in target.labels})
    if target.is_ordinal and head.get_params().get("training__loss") == "emd":
        own.set_params(training__order=target.labels)
    if target.kind != "multilabel" and "columns" in parameters:
        own.set_params(columns=target.labels)
    return own
