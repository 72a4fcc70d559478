"""Documents with paths of labels for benchmarks/hierarchy.py, and classifiers compared on three corpora."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.splits import Split
from data.taxonomy import Taxonomy
from embedonce import embed, load_corpus
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.core.head import Head
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.hierarchical import GreedyDescent
from heads.evaluation.metrics import HF1, MACRO_F1, level_accuracy
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric
from heads.linear_models.standardizer import Standardizer
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.fitting.task import Task, load_task
from stages.taxonomy.suggest import suggest_taxonomy

SEPARATOR = ">"
NodePath = tuple[str, ...]
GAINS = {"hF1": HF1, "accuracy of the top level": level_accuracy(1), "macro-F1 of labels": MACRO_F1}


class Classifier(Protocol):
    """The part of a classifier of HiClass that is used."""

    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        """Fit vectors (documents, dims) and the names of nodes, (documents, levels)."""

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """The names of nodes, (documents, levels)."""


@dataclass(frozen=True)
class LabeledPaths:
    """Vectors, float32 (documents, dims), and the path of each document."""

    vectors: NDArray[np.float32]
    paths: Sequence[NodePath]

    @staticmethod
    def name(path: Sequence[str]) -> str:
        """The label of a path, which HiClass fills up to the deepest level."""
        return SEPARATOR.join(filter(None, path))

    @cached_property
    def labels(self) -> NDArray[np.object_]:
        """The label of each document."""
        return np.array([self.name(path) for path in self.paths], dtype=object)

    @cached_property
    def levels(self) -> NDArray[Any]:
        """Nodes as HiClass takes them, (documents, levels)."""
        depth = max(map(len, self.paths))
        return np.array([[*path, *[""] * (depth - len(path))] for path in self.paths])

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The tree of the labels."""
        return Taxonomy.from_separator(set(self.labels), SEPARATOR)

    @property
    def tree(self) -> dict[str, list[str]]:
        """The tree as a head takes it."""
        return self.taxonomy.to_json()

    def first(self, documents: int) -> "LabeledPaths":
        """The first documents."""
        return LabeledPaths(self.vectors[:documents], self.paths[:documents])

    def principal_components(self, count: int) -> NDArray[np.float32]:
        """The vectors projected to their first principal components, float32 (documents, count)."""
        centered = self.vectors - self.vectors.mean(axis=0)
        return np.asarray(centered @ np.linalg.svd(centered, full_matrices=False)[2][:count].T)

    def descend(self, head: Head, vectors: NDArray[np.float32] | None = None) -> list[str]:
        """Predictions of a fitted head, from the top to the most probable child at each node."""
        hierarchy = Hierarchy.of(self.taxonomy, tuple(head.classes_))
        rule = GreedyDescent(labels=hierarchy.labels, parents=hierarchy.parents)
        codes = rule.decide(head.decision_function(self.vectors if vectors is None else vectors))
        return [hierarchy.names[code] for code in codes.tolist()]

    def hf1(self, labels: Sequence[str], predicted: Sequence[str]) -> float:
        """The micro hF1 of predicted labels of some documents."""
        hierarchy = Hierarchy.of(self.taxonomy, tuple(sorted(set(self.labels))))
        codes = {name: code for code, name in enumerate(hierarchy.names)}
        truth, found = (np.array([codes[name] for name in names]) for names in (labels, predicted))
        return float(ConfusionCounts.from_predictions(truth, found, hierarchy.labels, hierarchy).hf1)


