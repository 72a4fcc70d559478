"""A cascade: local classifiers along a hierarchy of labels, whose answers together are probabilities of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, UnknownName, suggest_name
from data.taxonomy import Taxonomy
from data.text_format import plural
from featurestore import Bags
from heads.core.class_weights import ClassWeight, loss_weights
from heads.core.detailed_labels import DetailUse
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.grouped import LocalProblem, fit_grouped_logistic
from heads.linear_models.logistic import LinearModel, Standardizer
from heads.local_strategies.label_graph import LabelGraph
from heads.local_strategies.problems import Policy, Strategy, local_problems

__all__ = ["CascadeHead"]

WEIGHTS = "cascade.safetensors"
SCORED = 2048  # documents whose margins are computed at a time: there are more of them than labels


@dataclass(eq=False, repr=False, kw_only=True)
class CascadeHead(PooledHead):
    """Local classifiers along a tree or graph of labels: one per parent node, per node, or per level.

    Silla & Freitas 2011, section 4 ("A survey of hierarchical classification across different application domains").
    The probability of a label is that of a walk from the top to it. At each node the walk goes on to one of the
    children: with the probabilities of the node's classifier, or in proportion to those of the children's classifiers
    or of the level's. So the probabilities of labels sum to 1, whatever the strategy. A label that has labels below it
    is a child of its own node. A node with several parents belongs to each of them in equal shares.
    """

    name: ClassVar[str] = "cascade"
    supports_multilabel: ClassVar[bool] = False
    detail_use: ClassVar[DetailUse] = "sum"

    tree: Annotated[
        Mapping[Any, Sequence[str]] | None,
        Help(
            "node -> its parents, or label -> nodes from below the root to the label; branches without training "
            "documents are ignored; none is a tree of two levels, by first"
        ),
    ] = None
    first: Annotated[
        str | None,
        Help("label of the first, binary decision; the second chooses among the others; none is the most frequent"),
    ] = None
    strategy: Annotated[
        Strategy,
        Help("a classifier per parent node, of its children; per node, of whether it is there; or per level"),
        Search(),
    ] = "parent"
    policy: Annotated[Policy, Help("which documents are negatives of a node's classifier, for strategy node")] = (
        "siblings"
    )
    C: Annotated[
        float,
        Range(above=0),
        Help("inverse of the regularization strength of every logistic regression"),
        Search(1e-4, 1, log=True),
    ] = 0.05
    max_iter: Annotated[int, Range(1), Help("maximum number of L-BFGS iterations of every logistic regression")] = 300
    class_weight: ClassWeight = "balanced"
    weights_of: Annotated[
        Literal["labels", "classes"],
        Help("whether class_weight weights the labels, or the classes of each local classifier"),
        Search(),
    ] = "labels"
    min_documents: Annotated[
        int,
        Range(2),
        Help("documents that a local classifier needs; with fewer, its classes have their share of the documents"),
    ] = 2

    # a head fitted on similar documents, from whose solutions a fit starts; the solutions do not depend on it
    warm_start_from: "CascadeHead | None" = field(init=False, default=None)

    def _fit(self, examples: Examples) -> None:
        self._check_tree()
        self.graph_ = self._build_graph()
        self.problems_ = local_problems(self.graph_, self.strategy, self.policy)
        documents = self._documents_of_problems(examples)
        features = self._features(examples.bags)
        is_small = [len(np.unique(rows)) < self.min_documents for rows, _, _ in documents]
        large = [number for number, small in enumerate(is_small) if not small]
        starts = self._starts()
        problems = [LocalProblem(*documents[number], start=starts[number]) for number in large]
        standardizer = Standardizer.fit(features, examples.sample_weight)
        fits = fit_grouped_logistic(features, problems, self.C, self.max_iter, standardizer=standardizer)
        models = [_share_model(documents[number], features.shape[1]) for number in range(len(documents))]
        for number, (model, _) in zip(large, fits, strict=True):
            models[number] = model
        self.n_iter_ = max((n_iter for _, n_iter in fits), default=0)
        self._note_fits(sum(is_small))
        self.linear_ = LinearModel(
            np.concatenate([model.coefficients for model in models]),
            np.concatenate([model.intercepts for model in models]),
        )
        self.parameter_count_ = self.linear_.coefficients.size + self.linear_.intercepts.size

    def _documents_of_problems(
        self, examples: Examples
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        order, counts = np.argsort(examples.y, kind="stable"), np.bincount(examples.y, minlength=len(self.classes_))
        documents_of = np.split(order, np.cumsum(counts)[:-1])
        if self.weights_of == "labels" or isinstance(self.class_weight, Mapping):  # a mapping has weights of labels
            return [problem.examples(documents_of, examples.loss_weight) for problem in self.problems_]
        documents = []
        for problem in self.problems_:
            rows, y, weight = problem.examples(documents_of, examples.sample_weight)
            documents.append((rows, y, loss_weights(y, self.class_weight, problem.classes, weight)))
        return documents

    def _note_fits(self, small: int) -> None:
        if small:
            self._add_note(
                f"Local classifiers with fewer than {self.min_documents} documents ({small} of {len(self.problems_)}) "
                "give their classes their share of these."
            )
        if self.n_iter_ >= self.max_iter:
            self._add_note(f"cascade did not converge in {self.max_iter} iterations. Raise max_iter, or lower C.")

    def _starts(self) -> list[LinearModel | None]:
        """The model of `warm_start_from` for each problem; None if it has other classes or features."""
        other = self.warm_start_from
        if other is None or other.dims_ != self.dims_:
            return [None] * len(self.problems_)
        names = [(problem.name, name) for problem in other.problems_ for name in problem.classes]
        row_of = {name: row for row, name in enumerate(names)}
        starts: list[LinearModel | None] = []
        for problem in self.problems_:
            rows = [row_of.get((problem.name, name), -1) for name in problem.classes]
            linear = other.linear_
            starts.append(None if -1 in rows else LinearModel(linear.coefficients[rows], linear.intercepts[rows]))
        return starts

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        """Log-probabilities of labels."""
        features = self._features(bags)
        scores = np.empty((len(features), len(self.classes_)))
        for start in range(0, len(features), SCORED):
            rows = slice(start, start + SCORED)
            scores[rows] = self.graph_.label_scores(self._strengths(features[rows]))
        return scores

    def _strengths(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The log-probability of each edge by its local classifier, float64 (edges, documents)."""
        from scipy.special import log_softmax

        strengths = np.zeros((len(self.graph_.edge_ends), len(features)))
        margins, start = self.linear_.scores(features).T, 0
        for problem in self.problems_:
            stop = start + len(problem.classes)
            strengths[problem.edges] = log_softmax(margins[start:stop], axis=0)[problem.columns]
            start = stop
        return strengths

    def _check_tree(self) -> None:
        labels = {str(label) for label in self.classes_.tolist()}
        if self.tree is not None:
            if self.first is not None:
                raise CallError("cascade has both a tree and a first label. Leave one of them out.")
            absent = len(set(Taxonomy.from_tree(self.tree).leaves) - labels)
            if absent:
                self._add_note(f"The tree has {plural(absent, 'label')} without a training document: never predicted.")
        elif self.first is None:
            self._add_note(
                f"cascade decides first whether the label is '{self._first_label()}', the most frequent one. "
                "Set first to choose another label."
            )
        elif self.first not in labels:
            # not an error: a fold can lack a label of the corpus
            self._add_note(f"No training document has the first label '{self.first}', so cascade has one level only.")

    def _first_label(self) -> str:
        return str(self.classes_[self.counts_.argmax()]) if self.first is None else self.first

    def _build_graph(self) -> LabelGraph:
        labels = [str(label) for label in self.classes_.tolist()]
        if self.tree is None:
            return LabelGraph.by_first(labels, self._first_label())
        taxonomy = Taxonomy.from_tree(self.tree)
        for label in labels:
            if label not in taxonomy:
                raise UnknownName(f"The tree has no '{label}'.{suggest_name(label, taxonomy.nodes)}")
        graph = LabelGraph.of(taxonomy, labels)
        if self.strategy == "level" and not graph.is_tree:
            node = next(name for name, above in zip(graph.names, graph.parents, strict=True) if len(above) > 1)
            raise CallError(f"'{node}' has several parents, so it is at no one level. Choose strategy parent or node.")
        return graph

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, vars(self.linear_))

    def _load(self, folder: Path) -> None:
        # the problems follow from the hyperparameters, classes_ and counts_
        self.graph_ = self._build_graph()
        self.problems_ = local_problems(self.graph_, self.strategy, self.policy)
        rows, dims = sum(len(problem.classes) for problem in self.problems_), sum(self.dims_.values())
        self.linear_ = LinearModel(
            **read_arrays(folder / WEIGHTS, {"coefficients": (rows, dims), "intercepts": (rows,)})
        )


def _share_model(documents: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], dims: int) -> LinearModel:
    """The model that gives each class its share of the documents, by weight, whatever the features are."""
    _, y, weight = documents
    counts = np.bincount(y, weights=weight)
    return LinearModel(np.zeros((len(counts), dims)), np.log(counts / counts.sum()))
