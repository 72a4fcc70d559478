"""Each class is the mean of its documents: what a handful of examples can carry."""

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
from heads.linear_models.logistic import Standardizer
from heads.linear_models.margin_scaling import fit_inverse_temperature
from heads.linear_models.unit_vectors import class_prior, to_unit_vectors

__all__ = ["PrototypeHead"]

PROTOTYPES = "prototypes.safetensors"


@dataclass(eq=False, repr=False, kw_only=True)
class PrototypeHead(PooledHead):
    """Scores from the cosine between a document and the mean direction of each class, over standardised features.

    Prototypical networks without the network (Snell et al. 2017, arXiv 1703.05175), with the cosine and its
    temperature of Gidaris & Komodakis 2018 (arXiv 1804.09458, section 3.2). A class's share in the weighted documents
    is added as a logarithm. For several labels, documents with a label and those without are a class each.
    """

    name: ClassVar[str] = "prototype"

    temperature: Annotated[
        float | None,
        Range(above=0),
        Help("temperature of cosines; none chooses the likeliest one, comparing documents with prototypes of others"),
        Search(choices=(None, 0.02, 0.05, 0.1, 0.2)),
    ] = None

    def _fit(self, examples: Examples) -> None:
        features = self._features(examples.bags)
        self.scaling_ = Standardizer.fit(features, examples.sample_weight)
        known = to_unit_vectors(features, self.scaling_).astype(np.float64)
        truth = examples.indicator_matrix(len(self.classes_))
        sides = [truth, ~truth] if examples.multilabel else [truth]
        sums = [(side * examples.sample_weight[:, None]).T @ known for side in sides]
        self.prototypes_ = np.stack([_unit(each) for each in sums])
        share = class_prior(examples.y, examples.loss_weight, len(self.classes_))
        self.offset_ = np.log(share) - np.log1p(-share) if examples.multilabel else np.log(share)
        self.factor_ = 1 / self.temperature if self.temperature is not None else 0.0
        if self.temperature is None:
            own = np.minimum(examples.sample_weight, 1.0)[:, None]
            left_out = [_without_itself(known, each, own * side) for each, side in zip(sums, sides, strict=True)]
            self.factor_ = fit_inverse_temperature(_evidence(left_out), self.offset_, examples)
        self.parameter_count_ = self.prototypes_.size + self.offset_.size + 1

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        asked = to_unit_vectors(self._features(bags), self.scaling_).astype(np.float64)
        evidence = _evidence([asked @ side.T for side in self.prototypes_])
        return np.asarray(self.factor_ * evidence + self.offset_)

    def _save(self, folder: Path) -> None:
        arrays = {"mean": self.scaling_.mean, "deviation": self.scaling_.deviation, "prototypes": self.prototypes_}
        write_arrays(folder / PROTOTYPES, arrays | {"offset": self.offset_, "factor": np.array([self.factor_])})

    def _load(self, folder: Path) -> None:
        labels, dims = len(self.classes_), sum(self.dims_.values())
        shapes = {"mean": (dims,), "deviation": (dims,), "prototypes": (1 + self.multilabel_, labels, dims)}
        arrays = read_arrays(folder / PROTOTYPES, shapes | {"offset": (labels,), "factor": (1,)})
        self.scaling_ = Standardizer(arrays["mean"], arrays["deviation"])
        self.prototypes_, self.offset_, self.factor_ = (
            arrays["prototypes"],
            arrays["offset"],
            float(arrays["factor"][0]),
        )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def _evidence(cosines: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Cosines with each class; for several labels those with documents of a label, less those with the others."""
    return cosines[0] if len(cosines) == 1 else cosines[0] - cosines[1]


def _without_itself(
    known: NDArray[np.float64], sums: NDArray[np.float64], own: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cosines (documents, classes) with sums from which each document took `own` (documents, classes) of itself."""
    dots = known @ sums.T
    squares = np.square(sums).sum(axis=1) - 2 * own * dots + np.square(own)
    length = np.sqrt(np.maximum(squares, 0))
    return np.asarray(np.where(length > 1e-6, (dots - own) / np.where(length > 1e-6, length, 1.0), 0.0))
