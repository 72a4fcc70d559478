"""The content of run.json: enough to repeat a command, and to compare runs on the same documents."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.splits import Split
from data.target import Target, TargetKind
from data.taxonomy import Taxonomy

__all__ = ["RECORDED_PACKAGES", "SPLITS", "Record", "package_versions", "short_hash"]

RECORDED_PACKAGES = ("embedonce", "numpy", "scikit-learn", "torch", "lightgbm")
# the names of the metrics of a run, and the split of their documents
SPLITS = {"out_of_fold": Split.TRAIN, "validation": Split.VALIDATION, "test": Split.TEST}


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of run.json: enough to repeat the command and to compare runs on the same documents."""

    head: str
    hyperparameters: Mapping[str, Any]
    inputs: Sequence[str]  # the views that the head read, or the base runs of a stacking ensemble
    layer: int | None  # None: every stored layer
    seed: int
    folds: int
    tuned: bool
    store: str
    recipe: Mapping[str, Any]
    shards: Sequence[str]
    corpus: str
    documents: Mapping[str, int]  # split -> number of documents
    documents_hash: str  # of ids, texts, splits, groups and labels
    kind: TargetKind
    labels: Sequence[str]  # in the order of the columns of scores; the lowest first if they are ordinal
    parameter_count: int
    seconds: Mapping[str, float]  # out_of_fold, decision, fit, test
    predict_milliseconds: float  # per document, from features in the store
    corpus_notes: Sequence[str]  # on the corpus and how it is used; they are the same for every head
    run_notes: Sequence[str]  # on this run
    command: str
    created: str
    package_versions: Mapping[str, str]
    base_runs: Sequence[str] = ()  # runs in the same folder whose scores a stacking ensemble reads, in this order
    tabular: Sequence[str] = ()  # the tabular columns that the head or its base runs read, as in "price:number"
    further_recipes: Sequence[Mapping[str, Any]] = ()  # of the second and every further store, in this order
    sample_of: Mapping[str, Any] = field(default_factory=dict)  # SampleOf, if the corpus is a sample; {} if not
    unlabeled: int = 0  # documents that are left out, because they have no label
    duplicates: Mapping[str, int] = field(default_factory=dict)  # split -> documents with the text of a training one
    source: str = ""  # from which the corpus was read, as the user wrote it
    spec: Mapping[str, Any] = field(default_factory=dict)  # how: a SourceSpec
    scored_level: int | None = None  # the level of the taxonomy that the labels are nodes of; None for all labels
    validate_on: str = "folds"  # or "split", the validation split; `folds` is 0 then
    copies: Mapping[str, int] = field(default_factory=dict)  # corpus of augmented copies -> how many it was fitted on
    encoder_trainings: Sequence[Mapping[str, Any]] = ()  # what encoders made here learned from, without texts' keys
    unscored: int = 0  # training documents that are only fitted on, because an encoder learned from their labels
    training: Mapping[str, Any] = field(default_factory=dict)  # of a network: epochs, steps, batch size, precision
    test_texts: int = 0  # test documents whose texts an encoder learned from
    fold_stores: Sequence[str] = ()  # of an encoder that was cross-fitted: the store of each fold
    objective: str = ""  # what the decision rule was chosen for; "" for the metric of the kind of labels
    rule_options: Mapping[str, Any] = field(default_factory=dict)  # the same with its parameters: DecisionOptions
    labels_only: bool = False  # whether nodes of the taxonomy that are no label are never predicted
    taxonomy: Mapping[str, Sequence[str]] = field(default_factory=dict)  # node -> its parents; {} without a taxonomy
    diagnostics: Mapping[str, Any] = field(default_factory=dict)  # for checks: FitDiagnostics
    search: Sequence[Mapping[str, Any]] = ()  # of a sweep that chose it: each range of numbers, a SearchedRange
    weights: str = ""  # a hash of the sample weights of training documents; "" without any
    parent: str = ""  # of a decided run: the run in the same folder that has its weights and scores
    parent_scores: str = ""  # of a decided run: the SHA-256 of its parent's scores.npy
    decisions_scored_before: int = 0  # decided runs of the parent that were scored on the test split before this one
    final: bool = False  # of a decided run: whether it was scored on the test split

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that a reader of the run's metrics must know."""
        return (*self.corpus_notes, *self.run_notes)

    @property
    def ranking_metrics(self) -> str:
        """The name of the metrics that rank the run: out of fold, or on the validation split."""
        return "out_of_fold" if self.validate_on == "folds" else "validation"

    @property
    def ranking_split(self) -> Split:
        """The split whose documents rank the run and choose its decision."""
        return SPLITS[self.ranking_metrics]

    def target(self, truth: NDArray[Any]) -> Target:
        """The labels of documents as the target that the run was fitted on. truth: as in `Predictions`."""
        taxonomy = Taxonomy.from_json(self.taxonomy) if self.taxonomy else None
        return Target(self.kind, tuple(self.labels), truth, taxonomy)

    @cached_property
    def hierarchy(self) -> Hierarchy | None:
        """The labels and the nodes above them as numbers, as in the run's target; None without a taxonomy."""
        return Hierarchy.of(Taxonomy.from_json(self.taxonomy), tuple(self.labels)) if self.taxonomy else None

    @property
    def node_names(self) -> Sequence[str]:
        """The names of the codes that a prediction may have: the labels, then the other nodes of the taxonomy."""
        return self.labels if self.hierarchy is None else self.hierarchy.names


def short_hash(parts: Mapping[str, Any]) -> str:
    """Eight hex digits of the SHA-256 of `parts` as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def package_versions() -> dict[str, str]:
    """The versions of the installed packages that a run's result may depend on."""
    return dict(_installed_versions())


@cache  # the metadata of a package takes 2 ms to parse, and a fit needs the versions a dozen times
def _installed_versions() -> Mapping[str, str]:
    versions = {}
    for package in RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