@dataclass(frozen=True)
class Score:
    """A classifier's metrics, and each of GAINS minus that of the first classifier, if it is another one."""

    name: str
    hf1: float
    top: float
    labels: float
    macro_f1: float
    seconds: float
    gains: Mapping[str, ConfidenceInterval]

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of a table."""
        gain = self.gains.get("hF1")
        difference = f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})" if gain else ""
        values = (f"{value:.4f}" for value in (self.top, self.labels, self.macro_f1))
        return (self.name, f"{self.hf1:.4f}", difference, *values, f"{self.seconds:.0f}")


Predicted = dict[str, tuple[NDArray[np.int64], float]]  # name -> codes of nodes, and seconds


def score_all(truth: NDArray[np.int64], predicted: Predicted, hierarchy: Hierarchy) -> list[Score]:
    """The metrics of predictions of the same documents; the first is compared with the others."""
    entries = [[codes] for codes, _ in predicted.values()]
    of_others = {
        name: paired_differences(SampledMetric.of(truth, entries, hierarchy.labels, metric, hierarchy))
        for name, metric in GAINS.items()
    }
    scores = []
    for number, (name, (found, seconds)) in enumerate(predicted.items()):
        counts = ConfusionCounts.from_predictions(truth, found, hierarchy.labels, hierarchy)
        hf1, top = float(counts.hf1), float(counts.level_accuracy[..., 0])
        gains = {metric: differences[number - 1] for metric, differences in of_others.items()} if number else {}
        scores.append(Score(name, hf1, top, float(counts.accuracy), float(counts.macro_f1), seconds, gains))
    return scores


def open_wikivitals(file: Path, folder: Path) -> tuple[FeatureStore, CorpusTable]:
    """The articles, encoded unless that has been done, all of them for training."""
    corpus = embed(file, path_separator=SEPARATOR, stores=folder / "stores")
    table = corpus.table
    return corpus.features, replace(table, splits=[Split.TRAIN] * len(table.ids))


def read_wikivitals(file: Path, folder: Path) -> LabeledPaths:
    """The pooled vectors and paths of the articles."""
    task = load_task(*open_wikivitals(file, folder))
    vectors = task.train.pooled(LinearHead().pooled_views(task.train))
    return LabeledPaths(vectors, [tuple(task.labels[code].split(SEPARATOR)) for code in task.target.y.tolist()])


def _out_of_fold(run: Run) -> tuple[NDArray[np.int64], float]:
    return run.predictions().of(Split.TRAIN).predicted, sum(run.record.seconds.values())


def compare_on_wikivitals(file: Path, folder: Path) -> tuple[list[Score], dict[str, tuple[float, float]]]:
    """Cross-fitted predictions of all articles.

    Returns:
        The scores, those of the default first; and for each objective its cross-fitted metric (higher is better) and
        that of the best heuristic.
    """
    store, table = open_wikivitals(file, folder)
    macro_f1, hf1 = DecisionOptions(objective="macro-f1"), DecisionOptions(objective="hf1")

    def fit(head: Head, decision: DecisionOptions, *, tune: bool = True) -> Run:
        plan = FitPlan(head=head, folds=5, test=False, tune=tune, decision=decision)
        return fit_head(store, table, plan, folder / "runs")[0]

    default = fit(CascadeHead(), DecisionOptions())
    predicted: Predicted = {
        "cascade (the default)": _out_of_fold(default),
        "linear, argmax": _out_of_fold(fit(LinearHead(), macro_f1, tune=False)),
        "cascade of 30c2530": _out_of_fold(fit(CascadeHead(weights_of="labels"), macro_f1)),
        "HiClass per parent": _cross_fit_hiclass(load_task(store, table)),
        "linear": _out_of_fold(fit(LinearHead(), hf1)),
        "cascade, per node": _out_of_fold(fit(CascadeHead(strategy="node"), hf1)),
        "cascade, per level": _out_of_fold(fit(CascadeHead(strategy="level"), hf1)),
        "mlp": _out_of_fold(fit(MLPHead(), hf1)),
        "hierarchical": _out_of_fold(fit(HierarchicalHead(), hf1)),
    }
    task, scores = load_task(store, table), default.predictions().scores
    assert task.target.hierarchy is not None
    heuristics = dict(_against_heuristics(task, scores))
    return score_all(task.target.y, predicted, task.target.hierarchy), heuristics


def _against_heuristics(task: Task, scores: NDArray[np.float32]) -> Iterator[tuple[str, tuple[float, float]]]:
    for objective in ("hf1", "distance", "wu-palmer"):
        decision = DecisionOptions(objective=objective).tune(scores, task.target, task.groups, seed=0)
        comparisons = decision.evidence.comparisons
        sign = -1 if objective == "distance" else 1
        heuristics = [each for each in comparisons if each.family in ("greedy top-down", "confidence threshold")]
        selected = [each for each in comparisons if each.selected][-1]
        yield objective, (sign * selected.cross_fitted, max(sign * each.cross_fitted for each in heuristics))


def _cross_fit_hiclass(task: Task) -> tuple[NDArray[np.int64], float]:
    """HiClass per parent with a logistic regression on standardized features, in the folds of the others."""
    from hiclass import LocalClassifierPerParentNode
    from sklearn.linear_model import LogisticRegression

    hierarchy = task.target.hierarchy
    assert hierarchy is not None
    vectors = task.train.pooled(LinearHead().pooled_views(task.train))
    documents = LabeledPaths(vectors, [tuple(task.labels[code].split(SEPARATOR)) for code in task.target.y.tolist()])
    fold_of = FitPlan(head=LinearHead(), folds=5).assign_folds(task)
    codes = {name: code for code, name in enumerate(hierarchy.names)}
    predicted, start = np.empty(len(fold_of), dtype=np.int64), time.perf_counter()
    for fold in np.unique(fold_of):
        fitted, held_out = fold_of != fold, fold_of == fold
        standardizer = Standardizer.fit(vectors[fitted], np.ones(fitted.sum()))
        model = LocalClassifierPerParentNode(LogisticRegression(C=0.05, max_iter=300), n_jobs=1)
        model.fit(standardizer.transform(vectors[fitted]), documents.levels[fitted])
        paths = model.predict(standardizer.transform(vectors[held_out]))
        predicted[held_out] = [codes[documents.name(path)] for path in paths]
    return predicted, time.perf_counter() - start


def compare_on_newsgroups(store: Path, folder: Path) -> list[Score]:
    """The test split, flat first."""
    corpus = load_corpus(store, store.name.split("--")[0])  # a store may have samples of its corpus, too
    heads: dict[str, Head] = {
        "linear": LinearHead(),
        "cascade, per parent": CascadeHead(),
        "cascade, per node": CascadeHead(strategy="node"),
        "cascade, per level": CascadeHead(strategy="level"),
        "hierarchical": HierarchicalHead(),
    }
    plans = {name: FitPlan(head=head) for name, head in heads.items()}
    runs = {name: fit_head(corpus.features, corpus.table, plan, folder / "runs")[0] for name, plan in plans.items()}
    return _score_runs(runs, Split.TEST, load_task(corpus.features, corpus.table).target.hierarchy)


def _score_runs(runs: dict[str, Run], split: Split, hierarchy: Hierarchy | None) -> list[Score]:
    assert hierarchy is not None
    tables = {name: run.predictions().of(split) for name, run in runs.items()}
    truth = next(iter(tables.values())).truth
    predicted = {name: (table.predicted, sum(runs[name].record.seconds.values())) for name, table in tables.items()}
    return score_all(truth, predicted, hierarchy)


def compare_on_reuters(store: Path, folder: Path) -> list[Score]:
    """Out of fold, flat first; hF1 is that of the suggested taxonomy."""
    corpus = load_corpus(store, store.name.split("--")[0])  # a store may have samples of its corpus, too

    def fit(head: Head, decide: DecisionOptions = DecisionOptions()) -> Run:  # noqa: B008
        plan = FitPlan(head=head, test=False, decision=decide)
        return fit_head(corpus.features, table, plan, folder / "runs")[0]

    table = corpus.table
    flat = fit(LinearHead())
    first = fit(CascadeHead(first="earn"))
    table = replace(table, taxonomy=suggest_taxonomy(flat).taxonomy)
    macro_f1 = DecisionOptions(objective="macro-f1")
    runs = {"linear": flat, "cascade, first earn": first, "cascade, suggested taxonomy": fit(CascadeHead(), macro_f1)}
    return _score_runs(runs, Split.TRAIN, load_task(corpus.features, table).target.hierarchy)
