"""Any head as the local classifier of a hierarchy, or a classifier of scikit-learn."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from data.errors import CallError, RunDamaged
from featurestore import Bags
from heads.core.head import Head
from heads.core.inputs import Examples
from heads.core.saving import read_arrays, row_count, write_arrays
from heads.local_strategies.problems import LocalExamples, Problem
from heads.registry import LOADED_HEADS, STACKING_HEADS, head_class

__all__ = ["LocalHeads", "check_local_head", "find_local_head", "prepare_head"]

SHARES = "shares.safetensors"
HEADS = "heads.safetensors"
SMALLEST = 1e-15  # the probability of a class that a classifier of scikit-learn excludes


@dataclass(frozen=True, eq=False)
class LocalHeads:
    """Fitted classifiers of the problems that have enough documents, and the shares of classes of the others.

    heads: number of the problem -> its classifier.
    log_shares: for each problem, float64 (classes,).
    """

    heads: Mapping[int, Any]
    log_shares: list[NDArray[np.float64]]

    @classmethod
    def fit(
        cls,
        prepare: Callable[[int], Any],
        problems: list[Problem],
        local_examples: list[LocalExamples],
        examples: Examples,
        features: Callable[[], NDArray[np.float32]],
        min_documents: int,
    ) -> "LocalHeads":
        """Fit a classifier for each problem with enough documents, the one with most documents first.

        Args:
            prepare: makes the unfitted classifier of a problem.
            problems: the problems.
            local_examples: the documents of each.
            examples: the documents of all problems.
            features: pooled features of all documents, for classifiers of scikit-learn.
            min_documents: how many documents are enough.

        Raises:
            CallError: a classifier refuses its documents.
        """
        sizes = [each.documents for each in local_examples]
        large = sorted((number for number, size in enumerate(sizes) if size >= min_documents), key=lambda n: -sizes[n])
        heads: dict[int, Any] = {}
        for number in large:
            head, own = prepare(number), local_examples[number]
            try:
                if isinstance(head, Head):
                    heads[number] = _fit_head(head, own, examples)
                else:
                    heads[number] = _fit_classifier(head, own, features())
            except ValueError as error:
                if not heads:
                    raise
                raise CallError(
                    f"The local classifier of '{problems[number].name}' refuses its {sizes[number]} documents: {error} "
                    f"Set min_documents to {sizes[number] + 1} to give its classes their share of these instead."
                ) from error
        return cls(heads, [each.log_shares for each in local_examples])

    def log_probabilities(self, number: int, bags: Bags, features: Callable[[], NDArray[np.float32]]) -> Any:
        """The log-probability of each class of a problem, float64 (documents, classes), or (classes,) for shares."""
        from scipy.special import log_softmax

        if number not in self.heads:
            return self.log_shares[number]
        if isinstance(head := self.heads[number], Head):
            return log_softmax(head.decision_function(replace(bags, tabular=None)).astype(np.float64), axis=1)
        return np.log(np.maximum(head.predict_proba(features()), SMALLEST))

    @property
    def parameter_count(self) -> int:
        """How many numbers the heads have learned; those of classifiers of scikit-learn are not counted."""
        return sum(getattr(head, "parameter_count_", 0) for head in self.heads.values())

    def save(self, folder: Path) -> None:
        """Write the shares, and all files of all heads into one. Raises CallError for classifiers of scikit-learn."""
        files: dict[str, NDArray[np.uint8]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            for number, head in self.heads.items():
                if not isinstance(head, Head):
                    raise CallError(
                        f"{type(head).__name__} cannot be saved without pickle. Use a head of embedonce as local."
                    )
                head.save(Path(scratch))
                for path in sorted(Path(scratch).iterdir()):
                    files[f"{number}/{path.name}"] = np.frombuffer(path.read_bytes(), dtype=np.uint8)
                    path.unlink()
        write_arrays(folder / HEADS, files)
        write_arrays(folder / SHARES, {str(number): shares for number, shares in enumerate(self.log_shares)})

    @classmethod
    def load(cls, folder: Path, kind: type[Head], problems: list[Problem], dims: Mapping[str, int]) -> "LocalHeads":
        """Read what `save` wrote. Raises RunDamaged for heads of another class, or of vectors of other lengths."""
        shapes = {str(number): (len(problem.classes),) for number, problem in enumerate(problems)}
        shares = read_arrays(folder / SHARES, shapes)
        heads: dict[int, Any] = {}
        for number, files in _read_files(folder / HEADS).items():
            with tempfile.TemporaryDirectory() as scratch:
                for name, content in files.items():
                    (Path(scratch) / name).write_bytes(content)
                heads[number] = kind.load(Path(scratch))
            if heads[number].dims_ != dims or len(heads[number].classes_) != len(problems[number].classes):
                raise RunDamaged(f"{folder / HEADS} does not match head.json. Remove the run and fit again.")
        return cls(heads, [shares[name] for name in shapes])


def find_local_head(name: str) -> type[Head]:
    """The class of a head that can be a local classifier. Raises what `check_local_head` and `head_class` raise."""
    kind = head_class(name)
    check_local_head(kind)
    return kind


def check_local_head(kind: type) -> None:
    """Raise CallError for a head that reads other runs or all layers, or has local classifiers itself."""
    name = getattr(kind, "name", "")
    if name in ("cascade", *STACKING_HEADS, *LOADED_HEADS) or getattr(kind, "every_layer", False):
        raise CallError(f"{name} cannot be a local classifier. Choose a head that reads one layer, such as linear.")
    if not issubclass(kind, Head) and not hasattr(kind, "predict_proba"):
        raise CallError(f"{kind.__name__} cannot be a local classifier, because it has no predict_proba.")


def _fit_head(head: Head, own: LocalExamples, examples: Examples) -> Head:
    documents = examples[own.rows]
    return head.fit(
        replace(documents.bags, tabular=None),
        own.y,
        sample_weight=own.sample_weight,
        groups=documents.groups,
        fit_only=documents.fit_only,
    )


def _fit_classifier(classifier: Any, own: LocalExamples, features: NDArray[np.float32]) -> Any:
    if (own.weight == 1).all():
        return classifier.fit(features[own.rows], own.y)
    if not has_fit_parameter(classifier, "sample_weight"):
        raise CallError(f"{type(classifier).__name__} knows no sample weights. Set class_weight to none.")
    return classifier.fit(features[own.rows], own.y, sample_weight=own.weight)


def prepare_head(local: Any, seed: int, class_weight: Any) -> Any:
    """An unfitted copy of a local classifier, with the seed and the class weights if it is a head."""
    copy = clone(local)
    return copy.set_params(seed=seed, class_weight=class_weight) if isinstance(copy, Head) else copy


def _read_files(path: Path) -> dict[int, dict[str, bytes]]:
    """Number of the problem -> the files of its head, by their names."""
    from safetensors import safe_open

    heads: dict[int, dict[str, bytes]] = {}
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
    arrays = read_arrays(path, {name: (row_count(path, name),) for name in names})
    for key, content in arrays.items():
        number, _, name = key.partition("/")
        heads.setdefault(int(number), {})[Path(name).name] = content.tobytes()
    return heads
