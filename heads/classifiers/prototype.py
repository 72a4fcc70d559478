"""Nearest class prototypes: each class is the mean of its documents, which works with a handful of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.margin_scaling import fit_inverse_temperature
from heads.linear_models.standardizer import Standardizer
from heads.linear_models.unit_vectors import class_prior, to_unit_vectors

__all__ = ["PrototypeHead"]

PROTOTYPES = "prototypes.safetensors"


@dataclass(eq=False, repr=False, kw_only=True)
class PrototypeHead(PooledHead):
    """Scores from the cosine between a document and the mean unit vector of each class, on standardized features.

    Prototypical networks without the network (Snell et al. 2017, arXiv 1703.05175), with the cosine and its temperature
    from Gidaris & Komodakis 2018 (arXiv 1804.09458, section 3.2). The log of the class prior is added. For multi-label
    targets, each label has one prototype for its presence and one for its absence.
    """

    name: ClassVar[str] = "prototype"

    temperature: Annotated[
        float | None,
        Range(above=0),
        Help("temperature of the cosines; none selects it by the log loss of leave-one-out prototypes"),
        Search(choices=(None, 0.02, 0.05, 0.1, 0.2)),
    ] = None

    def _fit(self, examples: Examples) -> None:
        features = self._features(examples.bags)
        self.standardizer_ = Standardizer.fit(features, examples.sample_weight)
        unit_vectors = to_unit_vectors(features, self.standardizer_).astype(np.float64)
        truth = examples.indicator_matrix(len(self.classes_))
        memberships = [truth, ~truth] if examples.multilabel else [truth]
        sums = [(members * examples.sample_weight[:, None]).T @ unit_vectors for members in memberships]
        self.prototypes_ = np.stack([_normalize(vectors) for vectors in sums])
        prior = class_prior(examples.y, examples.loss_weight, len(self.classes_))
        self.offset_ = np.log(prior) - np.log1p(-prior) if examples.multilabel else np.log(prior)
        self.factor_ = 1 / self.temperature if self.temperature is not None else 0.0
        if self.temperature is None:
            own_weight = np.minimum(examples.sample_weight, 1.0)[:, None]
            loo_cosines = [
                _leave_one_out_cosines(unit_vectors, vectors, own_weight * members)
                for vectors, members in zip(sums, memberships, strict=True)
            ]
            self.factor_ = fit_inverse_temperature(_margins(loo_cosines), self.offset_, examples)
        self.parameter_count_ = self.prototypes_.size + self.offset_.size + 1

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        unit_vectors = to_unit_vectors(self._features(bags), self.standardizer_).astype(np.float64)
        margins = _margins([unit_vectors @ prototypes.T for prototypes in self.prototypes_])
        return np.asarray(self.factor_ * margins + self.offset_)

    def _save(self, folder: Path) -> None:
        arrays = vars(self.standardizer_) | {"prototypes": self.prototypes_}
        write_arrays(folder / PROTOTYPES, arrays | {"offset": self.offset_, "factor": np.array([self.factor_])})

    def _load(self, folder: Path) -> None:
        labels, dims = len(self.classes_), sum(self.dims_.values())
        shapes = {"mean": (dims,), "deviation": (dims,), "prototypes": (1 + self.multilabel_, labels, dims)}
        arrays = read_arrays(folder / PROTOTYPES, shapes | {"offset": (labels,), "factor": (1,)})
        self.standardizer_ = Standardizer(arrays["mean"], arrays["deviation"])
        self.prototypes_, self.offset_ = arrays["prototypes"], arrays["offset"]
        self.factor_ = float(arrays["factor"][0])


def _normalize(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def _margins(cosines: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Cosines with each class; if multi-label, the cosine with the presence minus that with the absence of a label."""
    return cosines[0] if len(cosines) == 1 else cosines[0] - cosines[1]


def _leave_one_out_cosines(
    unit_vectors: NDArray[np.float64], sums: NDArray[np.float64], own_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cosines (documents, classes) with class sums from which each document's own vector is subtracted.

    own_weight: (documents, classes), the weight of the document in the sum; 0 for classes that it is not part of.
    """
    dots = unit_vectors @ sums.T
    squares = np.square(sums).sum(axis=1) - 2 * own_weight * dots + np.square(own_weight)
    length = np.sqrt(np.maximum(squares, 0))
    return np.asarray(np.where(length > 1e-6, (dots - own_weight) / np.where(length > 1e-6, length, 1.0), 0.0))
