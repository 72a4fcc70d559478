"""A cascade: a tree of local classifiers, which decides the branch first and then the label in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.taxonomy import resolve_label_paths
from featurestore import Bags
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.logistic import LinearModel, Standardizer, fit_multinomial_logistic

__all__ = ["CascadeHead"]

LabelPath: TypeAlias = tuple[str | None, ...]

WEIGHTS = "cascade.safetensors"
END = None  # last element of a path, so that a label "rec" and a label "rec/sport" are siblings below the node "rec"


@dataclass(eq=False, repr=False, kw_only=True)
class CascadeHead(PooledHead):
    """A logistic regression at each inner node of a tree of labels: a "local classifier per parent node".

    Silla & Freitas 2011, section 4.2 ("A survey of hierarchical classification across different application domains").
    The probability of a label is the product of the probabilities along its path, and its score is the logarithm. Every
    node uses the class weights of the labels: if balanced, the weight of a branch is its number of labels.
    """

    name: ClassVar[str] = "cascade"
    supports_multilabel: ClassVar[bool] = False

    tree: Annotated[
        Mapping[Any, Sequence[str]] | None,
        Help(
            "label -> nodes from below the root to the label; branches without training documents are ignored; "
            "none is a tree of two levels, by first"
        ),
    ] = None
    first: Annotated[
        str | None,
        Help("label of the first, binary decision; the second chooses among the others; none is the most frequent"),
    ] = None
    C: Annotated[
        float,
        Range(above=0),
        Help("inverse of the regularization strength of every logistic regression"),
        Search(1e-4, 1, log=True),
    ] = 0.05
    max_iter: Annotated[int, Range(1), Help("maximum number of L-BFGS iterations of every logistic regression")] = 300
    class_weight: ClassWeight = "balanced"

    # a head fitted on similar documents, from whose solutions a fit starts; the solutions do not depend on it
    warm_start_from: "CascadeHead | None" = field(init=False, default=None)

    def _fit(self, examples: Examples) -> None:
        self._check_tree()
        self.nodes_ = self._build_nodes()
        features = self._features(examples.bags)
        standardizer = Standardizer.fit(features, examples.sample_weight)
        fits = [
            self._fit_node(node, features, standardizer, examples, start)
            for node, start in zip(self.nodes_, self._starts(), strict=True)
        ]
        self.n_iter_ = max(n_iter for _, n_iter in fits)
        if self.n_iter_ >= self.max_iter:
            self._add_note(f"cascade did not converge in {self.max_iter} iterations. Raise max_iter, or lower C.")
        coefficients = np.concatenate([model.coefficients for model, _ in fits])
        self.linear_ = LinearModel(coefficients, np.concatenate([model.intercepts for model, _ in fits]))
        self.parameter_count_ = coefficients.size + self.linear_.intercepts.size

    def _fit_node(
        self,
        node: NDArray[np.int64],
        features: NDArray[np.float32],
        standardizer: Standardizer,
        examples: Examples,
        start: LinearModel | None,
    ) -> tuple[LinearModel, int]:
        child = node[examples.y]
        rows = np.flatnonzero(child >= 0)
        below = features if len(rows) == len(features) else features[rows]  # no copy of all features for the root
        model, iterations = self._fit_branches(below, child[rows], examples.loss_weight[rows], standardizer, start)
        if iterations >= self.max_iter and start is not None:  # it would depend on its start
            return self._fit_branches(below, child[rows], examples.loss_weight[rows], standardizer, None)
        return model, iterations

    def _fit_branches(
        self,
        features: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        standardizer: Standardizer,
        start: LinearModel | None,
    ) -> tuple[LinearModel, int]:
        return fit_multinomial_logistic(
            features, y, weight, self.C, self.max_iter, standardizer=standardizer, start=start
        )

    def _starts(self) -> list[LinearModel | None]:
        """The model of each node of `warm_start_from`; None if it has other classes or features."""
        other = self.warm_start_from
        if other is None or other.dims_ != self.dims_ or not np.array_equal(other.classes_, self.classes_):
            return [None] * len(self.nodes_)
        if any(not np.array_equal(*pair) for pair in zip(other.nodes_, self.nodes_, strict=False)):
            return [None] * len(self.nodes_)
        stops = np.cumsum([int(node.max()) + 1 for node in self.nodes_])[:-1]
        parts = zip(np.split(other.linear_.coefficients, stops), np.split(other.linear_.intercepts, stops), strict=True)
        return [LinearModel(*part) for part in parts]

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        """Log-probabilities: for each label the sum of those along its path."""
        from scipy.special import log_softmax

        margins = self.linear_.scores(self._features(bags))
        scores = np.zeros((len(margins), len(self.classes_)))
        start = 0
        for node in self.nodes_:
            stop = start + int(node.max()) + 1
            below = np.flatnonzero(node >= 0)
            scores[:, below] += log_softmax(margins[:, start:stop], axis=1)[:, node[below]]
            start = stop
        return scores

    def _check_tree(self) -> None:
        labels = {str(label) for label in self.classes_.tolist()}
        if self.tree is not None:
            if self.first is not None:
                raise CallError("cascade has both a tree and a first label. Leave one of them out.")
            absent = {str(label) for label in self.tree} - labels
            if absent:
                self._add_note(f"{len(absent)} labels of the tree have no training document and cannot be predicted.")
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

    def _build_nodes(self) -> list[NDArray[np.int64]]:
        """For each inner node, int64 (classes,): the child that contains each class, -1 if none does."""
        return list(_inner_nodes(self._label_paths(), tuple(range(len(self.classes_))), 0))

    def _label_paths(self) -> list[LabelPath]:
        labels = self.classes_.tolist()
        if self.tree is None:
            first = self._first_label()
            return [("first", END) if str(label) == first else ("others", str(label), END) for label in labels]
        return [(*path, END) for path in resolve_label_paths(self.tree, labels)]

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, vars(self.linear_))

    def _load(self, folder: Path) -> None:
        # the nodes follow from the hyperparameters, classes_ and counts_
        self.nodes_ = self._build_nodes()
        children, dims = sum(int(node.max()) + 1 for node in self.nodes_), sum(self.dims_.values())
        shapes = {"coefficients": (children, dims), "intercepts": (children,)}
        self.linear_ = LinearModel(**read_arrays(folder / WEIGHTS, shapes))


def _inner_nodes(paths: Sequence[LabelPath], below: tuple[int, ...], depth: int) -> Iterator[NDArray[np.int64]]:
    """The nodes with more than one child among the classes `below`, whose paths agree up to `depth`, parents first."""
    if len(below) < 2:
        return
    branches: dict[str | None, list[int]] = {}
    for column in below:
        branches.setdefault(paths[column][depth], []).append(column)
    if len(branches) > 1:
        node = np.full(len(paths), -1, dtype=np.int64)
        for child, columns in enumerate(branches.values()):
            node[columns] = child
        yield node
    for columns in branches.values():
        yield from _inner_nodes(paths, tuple(columns), depth + 1)
