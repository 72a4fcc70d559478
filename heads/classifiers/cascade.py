"""A cascade: local classifiers along a hierarchy of labels, whose answers together are probabilities of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
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
from heads.core.head import Examples, Head
from heads.core.hyperparameters import ByName, Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.logistic import LinearModel
from heads.local_strategies.label_graph import LabelGraph
from heads.local_strategies.local_heads import (
    LocalHeads,
    check_local_head,
    find_local_head,
    prepare_head,
)
from heads.local_strategies.local_logistic import LocalLogistic
from heads.local_strategies.problems import LocalExamples, Policy, Problem, Strategy, local_problems

__all__ = ["CascadeHead"]

WEIGHTS = "cascade.safetensors"
SCORED = 2048  # documents whose margins are computed at a time: there are more of them than labels


class FittedCascadeHead:
    """The attributes of a fitted CascadeHead.

    graph_: of the labels. problems_: what the local classifiers decide.
    logistic_: they, without a local head; local_heads_: they, with one. n_iter_: the most iterations of one of them.
    """

    graph_: LabelGraph
    problems_: list[Problem]
    logistic_: LocalLogistic
    local_heads_: LocalHeads
    n_iter_: int


@dataclass(eq=False, repr=False, kw_only=True)
class CascadeHead(FittedCascadeHead, PooledHead):
    """Local classifiers along a tree or graph of labels: one per parent node, per node, or per level.

    Silla & Freitas 2011, section 4 ("A survey of hierarchical classification across different application domains").
    The probability of a label is that of a walk from the top to it. At each node the walk goes on to one of the
    children: with the probabilities of the node's classifier, or in proportion to those of the children's classifiers
    or of the level's. So the probabilities of labels sum to 1, whatever the strategy. A label that has labels below it
    is a child of its own node. A node with several parents belongs to each of them in equal shares.

    The default of `weights_of` was chosen out of fold on training documents of wikivitals (638 labels, 5 folds,
    argmax): accuracy / macro-F1 / hF1 were 0.356 / 0.110 / 0.636 per parent with weights of classes, 0.334 / 0.106 /
    0.627 with weights of labels, and 0.331 / 0.094 / 0.620 without weights. Per level they were 0.360 / 0.115 / 0.640,
    in ten times the time; per node 0.351 / 0.107 / 0.625.
    """

    name: ClassVar[str] = "cascade"
    supports_multilabel: ClassVar[bool] = False
    detail_use: ClassVar[DetailUse] = "sum"

    local: Annotated[
        object,
        ByName(find_local_head, "a head"),
        Help("head of each local classifier, with hyperparameters local__...; none is logistic regression"),
    ] = None
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
        Help("inverse of the regularization strength of every logistic regression, if there is no local head"),
        Search(1e-4, 1, log=True),
    ] = 0.05
    max_iter: Annotated[int, Range(1), Help("maximum number of L-BFGS iterations of every logistic regression")] = 300
    class_weight: ClassWeight = "balanced"
    weights_of: Annotated[
        Literal["labels", "classes"],
        Help("whether class_weight weights the labels, or the classes of each local classifier"),
        Search(),
    ] = "classes"
    min_documents: Annotated[
        int,
        Range(2),
        Help("documents that a local classifier needs; with fewer, its classes have their share of the documents"),
    ] = 2

    # a head fitted on similar documents, from whose solutions a fit starts; the solutions do not depend on it
    warm_start_from: "CascadeHead | None" = field(init=False, default=None)
    # an interrupted training of a local network resumes from a file in this folder
    checkpoint_folder: Path | None = field(init=False, default=None)

    @property
    def unused_hyperparameters(self) -> frozenset[str]:
        """Those that have no effect with a local head, and those of the local head that the cascade sets."""
        if self.local is None:
            return frozenset()
        of_local = {"local__class_weight", "local__seed"}
        return frozenset({"C", "max_iter", *({"pooling"} | of_local if isinstance(self.local, Head) else ())})

    def _available_views(self, bags: Bags) -> tuple[str, ...]:
        return self.local._available_views(bags) if isinstance(self.local, Head) else super()._available_views(bags)

    def _requested_views(self) -> tuple[str, ...]:
        return self.local._requested_views() if isinstance(self.local, Head) else super()._requested_views()

    def pooled_views(self, bags: Bags) -> tuple[str, ...]:
        """The views that the fits of local classifiers pool."""
        return self.local.pooled_views(bags) if isinstance(self.local, Head) else super().pooled_views(bags)

    def _fit(self, examples: Examples) -> None:
        self._check_tree()
        self.graph_ = self._build_graph()
        self.problems_ = local_problems(self.graph_, self.strategy, self.policy)
        local_examples = self._local_examples(examples)
        small = sum(each.documents < self.min_documents for each in local_examples)
        if small:
            self._add_note(
                f"Local classifiers with fewer than {self.min_documents} documents ({small} of {len(self.problems_)}) "
                "give their classes their share of these."
            )
        if self.local is None:
            self._fit_logistic(examples, local_examples)
        else:
            self._fit_local_heads(examples, local_examples)

    def _local_examples(self, examples: Examples) -> list[LocalExamples]:
        order, counts = np.argsort(examples.y, kind="stable"), np.bincount(examples.y, minlength=len(self.classes_))
        documents_of, sample_weight = np.split(order, np.cumsum(counts)[:-1]), examples.sample_weight
        if self.weights_of == "labels" or isinstance(self.class_weight, Mapping):  # a mapping has weights of labels
            return [each.examples(documents_of, examples.loss_weight, sample_weight) for each in self.problems_]
        local_examples = []
        for problem in self.problems_:
            own = problem.examples(documents_of, sample_weight, sample_weight)
            weight = loss_weights(own.y, self.class_weight, problem.classes, own.sample_weight)
            local_examples.append(replace(own, weight=weight))
        return local_examples

    def _fit_logistic(self, examples: Examples, local_examples: list[LocalExamples]) -> None:
        self.logistic_, self.n_iter_ = LocalLogistic.fit(
            self._features(examples.bags),
            examples.sample_weight,
            self.problems_,
            local_examples,
            self.C,
            self.max_iter,
            self.min_documents,
            None if self._start is None else self._start.logistic_,
        )
        if self.n_iter_ >= self.max_iter:
            self._add_note(f"cascade did not converge in {self.max_iter} iterations. Raise max_iter, or lower C.")
        self.parameter_count_ = self.logistic_.linear.coefficients.size + self.logistic_.linear.intercepts.size

    def _fit_local_heads(self, examples: Examples, local_examples: list[LocalExamples]) -> None:
        check_local_head(type(self.local))
        starts = {} if self._start is None else self._start._local_heads_by_name()

        def prepare(number: int) -> Any:
            class_weight = "none" if self.class_weight == "none" else local_examples[number].class_weight
            head, problem = prepare_head(self.local, self.seed, class_weight), self.problems_[number]
            start = starts.get((problem.name, problem.classes))
            for name, value in {"checkpoint_folder": self.checkpoint_folder, "warm_start_from": start}.items():
                if hasattr(head, name):
                    setattr(head, name, value)
            return head

        @cache
        def features() -> NDArray[np.float32]:
            return self._features(examples.bags)

        self.local_heads_ = LocalHeads.fit(
            prepare, self.problems_, local_examples, examples, features, self.min_documents
        )
        for head in list(self.local_heads_.heads.values())[:1]:  # of the classifier with most documents
            self.notes_ = (*self.notes_, *(note for note in getattr(head, "notes_", ()) if note not in self.notes_))
        self.n_iter_ = max((getattr(head, "n_iter_", 1) for head in self.local_heads_.heads.values()), default=0)
        self.parameter_count_ = self.local_heads_.parameter_count

    @property
    def _start(self) -> "CascadeHead | None":
        other = self.warm_start_from
        return None if other is None or other.dims_ != self.dims_ else other

    def _local_heads_by_name(self) -> dict[tuple[str, tuple[str, ...]], Any]:
        problems = ((number, self.problems_[number]) for number in self.local_heads_.heads)
        return {(problem.name, problem.classes): self.local_heads_.heads[number] for number, problem in problems}

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        """Log-probabilities of labels."""
        if self.local is not None:
            return self.graph_.label_scores(self._strengths_of_heads(bags))
        features = self._features(bags)
        scores, edges = np.empty((len(features), len(self.classes_))), len(self.graph_.edge_ends)
        for start in range(0, len(features), SCORED):
            rows = slice(start, start + SCORED)
            scores[rows] = self.graph_.label_scores(self.logistic_.strengths(features[rows], edges))
        return scores

    def _strengths_of_heads(self, bags: Bags) -> NDArray[np.float64]:
        """The log-probability of each edge by its local head, float64 (edges, documents)."""

        @cache
        def features() -> NDArray[np.float32]:
            return self._features(bags)

        strengths = np.zeros((len(self.graph_.edge_ends), len(bags)))
        for number, problem in enumerate(self.problems_):
            answers = self.local_heads_.log_probabilities(number, bags, features)
            strengths[problem.edges] = np.broadcast_to(answers, (len(bags), len(problem.classes))).T[problem.columns]
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
        if self.local is None:
            write_arrays(folder / WEIGHTS, vars(self.logistic_.linear))
        else:
            self.local_heads_.save(folder)

    def _load(self, folder: Path) -> None:
        # the problems follow from the hyperparameters, classes_ and counts_
        self.graph_ = self._build_graph()
        self.problems_ = local_problems(self.graph_, self.strategy, self.policy)
        if isinstance(self.local, Head):
            self.local_heads_ = LocalHeads.load(folder, type(self.local), self.problems_, self.dims_)
            return
        shapes = LocalLogistic.array_shapes(self.problems_, sum(self.dims_.values()))
        self.logistic_ = LocalLogistic(self.problems_, LinearModel(**read_arrays(folder / WEIGHTS, shapes)))
