"""Class weights: how much a document of each label counts in a loss.

With n_c the number of documents (or sum of sample weights) of label c, n that of all documents, K the labels that
occur:

    none       w_c = 1
    balanced   w_c = n / (K n_c): all labels have the same total weight. King & Zeng 2001, "Logistic Regression in Rare
               Events Data", section 4.2; scikit-learn's "balanced" is the same formula
    effective  w_c ~ (1 - beta) / (1 - beta^n_c), beta = 0.999: new documents of a label overlap with known ones, so
               that n_c counts as at most 1 / (1 - beta) "effective" documents. Cui et al. 2019, arXiv 1901.05555, eq. 2
    sqrt       w_c ~ 1 / sqrt(n_c): halfway between none and balanced on a logarithmic scale. Mahajan et al. 2018, arXiv
               1805.00932, section 2.3, who sample so
    a mapping  w_c ~ the given weight, 1 for labels that are not in it

Weights are scaled so that their mean over documents is 1 (balanced ones already are): a learning rate or a
regularization strength then means the same with and without weights. If documents are multi-label, each label is a
problem of two classes, absent and present, weighted by the same formulas.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import CallError
from heads.core.hyperparameters import Help, Search

__all__ = ["BETA", "CLASS_WEIGHTS", "ClassWeight", "class_weights", "loss_weights"]

_Name = Literal["balanced", "none", "effective", "sqrt"]

ClassWeight: TypeAlias = Annotated[
    _Name | Mapping[Any, float], Help("how much documents of each label count in the loss"), Search()
]

CLASS_WEIGHTS: tuple[str, ...] = get_args(_Name)
BETA = 0.999


def class_weights(
    y: NDArray[Any], class_weight: ClassWeight, classes: Sequence[Any], sample_weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The weight of each label; the mean over documents is 1, and labels without documents have weight 1.

    Args:
        y: int (documents,), indices into `classes`; or bool (documents, classes).
        class_weight: one of those above.
        classes: the labels. A mapping has weights of these, or of their presence if y is a matrix.
        sample_weight: (documents,), or None for 1 each.

    Returns:
        float64 (classes,); or (2, classes) if y is a matrix, the weights of a label's absence and presence.

    Raises:
        CallError: for a weight that is not above 0.
    """
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if y.ndim == 2:
        present = weight @ y
        counts = np.stack([weight.sum() - present, present])
        given = np.stack([np.ones(len(classes)), _given_weights(class_weight, classes)])
        columns = [_scaled_weights(counts[:, at], class_weight, given[:, at]) for at in range(len(classes))]
        return np.column_stack(columns).reshape(2, len(classes))
    counts = np.bincount(y, weights=weight, minlength=len(classes))
    return _scaled_weights(counts, class_weight, _given_weights(class_weight, classes))


def loss_weights(
    y: NDArray[Any], class_weight: ClassWeight, classes: Sequence[Any], sample_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sample weight times class weight: float64 (documents,), or (documents, labels) if y is a bool matrix."""
    weights = class_weights(y, class_weight, classes, sample_weight)
    if y.ndim == 2:
        return np.asarray(sample_weight[:, None] * np.where(y, weights[1], weights[0]))
    return np.asarray(sample_weight * weights[y])


def _scaled_weights(counts: NDArray[Any], class_weight: ClassWeight, given: NDArray[np.float64]) -> NDArray[np.float64]:
    occurs = counts > 0
    safe = np.where(occurs, counts, 1.0)
    if isinstance(class_weight, Mapping):
        weights = given
    elif class_weight == "balanced":
        weights = 1.0 / safe
    elif class_weight == "sqrt":
        weights = 1.0 / np.sqrt(safe)
    elif class_weight == "effective":
        weights = (1.0 - BETA) / -np.expm1(safe * np.log(BETA))  # exact also for a tiny sum of weights
    else:
        weights = np.ones(len(counts))
    mean = float(counts @ weights) / float(counts.sum())
    return np.where(occurs, weights / mean, 1.0)


def _given_weights(class_weight: ClassWeight, classes: Sequence[Any]) -> NDArray[np.float64]:
    """The weights of a mapping, 1 otherwise; that other values are among the choices was checked by `fit`."""
    if not isinstance(class_weight, Mapping):
        return np.ones(len(classes))
    for label, weight in class_weight.items():
        if not (isinstance(weight, int | float | np.number) and 0 < weight < np.inf):
            raise CallError(f"class_weight of {label!r} is {weight!r}. It must be a number above 0.")
    return np.array([float(class_weight.get(label, 1.0)) for label in classes], dtype=np.float64)
