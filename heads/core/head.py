"""The base class of all heads: a scikit-learn classifier over Bags that checks its input and is saved without pickle.

A head's own file declares its hyperparameters and the views that it reads, and implements four methods:

    _fit(examples)            learn from checked Examples, and set `parameter_count_`
    _decision_function(bags)  scores (documents, classes): logits, or log-probabilities with one label per document
    _save(folder)             write what was learned into files of its choice (`heads.core.saving.write_arrays`)
    _load(folder)             read these again; their hashes were checked before, their shapes `read_arrays` checks

Messages for the user (a fallback, no convergence) are added with `_add_note` and kept in `notes_`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from data.errors import CallError, RunDamaged, UnknownName
from data.ranges import MAX_SEED
from data.tabular import Tabular
from data.text_format import plural
from featurestore import Bags, Computation, as_bags
from heads.core import saving
from heads.core.class_weights import ClassWeight, loss_weights
from heads.core.detailed_labels import DetailedLabels, DetailUse, sum_scores
from heads.core.fitted_head import FittedHead
from heads.core.hyperparameters import (
    Help,
    NestedHyperparameters,
    Range,
    check_hyperparameters,
    from_json,
    hyperparameters_of,
    to_json,
)
from heads.core.inputs import (
    Examples,
    as_flags,
    as_groups,
    as_labels,
    as_sample_weight,
    encode,
    format_dims,
    vector_length,
)
from heads.core.tabular_encoder import TabularEncoder
from heads.evaluation.score_matrix import scores_to_probabilities

__all__ = ["Examples", "FittedHead", "Head"]

SCORED = 16_384  # documents scored at a time, so that a copy of their features stays small


@dataclass(eq=False, repr=False, kw_only=True)
class Head(FittedHead, NestedHyperparameters, ClassifierMixin, BaseEstimator):
    """A classifier over Bags. Its fields are its hyperparameters; these two every head has."""

    name: ClassVar[str]
    # the views that the head reads; override `_requested_views` if they depend on hyperparameters
    views: ClassVar[tuple[str, ...]] = ()
    supports_multilabel: ClassVar[bool] = True
    # whether the head reads all stored layers of the encoder; other heads read the one that the user chooses
    every_layer: ClassVar[bool] = False
    # whether the head reads tabular columns next to the text (`_tabular_inputs`)
    uses_tabular: ClassVar[bool] = False
    # what the head does with labels that are more detailed than those it scores
    detail_use: ClassVar[DetailUse] = "none"

    class_weight: ClassWeight = "none"
    seed: Annotated[int, Range(0, MAX_SEED), Help("seed of all random numbers")] = 0

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        fit_only: Any = None,
        detailed: Any = None,
    ) -> Self:
        """Fit the head; the arguments are not changed.

        Args:
            X: Bags, or a 2-D array with one chunk per document.
            y: labels (documents,), strings or integers; or a multi-label matrix of 0 and 1 (documents, labels).
            sample_weight: (documents,), at least 0. Weight 2 equals having the document twice, 0 not having it.
            groups: (documents,); documents of one group stay on one side of the validation split and of a head's own
                inner folds. None is a group of its own.
            fit_only: bool (documents,), documents that are fitted but never validate: neither for early stopping nor in
                a head's own inner folds. One whose group is in the validation split is left out.
            detailed: labels in the form of y that say more, and each of which belongs to one label of y. They teach a
                head that can use them (`detail_use`); y is what it predicts.

        Raises:
            CallError: for input that cannot be learned from.
            UnknownName: for a choice or a view that does not exist.
        """
        self.notes_ = ()
        check_hyperparameters(self)
        bags = self._as_bags(X, reset=True)
        labels = as_labels(y, len(bags))
        weight = as_sample_weight(sample_weight, len(bags))
        checks = (as_groups, groups), (as_flags, fit_only), (as_labels, detailed)
        optional: list[Any] = [None if values is None else check(values, len(bags)) for check, values in checks]
        if not weight.all():
            rows = np.flatnonzero(weight)
            bags, labels, weight = bags[rows], labels[rows], weight[rows]
            optional = [None if each is None else each[rows] for each in optional]
        self._fit_tabular(bags.tabular, weight)
        *optional, detailed = optional
        examples = self._examples(bags, labels, weight, *optional)
        self.detailed_ = self.detailed_head_ = None
        if detailed is not None:
            examples = self._add_detail(examples, detailed)
        if self.detailed_ is not None and self.detail_use == "sum":
            head = self.detailed_head_ = self._fit_detailed(examples, self.detailed_)
            self.notes_ = tuple(dict.fromkeys((*self.notes_, *head.notes_)))
            self.parameter_count_ = head.parameter_count_
        else:
            self._fit(examples)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Scores, float32 (documents, classes): logits of a softmax, or of one sigmoid per label if multi-label."""
        check_is_fitted(self)
        bags = self._as_bags(X)
        if not len(bags):
            return np.zeros((0, len(self.classes_)), dtype=np.float32)
        if self.detailed_head_ is not None and self.detailed_ is not None:
            scores = self.detailed_head_.decision_function(bags)
            return sum_scores(scores, self.detailed_.class_of, len(self.classes_)).astype(np.float32)
        blocks = (bags[start : start + SCORED] for start in range(0, len(bags), SCORED))
        return np.concatenate([np.asarray(self._decision_function(block), dtype=np.float32) for block in blocks])

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities, float32 (documents, classes); rows sum to 1 unless the head is multi-label."""
        return scores_to_probabilities(self.decision_function(X), multilabel=self.multilabel_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels with the highest score (documents,); if multi-label, scores above 0, a matrix (documents, labels)."""
        scores = self.decision_function(X)
        if self.multilabel_:
            return (scores > 0).astype(self._label_dtype)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    @property
    def reads(self) -> tuple[str, ...]:
        """The views that the head reads: those that it was fitted on, or before that those it requests."""
        return tuple(self.dims_) if hasattr(self, "dims_") else self._requested_views()

    @property
    def tabular_labels(self) -> tuple[str, ...]:
        """The tabular columns that the fitted head reads, with their kinds: ("price:number",)."""
        return () if self.tabular_ is None else self.tabular_.labels

    def save(self, folder: Path) -> None:
        """Write the fitted head into `folder`, which is created if needed: head.json and the files that it lists."""
        check_is_fitted(self)
        folder.mkdir(parents=True, exist_ok=True)
        (self.detailed_head_ or self)._save(folder)
        parameters = {name: to_json(value) for name, value in self.get_params(deep=False).items()}
        saving.write_description(folder, {"head": self.name, "hyperparameters": parameters, **self._describe()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The head that `save` wrote. Raises RunDamaged for anything else."""
        content = saving.read_description(folder, cls.name)
        try:
            items = {item.name: item for item in hyperparameters_of(cls, deep=False)}
            values = content["hyperparameters"]
            head = cls(**{name: from_json(value, items[name].class_of(value)) for name, value in values.items()})
            check_hyperparameters(head)
            head._restore(content)
        except (KeyError, TypeError, ValueError) as error:
            raise RunDamaged(
                f"{folder / 'head.json'} cannot be used ({error}). Remove the run and fit again."
            ) from error
        head.parameter_count_ = content["parameter_count"]
        if head.detailed_ is not None and cls.detail_use == "sum":
            head.detailed_head_ = head._restore_detailed(head.detailed_)
        (head.detailed_head_ or head)._load(folder)
        return head

    def _as_bags(self, X: Any, *, reset: bool = False) -> Bags:
        """X as Bags; the views that the head reads must be present and, unless `reset`, have the fitted dimensions."""
        bags = X if isinstance(X, Bags) else as_bags(validate_data(self, X, reset=reset, dtype=np.float32))
        views = self._available_views(bags) if reset else self.reads
        for view in views:
            if view not in bags.views:
                stored = f"{self.name} reads {view}, these features keep {', '.join(bags.views)}."
                if view == "token_ids":
                    raise UnknownName(f"{stored} Pass Bags of a store, which always holds token ids.")
                raise UnknownName(f"{stored} Embed with --keep {view}, or configure the head to read another view.")
        dims = {view: vector_length(bags, view) for view in views}
        if reset:
            self.dims_ = dims
        elif dims != self.dims_:
            raise CallError(
                f"{self.name} was fitted on {format_dims(self.dims_)}, these features have {format_dims(dims)}: "
                "another encoder made them."
            )
        return bags

    def _fit_tabular(self, tabular: Tabular | None, weight: NDArray[np.float64]) -> None:
        self.tabular_ = None
        if tabular is not None and self.uses_tabular:
            self.tabular_ = TabularEncoder.fit(tabular, weight)
            self.notes_ = (*self.notes_, *self.tabular_.notes(tabular))
        elif tabular is not None:
            self._add_note(f"{self.name} reads the text alone, not the tabular columns.")

    def _tabular_inputs(self, bags: Bags) -> NDArray[np.float32]:
        """The encoded tabular columns, float32 (documents, width); no columns if the head uses none."""
        return np.zeros((len(bags), 0), np.float32) if self.tabular_ is None else self.tabular_.transform(bags.tabular)

    @property
    def _tabular_width(self) -> int:
        return 0 if self.tabular_ is None else self.tabular_.width

    def _examples(
        self,
        bags: Bags,
        labels: NDArray[Any],
        weight: NDArray[np.float64],
        groups: NDArray[np.int64] | None,
        fit_only: NDArray[np.bool_] | None,
    ) -> Examples:
        self._label_dtype = labels.dtype
        self.multilabel_ = labels.ndim == 2
        if self.multilabel_ and not self.supports_multilabel:
            raise CallError(f"{self.name} needs one label per document, but y is multi-label. Choose another head.")
        self.classes_, y = encode(labels)
        if len(self.classes_) < (1 if self.multilabel_ else 2):
            classes = f"one class, {self.classes_[0]}" if len(self.classes_) else "no class"
            raise CallError(f"The documents have {classes}: a classifier needs two.")
        self.counts_ = weight @ y if self.multilabel_ else np.bincount(y, weights=weight).astype(np.float64)
        if not isinstance(self.class_weight, str):
            unused = sorted(str(label) for label in self.class_weight.keys() - set(self.classes_.tolist()))
            if unused:
                self._add_note(f"class_weight names {', '.join(unused)}, which no training document has.")
        loss_weight = loss_weights(y, self.class_weight, self.classes_.tolist(), weight)
        return Examples(bags, y, weight, loss_weight, groups, fit_only)

    def _add_detail(self, examples: Examples, labels: NDArray[Any]) -> Examples:
        if self.detail_use == "none" or (self.detail_use == "sum" and self.multilabel_):
            self._add_note(f"{self.name} learned the scored labels alone, without the detailed ones.")
            return examples
        self.detailed_, codes = DetailedLabels.of(labels, examples, self.classes_)
        self._add_note(f"{self.name} also learned from {plural(len(self.detailed_.classes), 'detailed label')}.")
        return replace(examples, detailed=codes)

    def _fit_detailed(self, examples: Examples, detailed: DetailedLabels) -> Self:
        """Fit a copy of this head on the detailed labels of `examples`."""
        head: Self = clone(self)
        if isinstance(self.class_weight, Mapping):
            scored = self.classes_[detailed.class_of].tolist()
            weights = [self.class_weight.get(label, 1.0) for label in scored]
            head.set_params(class_weight=dict(zip(detailed.classes.tolist(), weights, strict=True)))
        if (start := getattr(self, "warm_start_from", None)) is not None:
            head.warm_start_from = start.detailed_head_
        labels = detailed.classes[examples.detailed]
        return head.fit(examples.bags, labels, examples.sample_weight, examples.groups, examples.fit_only)

    def _add_note(self, sentence: str) -> None:
        self.notes_ = (*self.notes_, sentence)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameter_count_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.supports_multilabel
        return tags

    # ---- for the head's own file to implement or override

    def _requested_views(self) -> tuple[str, ...]:
        """The views that the head reads with its hyperparameters."""
        return self.views

    def _available_views(self, bags: Bags) -> tuple[str, ...]:
        """The views of `bags` to fit on; overridden by heads that can do without some of `_requested_views`."""
        del bags
        return self._requested_views()

    def pooled_views(self, bags: Bags) -> tuple[str, ...]:
        """The views that `fit` pools with `Bags.pooled`, so that they can be pooled once for several fits."""
        del bags
        return ()

    def computations(self, bags: Bags) -> tuple[Computation, ...]:
        """What `fit` and scoring take from `Bags.computed`, so that it can be computed once for several fits."""
        del bags
        return ()

    def _fit(self, examples: Examples) -> None:
        raise NotImplementedError

    def _decision_function(self, bags: Bags) -> NDArray[Any]:
        raise NotImplementedError

    def _save(self, folder: Path) -> None:
        raise NotImplementedError

    def _load(self, folder: Path) -> None:
        raise NotImplementedError
