"""What every head is: a scikit-learn classifier over Bags that checks what it is given and saves itself without pickle.

A head's own file adds its parameters and five acts on checked input:

    _views()             the views that it reads, by its parameters
    _learn(examples)     learn from Examples, and set `parameter_count_`
    _scores(bags)        (documents, classes): logits, or log-probabilities where a document has one label
    _save(folder)        write what was learned, files of its choice (`heads.core.saving.write_arrays`)
    _load(folder)        read that again; hashes are checked before, shapes are not (`read_arrays` does)

A sentence for the user (what fell back, what did not converge) goes to `self._note(...)` and is found in `notes_`.
"""

import math
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from data.errors import CallError, RunDamaged, UnknownName
from featurestore import Bags, as_bags
from heads.core import saving
from heads.core.class_weights import ClassWeight, loss_weights
from heads.core.examples import Examples
from heads.core.hyperparameters import check_hyperparameters, from_json, hyperparameters_of, to_json
from heads.core.inputs import as_labels, as_sample_weight, encode

__all__ = ["Examples", "Head"]


class Head(ClassifierMixin, BaseEstimator):
    """A classifier over Bags.

    Parameters that every head has: class_weight, see class_weights.py; seed, from which every random number comes.

    After `fit`: classes_ (the labels, sorted; for several labels the columns' numbers), counts_ (float64, documents of
    each, by sample weight), several_ (whether a document may have several), dims_ (view -> length of its vectors, of
    the views that it read), notes_, parameter_count_.
    """

    name: ClassVar[str]
    supports_multilabel: ClassVar[bool] = True
    every_layer: ClassVar[bool] = False  # whether it is given all layers that are kept, or one that is chosen

    class_weight: ClassWeight
    seed: int

    classes_: NDArray[Any]
    counts_: NDArray[np.float64]
    multilabel_: bool
    dims_: dict[str, int]
    notes_: tuple[str, ...]
    parameter_count_: int

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Learn from Bags, or from a 2-D array as one chunk a document; what is passed in is left as it is.

        y: labels (documents,), strings or whole numbers, or a bool or 0-1 matrix (documents, labels) for several.
        sample_weight: (documents,), at least 0; 2 is having the document twice, 0 not having it.
        groups: (documents,); documents of one group stay on one side of an early stop's validation part.

        Raises CallError (UnknownName for a choice or a view that does not exist) for what cannot be learned from.
        """
        self.notes_ = ()
        check_hyperparameters(self)
        bags = self._as_bags(X, reset=True)
        labels = as_labels(y, len(bags))
        weight = as_sample_weight(sample_weight, len(bags))
        members = None if groups is None else np.asarray(groups)
        if not weight.all():
            rows = np.flatnonzero(weight)
            bags, labels, weight = bags[rows], labels[rows], weight[rows]
            members = None if members is None else members[rows]
        self._learn(self._examples(bags, labels, weight, members))
        return self

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Scores, float32 (documents, classes): logits of a softmax, or of a sigmoid each for several labels."""
        check_is_fitted(self)
        bags = self._as_bags(X)
        if not len(bags):
            return np.zeros((0, len(self.classes_)), dtype=np.float32)
        return np.asarray(self._scores(bags), dtype=np.float32)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities, float32 (documents, classes); rows sum to 1 unless a document may have several labels."""
        scores = self.decision_function(X).astype(np.float64)
        if self.multilabel_:
            return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores), dtype=np.float32)  # the sigmoid, without overflow
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of the highest score (documents,); for several labels (documents, labels), scores above 0."""
        scores = self.decision_function(X)
        if self.multilabel_:
            return (scores > 0).astype(self._dtype)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    @property
    def reads(self) -> tuple[str, ...]:
        """The views that the head reads by its parameters; once fitted, those that it has read."""
        return tuple(self.dims_) if hasattr(self, "dims_") else self._views()

    def save(self, folder: Path) -> None:
        """Write the fitted head into `folder`, made if it is not there: head.json and what it names."""
        check_is_fitted(self)
        folder.mkdir(parents=True, exist_ok=True)
        self._save(folder)
        saving.write_description(
            folder,
            {
                "head": self.name,
                "parameters": {name: to_json(value) for name, value in self.get_params(deep=False).items()},
                "kind": "multilabel" if self.multilabel_ else "single",
                "classes": self.classes_.tolist(),
                "dtypes": [self.classes_.dtype.str, self._dtype.str],
                "counts": self.counts_.tolist(),
                "dims": self.dims_,
                "parameter_count": self.parameter_count_,
                "notes": self.notes_,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The head that `save` wrote. Raises RunDamaged for anything else."""
        content = saving.read_description(folder, cls.name)
        try:
            nested = {parameter.name: parameter.nested for parameter in hyperparameters_of(cls, deep=False)}
            head = cls(**{name: from_json(value, nested[name]) for name, value in content["parameters"].items()})
            check_hyperparameters(head)
            head._describe(content)
        except (KeyError, TypeError, ValueError) as error:
            raise RunDamaged(
                f"{folder / 'head.json'} cannot be used ({error}). Remove the run and fit again."
            ) from error
        head._load(folder)
        head.parameter_count_ = content["parameter_count"]
        return head

    def _describe(self, content: dict[str, Any]) -> None:
        classes, labels = (np.dtype(text) for text in content["dtypes"])
        self.classes_, self._dtype = np.array(content["classes"], dtype=classes), labels
        self.counts_ = np.array(content["counts"], dtype=np.float64)
        if self.counts_.shape != self.classes_.shape:
            raise ValueError(f"{len(self.counts_)} counts for {len(self.classes_)} classes")
        self.multilabel_ = content["kind"] == "multilabel"
        self.dims_ = {str(view): int(dim) for view, dim in content["dims"].items()}
        self.notes_ = tuple(content["notes"])

    def _as_bags(self, X: Any, *, reset: bool = False) -> Bags:
        """X as Bags with the views that this head reads, of the dimensions that it learned from."""
        bags = X if isinstance(X, Bags) else as_bags(validate_data(self, X, reset=reset, dtype=np.float32))
        views = self._available(bags) if reset else self.reads
        for view in views:
            if view not in bags.views:
                kept = f"{self.name} reads {view}, these features keep {', '.join(bags.views)}."
                if view == "token_ids":
                    raise UnknownName(f"{kept} Give it Bags of a store, which holds them always.")
                raise UnknownName(f"{kept} Embed with --keep {view}, or have the head read another view.")
        dims = {view: _dim(bags, view) for view in views}
        if reset:
            self.dims_ = dims
        elif dims != self.dims_:
            raise CallError(
                f"{self.name} learned from {_sizes(self.dims_)}, these are {_sizes(dims)}: another encoder made them."
            )
        return bags

    def _examples(
        self, bags: Bags, labels: NDArray[Any], weight: NDArray[np.float64], groups: NDArray[Any] | None
    ) -> Examples:
        self._dtype = labels.dtype
        self.multilabel_ = labels.ndim == 2
        if self.multilabel_ and not self.supports_multilabel:
            raise CallError(f"{self.name} takes one label a document, these have several. Name another head.")
        self.classes_, y = encode(labels)
        if len(self.classes_) < (1 if self.multilabel_ else 2):
            found = f"one class, {self.classes_[0]}" if len(self.classes_) else "no class"
            raise CallError(f"The documents are of {found}: a classifier needs two.")
        self.counts_ = weight @ y if self.multilabel_ else np.bincount(y, weights=weight).astype(np.float64)
        if not isinstance(self.class_weight, str):
            strange = sorted(str(label) for label in self.class_weight.keys() - set(self.classes_.tolist()))
            if strange:
                self._note(f"class_weight names {', '.join(strange)}, which no training document has.")
        return Examples(bags, y, weight, loss_weights(y, self.class_weight, self.classes_.tolist(), weight), groups)

    def _note(self, sentence: str) -> None:
        self.notes_ = (*self.notes_, sentence)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameter_count_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.supports_multilabel
        return tags

    # what a head's own file says

    def _views(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _available(self, bags: Bags) -> tuple[str, ...]:
        """The views to read of `bags`: a head that can do without some of `_views` overrides this."""
        del bags
        return self._views()

    def _learn(self, examples: Examples) -> None:
        raise NotImplementedError

    def _scores(self, bags: Bags) -> NDArray[Any]:
        raise NotImplementedError

    def _save(self, folder: Path) -> None:
        raise NotImplementedError

    def _load(self, folder: Path) -> None:
        raise NotImplementedError


def _dim(bags: Bags, view: str) -> int:
    shape = bags.view(view).item_shape
    return math.prod(shape) if shape else 0


def _sizes(dims: dict[str, int]) -> str:
    return ", ".join(f"{view} of {dim}" for view, dim in dims.items())
