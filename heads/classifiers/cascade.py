"""A tree of local classifiers: the branch first, then what it holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
END = None  # a path's last step: "rec" as a label of its own stands beside "rec/sport" below the node "rec"


@dataclass(eq=False, repr=False, kw_only=True)
class CascadeHead(PooledHead):
    """A logistic regression at each inner node of a tree of labels: "local classifier per parent node".

    Silla & Freitas 2011, section 4.2 ("A survey of hierarchical classification across different application domains").
    A label's probability is the product of those along its path, and its score the logarithm of that. Class weights are
    those of the labels, at every node: with balanced ones a branch weighs as much as it has labels.
    """

    name: ClassVar[str] = "cascade"
    supports_multilabel: ClassVar[bool] = False

    tree: Annotated[
        Mapping[Any, Sequence[str]] | None,
        Help(
            "label -> nodes from below the root to the label; branches without training documents are left out; "
            "none is a tree of two levels, by first"
        ),
    ] = None
    first: Annotated[str | None, Help("label of the first, binary decision; none is the most frequent label")] = None
    C: Annotated[
        float, Range(above=0), Help("of every logistic regression, as in linear"), Search(1e-4, 1, log=True)
    ] = 0.05
    max_iter: Annotated[int, Range(1), Help("of every logistic regression, as in linear")] = 300
    class_weight: ClassWeight = "balanced"

    def _fit(self, examples: Examples) -> None:
        self._tell_the_tree()
        self.nodes_ = self._nodes()
        features = self._features(examples.bags)
        scaling = Standardizer.fit(features, examples.sample_weight)
        standard = scaling.transform(features)
        fits = [self._fit_node(node, standard, examples) for node in self.nodes_]
        self.n_iter_ = max(steps for _, _, steps in fits)
        if self.n_iter_ >= self.max_iter:
            self._add_note(
                f"cascade stopped after {self.max_iter} steps, before it converged. Raise max_iter, or lower C."
            )
        coefficients = np.concatenate([coefficients for coefficients, _, _ in fits])
        intercepts = np.concatenate([intercepts for _, intercepts, _ in fits])
        self.linear_ = LinearModel.from_standardized(coefficients, intercepts, scaling)
        self.parameter_count_ = coefficients.size + intercepts.size

    def _fit_node(
        self, node: NDArray[np.int64], standard: NDArray[np.float64], examples: Examples
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        child = node[examples.y]
        rows = np.flatnonzero(child >= 0)
        return fit_multinomial_logistic(standard[rows], child[rows], examples.loss_weight[rows], self.C, self.max_iter)

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        """Log-probabilities: the sum of those of the children on the way to each label."""
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

    def _tell_the_tree(self) -> None:
        labels = {str(label) for label in self.classes_.tolist()}
        if self.tree is not None:
            if self.first is not None:
                raise CallError("cascade takes a tree or a first label, not both. Leave one out.")
            absent = {str(label) for label in self.tree} - labels
            if absent:
                self._add_note(f"{len(absent)} labels of the tree have no training document and cannot be predicted.")
        elif self.first is None:
            self._add_note(f"cascade asks for '{self._first()}' first, the most frequent label. Choose with first.")
        elif self.first not in labels:
            # no error: a fold may lack a label that the corpus has
            self._add_note(f"No training document is '{self.first}': cascade is one flat question.")

    def _first(self) -> str:
        return str(self.classes_[self.counts_.argmax()]) if self.first is None else self.first

    def _nodes(self) -> list[NDArray[np.int64]]:
        """For each inner node, int64 (classes,): which of its children each class lies below, -1 for none."""
        return list(_inner_nodes(self._paths(), tuple(range(len(self.classes_))), 0))

    def _paths(self) -> list[LabelPath]:
        labels = self.classes_.tolist()
        if self.tree is None:
            first = self._first()
            return [("first", END) if str(label) == first else ("others", str(label), END) for label in labels]
        return [(*path, END) for path in resolve_label_paths(self.tree, labels)]

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, vars(self.linear_))

    def _load(self, folder: Path) -> None:
        # the nodes follow from the parameters, classes_ and counts_
        self.nodes_ = self._nodes()
        children, dims = sum(int(node.max()) + 1 for node in self.nodes_), sum(self.dims_.values())
        shapes = {"coefficients": (children, dims), "intercepts": (children,)}
        self.linear_ = LinearModel(**read_arrays(folder / WEIGHTS, shapes))


def _inner_nodes(paths: Sequence[LabelPath], below: tuple[int, ...], depth: int) -> Iterator[NDArray[np.int64]]:
    """The nodes of more than one child among the classes `below`, whose paths agree up to `depth`, parents first."""
    if len(below) < 2:
        return
    if len(paths[below[0]]) == depth:
        shared = " > ".join(map(str, paths[below[0]][:-1]))
        raise CallError(f"The tree has several labels at the end of one path, {shared}. Give each its own.")
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
