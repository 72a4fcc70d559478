"""The nearest training documents vote: no training, and every answer can be looked up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, row_count, write_arrays
from heads.linear_models.logistic import Standardizer
from heads.linear_models.unit_vectors import class_prior, to_unit_vectors

__all__ = ["KNNHead"]

NEIGHBOURS = "neighbours.safetensors"
# similarities that are held at a time: 64 MB
SIMILARITIES = 16_000_000


@dataclass(eq=False, repr=False, kw_only=True)
class KNNHead(PooledHead):
    """Votes of the k nearest training documents by cosine of standardised pooled features; exact, without an index.

    Cover & Hart 1967; votes by similarity as in Wu et al. 2018 (arXiv 1805.01978, section 3.4), the usual second
    measure of frozen features. One more vote, in the shares of the classes, makes every probability a little above 0.
    """

    name: ClassVar[str] = "knn"

    k: Annotated[
        int,
        Range(1),
        Help("nearest documents that vote; one of sample weight 2 takes two of the places"),
        Search(3, 100, log=True),
    ] = 20
    weighting: Annotated[
        Literal["uniform", "similarity"], Help("each vote alike, or by exp(cosine / temperature)"), Search()
    ] = "similarity"
    temperature: Annotated[float, Range(above=0), Help("of votes by similarity"), Search(0.02, 0.5, log=True)] = 0.1

    def _fit(self, examples: Examples) -> None:
        features = self._features(examples.bags)
        self.scaling_ = Standardizer.fit(features, examples.sample_weight)
        self.known_ = to_unit_vectors(features, self.scaling_)
        self.places_ = examples.sample_weight
        labels = len(self.classes_)
        self.prior_ = class_prior(examples.y, examples.loss_weight, labels)
        self.truth_ = examples.indicator_matrix(labels)
        # how much a place's vote counts, (documents, 1), or (documents, labels) for several labels
        self.weight_ = examples.loss_weight.reshape(len(examples), -1) / examples.sample_weight[:, None]
        self.parameter_count_ = self.known_.size

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        asked = to_unit_vectors(self._features(bags), self.scaling_)
        return np.concatenate([self._votes(*found) for found in self._nearest(asked)])

    def _nearest(self, asked: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For blocks of documents: rows of those near enough for k places, nearest first, and their cosines."""
        import torch

        # the lightest documents fill k places last
        k = min(int(np.searchsorted(np.sort(self.places_).cumsum(), self.k)) + 1, len(self.known_))
        block = max(SIMILARITIES // max(len(self.known_), k * len(self.classes_)), 1)
        for start in range(0, len(asked), block):
            # a tenth of the time of NumPy's partition, which would not sort them either
            near, rows = torch.from_numpy(asked[start : start + block] @ self.known_.T).topk(k, dim=1)
            yield rows.numpy(), near.numpy()

    def _votes(self, rows: NDArray[np.int64], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (block, classes): log-probabilities, or log-odds where a document may have several labels."""
        places = self.places_[rows]
        places = np.clip(self.k - (places.cumsum(axis=1) - places), 0, places)
        votes = places
        if self.weighting == "similarity":
            votes = places * np.exp((cosines - cosines[:, :1]).astype(np.float64) / self.temperature)
        weighted = votes[:, :, None] * self.weight_[rows]
        of_class = (weighted * self.truth_[rows]).sum(axis=1)
        total = weighted.sum(axis=1) if self.multilabel_ else of_class.sum(axis=1, keepdims=True)
        count = places.sum(axis=1, keepdims=True)
        share = (count * of_class / total + self.prior_) / (count + 1)
        return np.asarray(np.log(share) - np.log1p(-share) if self.multilabel_ else np.log(share))

    def _save(self, folder: Path) -> None:
        write_arrays(
            folder / NEIGHBOURS,
            {
                "mean": self.scaling_.mean,
                "deviation": self.scaling_.deviation,
                "known": self.known_,
                "places": self.places_,
                "truth": self.truth_,
                "weight": self.weight_,
                "prior": self.prior_,
            },
        )

    def _load(self, folder: Path) -> None:
        labels, dims = len(self.classes_), sum(self.dims_.values())
        documents = row_count(folder / NEIGHBOURS, "known")
        shapes = {"mean": (dims,), "deviation": (dims,), "known": (documents, dims), "places": (documents,)}
        weights = labels if self.multilabel_ else 1
        matrices = {"truth": (documents, labels), "weight": (documents, weights), "prior": (labels,)}
        arrays = read_arrays(folder / NEIGHBOURS, shapes | matrices)
        self.scaling_ = Standardizer(arrays["mean"], arrays["deviation"])
        self.known_, self.places_, self.prior_ = arrays["known"], arrays["places"], arrays["prior"]
        self.truth_, self.weight_ = arrays["truth"], arrays["weight"]
