"""Class weights: how much a document of each label counts in a loss.

With n_c the documents (or summed sample weights) of label c, n all of them and K the labels that occur:

    none       w_c = 1
    balanced   w_c = n / (K n_c): each label weighs the same in all. King & Zeng 2001, "Logistic Regression in Rare
               Events Data", section 4.2; scikit-learn's "balanced" is the same formula
    effective  w_c ~ (1 - beta) / (1 - beta^n_c), beta = 0.999: new documents of a label overlap with what is known of
               it, so n_c grows to at most 1 / (1 - beta) "effective" ones. Cui et al. 2019, arXiv 1901.05555, eq. 2
    sqrt       w_c ~ 1 / sqrt(n_c): halfway between none and balanced, on the scale of logarithms. Mahajan et al. 2018,
               arXiv 1805.00932, section 2.3, who sample so
    a mapping  w_c ~ as given, 1 for a label that it leaves out

Each is scaled so that the mean over documents is 1 (balanced is so by itself): a learning rate or a strength of
regularisation means the same with and without weights. For several labels a document, each label is a problem of two
classes, absent and present, weighted by the same formulas.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import CallError, UnknownName, suggest_name
from heads.core.hyperparameters import Search

__all__ = ["BETA", "WAYS", "ClassWeight", "class_weights", "loss_weights"]

ClassWeight: TypeAlias = Annotated[Literal["balanced", "none", "effective", "sqrt"] | Mapping[Any, float], Search()]

WAYS = ("balanced", "none", "effective", "sqrt")
BETA = 0.999


def class_weights(
    y: NDArray[Any], how: ClassWeight, classes: Sequence[Any], sample_weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Weights of labels, mean over documents 1; a label without documents has weight 1.

    y: int (documents,), indices into `classes` -> float64 (classes,).
    y: bool (documents, classes) -> float64 (2, classes), the weights of a label's absence and presence; a mapping then
    speaks of presence.

    Raises UnknownName for a `how` that is none of those above, CallError for a weight that is not above 0.
    """
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if y.ndim == 2:
        present = weight @ y
        counts = np.stack([weight.sum() - present, present])
        asked = np.stack([np.ones(len(classes)), _asked(how, classes)])
        return np.column_stack(
            [_scaled(counts[:, column], how, asked[:, column]) for column in range(len(classes))]
        ).reshape(2, len(classes))
    return _scaled(np.bincount(y, weights=weight, minlength=len(classes)), how, _asked(how, classes))


def loss_weights(
    y: NDArray[Any], how: ClassWeight, classes: Sequence[Any], sample_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sample weight times class weight: float64 (documents,), or (documents, labels) where y is a bool matrix."""
    of_class = class_weights(y, how, classes, sample_weight)
    if y.ndim == 2:
        return np.asarray(sample_weight[:, None] * np.where(y, of_class[1], of_class[0]))
    return np.asarray(sample_weight * of_class[y])


def _scaled(counts: NDArray[Any], how: ClassWeight, asked: NDArray[np.float64]) -> NDArray[np.float64]:
    occurs = counts > 0
    safe = np.where(occurs, counts, 1.0)
    if isinstance(how, Mapping):
        weights = asked
    elif how == "balanced":
        weights = 1.0 / safe
    elif how == "sqrt":
        weights = 1.0 / np.sqrt(safe)
    elif how == "effective":
        weights = (1.0 - BETA) / (1.0 - BETA**safe)
    else:
        weights = np.ones(len(counts))
    mean = float(counts @ weights) / float(counts.sum())
    return np.where(occurs, weights / mean, 1.0)


def _asked(how: ClassWeight, classes: Sequence[Any]) -> NDArray[np.float64]:
    if not isinstance(how, Mapping):
        if how not in WAYS:
            raise UnknownName(f"class_weight is {how!r}.{suggest_name(str(how), WAYS)} A mapping of labels also does.")
        return np.ones(len(classes))
    for label, weight in how.items():
        if not (isinstance(weight, int | float | np.number) and 0 < weight < np.inf):
            raise CallError(f"class_weight of {label!r} is {weight!r}; it is a number above 0.")
    return np.array([float(how.get(label, 1.0)) for label in classes], dtype=np.float64)
