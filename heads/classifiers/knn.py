"""Votes of the nearest training documents: nothing is trained, and every prediction can be traced to documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, row_count, write_arrays
from heads.linear_models.standardizer import Standardizer
from heads.linear_models.unit_vectors import class_prior, to_unit_vectors

__all__ = ["KNNHead"]

NEIGHBORS = "neighbors.safetensors"
BLOCK_SIMILARITIES = 16_000_000  # similarities in memory at a time: 64 MB


@dataclass(eq=False, repr=False, kw_only=True)
class KNNHead(PooledHead):
    """Votes of the k nearest training documents by cosine of standardized pooled features; exact, without an index.

    Cover & Hart 1967; votes weighted by similarity as in Wu et al. 2018 (arXiv 1805.01978, section 3.4), the second
    usual measure of frozen features. Documents with equal vectors share their votes. One extra vote, distributed by the
    class prior, keeps every probability above 0.
    """

    name: ClassVar[str] = "knn"

    k: Annotated[
        int,
        Range(1),
        Help("number of nearest documents that vote; a document with sample weight 2 counts as two"),
        Search(3, 100, log=True),
    ] = 20
    weighting: Annotated[
        Literal["uniform", "similarity"], Help("weight of a vote: 1, or exp(cosine / temperature)"), Search()
    ] = "similarity"
    temperature: Annotated[
        float, Range(above=0), Help("temperature of votes weighted by similarity"), Search(0.02, 0.5, log=True)
    ] = 0.1

    def _fit(self, examples: Examples) -> None:
        features = self._features(examples.bags)
        self.standardizer_ = Standardizer.fit(features, examples.sample_weight)
        unit_vectors, labels = to_unit_vectors(features, self.standardizer_), len(self.classes_)
        self.prior_ = class_prior(examples.y, examples.loss_weight, labels)
        # documents with equal vectors are one neighbor: else rounding would decide which of them are among the nearest
        number = _number_equal_rows(unit_vectors)
        self.unit_vectors_ = unit_vectors[np.unique(number, return_index=True)[1]]
        self.sample_weight_ = np.bincount(number, examples.sample_weight)
        # per unit of sample weight, float32: votes for each class (neighbors, labels), and all votes (neighbors, 1), or
        # (neighbors, labels) if multi-label
        weight = examples.loss_weight.reshape(len(examples), -1).astype(np.float32)
        votes = weight * examples.indicator_matrix(labels)
        self.votes_, self.all_votes_ = (
            _sum_by_number(values, number) / self.sample_weight_[:, None].astype(np.float32)
            for values in (votes, weight)
        )
        self.parameter_count_ = self.unit_vectors_.size

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        unit_vectors = to_unit_vectors(self._features(bags), self.standardizer_)
        return np.concatenate([self._vote(*neighbors) for neighbors in self._find_neighbors(unit_vectors)])

    def _find_neighbors(
        self, unit_vectors: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For blocks of documents: rows of enough training documents for k votes, nearest first, and their cosines."""
        import torch

        # in the worst case the nearest documents are those with the smallest weights
        smallest_first = np.sort(self.sample_weight_).cumsum()
        k = min(int(np.searchsorted(smallest_first, self.k)) + 1, len(self.unit_vectors_))
        block = max(BLOCK_SIMILARITIES // max(len(self.unit_vectors_), k * len(self.classes_)), 1)
        for start in range(0, len(unit_vectors), block):
            # a tenth of the time of NumPy's partition, which would not sort them either
            similarities = unit_vectors[start : start + block] @ self.unit_vectors_.T
            cosines, rows = torch.from_numpy(similarities).topk(k, dim=1)
            yield rows.numpy(), cosines.numpy()

    def _vote(self, rows: NDArray[np.int64], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (block, classes): log-probabilities, or log-odds if multi-label."""
        weight = self.sample_weight_[rows]
        weight = np.clip(self.k - (weight.cumsum(axis=1) - weight), 0, weight)  # all weights together are at most k
        votes = weight
        if self.weighting == "similarity":
            votes = weight * np.exp((cosines - cosines[:, :1]).astype(np.float64) / self.temperature)
        class_votes, total = (np.einsum("dk,dkl->dl", votes, each[rows]) for each in (self.votes_, self.all_votes_))
        count = weight.sum(axis=1, keepdims=True)
        share = (count * class_votes / total + self.prior_) / (count + 1)
        return np.asarray(np.log(share) - np.log1p(-share) if self.multilabel_ else np.log(share))

    def _save(self, folder: Path) -> None:
        write_arrays(
            folder / NEIGHBORS,
            {
                "mean": self.standardizer_.mean,
                "deviation": self.standardizer_.deviation,
                "unit_vectors": self.unit_vectors_,
                "sample_weight": self.sample_weight_,
                "votes": self.votes_,
                "all_votes": self.all_votes_,
                "prior": self.prior_,
            },
        )

    def _load(self, folder: Path) -> None:
        labels, dims = len(self.classes_), sum(self.dims_.values())
        neighbors = row_count(folder / NEIGHBORS, "unit_vectors")
        shapes = {
            "mean": (dims,),
            "deviation": (dims,),
            "unit_vectors": (neighbors, dims),
            "sample_weight": (neighbors,),
            "votes": (neighbors, labels),
            "all_votes": (neighbors, labels if self.multilabel_ else 1),
            "prior": (labels,),
        }
        arrays = read_arrays(folder / NEIGHBORS, shapes)
        self.standardizer_ = Standardizer(arrays["mean"], arrays["deviation"])
        self.unit_vectors_, self.sample_weight_ = arrays["unit_vectors"], arrays["sample_weight"]
        self.votes_, self.all_votes_, self.prior_ = arrays["votes"], arrays["all_votes"], arrays["prior"]


def _number_equal_rows(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number distinct vectors in the order of their first rows: int64 (rows,)."""
    numbers: dict[bytes, int] = {}
    digests = (blake2b(row, digest_size=16).digest() for row in np.ascontiguousarray(vectors))
    return np.fromiter((numbers.setdefault(digest, len(numbers)) for digest in digests), np.int64, len(vectors))


def _sum_by_number(values: NDArray[np.float32], number: NDArray[np.int64]) -> NDArray[np.float32]:
    """The sums of the rows with each number, float32 (numbers, columns)."""
    from scipy.sparse import csr_array

    rows = np.arange(len(number))
    return np.asarray(csr_array((np.ones(len(rows), np.float32), (number, rows))) @ values)
