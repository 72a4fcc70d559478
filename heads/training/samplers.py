"""Which documents an epoch reads: each one once, or sampled so that rare labels appear more often.

    instance      every document once
    square_root   a label's share of an epoch is sqrt(n_c) / sum of all sqrt(n_j), divided equally among its documents
    balanced      all labels appear equally often, also called class-aware sampling: Kang et al. 2020, arXiv 1910.09217,
                  eq. 1 with q = 0 (instance is q = 1, square_root q = 1/2)
    progressive   from instance in the first epoch to balanced in the last (eq. 2 there)
    weighted      by the weights with which the loss would have been multiplied, and which it then does not use: the
                  expected gradient is the same, so that weighting and sampling can be compared

The probability of a multi-label document is the sum of those of its labels; having no label counts as a label.

Each document is drawn as often as its probability says, rounded up or down (systematic sampling: equal steps through
the cumulative probabilities of documents in random order). Independent draws would add noise, and miss a third of the
documents with an expected count of one.

`EpochBatches` are the batches of a training that several processes may share (data-parallel training).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.row_batches import shuffled_batches

__all__ = ["EpochBatches", "RankBatch", "SamplerName", "sample_documents"]

SamplerName: TypeAlias = Literal["instance", "square_root", "balanced", "progressive", "weighted"]


def sample_documents(
    y: NDArray[Any],
    sampler: SamplerName,
    progress: float,
    rng: np.random.Generator,
    weight: NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """The documents that an epoch reads, as many as there are.

    Args:
        y: int64 (documents,), labels; or bool (documents, labels).
        sampler: one of those above.
        progress: 0 in the first epoch, 1 in the last.
        rng: source of randomness.
        weight: (documents,), for `weighted`.

    Returns:
        int64 rows, in order for `instance` and in random order otherwise.
    """
    if sampler == "instance" or not len(y):
        return np.arange(len(y))
    if sampler == "weighted":
        return _systematic_sample(np.ones(len(y)) if weight is None else weight, rng)
    return _systematic_sample(sampling_probabilities(y, sampler, progress), rng)


class RankBatch(NamedTuple):
    """The share of one process in a batch.

    rows: int64, its documents. is_counted: bool, False for a document that only makes the shares of all processes
    equally large. documents: how many the whole batch has.
    """

    rows: NDArray[np.int64]
    is_counted: NDArray[np.bool_]
    documents: int


@dataclass(frozen=True, eq=False, kw_only=True)
class EpochBatches:
    """The batches of every epoch, of documents of similar length; they depend on the seed and the epoch alone.

    So processes with the same seed draw the same batches without communication. Each reads every `ranks`-th document of
    a batch, all equally many: if the batch cannot be divided, its first document is also read by the others, and not
    counted. With a loss that is the sum over counted documents, divided by the documents of the batch, they learn what
    one process would.

    y: int64 (documents,), labels; or bool (documents, labels). lengths: int64 (documents,). weight: (documents,), for
    the sampler weighted. epochs: of the whole training, for the sampler progressive.
    """

    y: NDArray[Any]
    lengths: NDArray[np.int64]
    batch_size: int
    epochs: int
    sampler: SamplerName = "instance"
    weight: NDArray[Any] | None = None
    seed: int = 0

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return math.ceil(len(self.y) / self.batch_size)

    def of_epoch(self, epoch: int, rank: int = 0, ranks: int = 1) -> Iterator[RankBatch]:
        """The batches of an epoch, counted from 0, for the process `rank` of `ranks`."""
        rng = np.random.default_rng([self.seed, epoch])
        drawn = sample_documents(self.y, self.sampler, epoch / max(self.epochs - 1, 1), rng, self.weight)
        for batch in shuffled_batches(self.lengths[drawn], self.batch_size, rng):
            yield _share(drawn[batch], rank, ranks)


def _share(rows: NDArray[np.int64], rank: int, ranks: int) -> RankBatch:
    share = rows[rank::ranks]
    missing = math.ceil(len(rows) / ranks) - len(share)
    is_counted = np.arange(len(share) + missing) < len(share)
    return RankBatch(np.concatenate([share, rows[:missing]]), is_counted, len(rows))


def sampling_probabilities(y: NDArray[Any], sampler: SamplerName, progress: float) -> NDArray[np.float64]:
    """The relative frequency of each document in an epoch, float64 (documents,), with sum 1."""
    if sampler == "progressive":
        return np.asarray((1 - progress) / len(y) + progress * _power_probabilities(y, 0.0))
    return _power_probabilities(y, 0.5 if sampler == "square_root" else 0.0)


def _power_probabilities(y: NDArray[Any], power: float) -> NDArray[np.float64]:
    if y.ndim == 1:  # without a matrix of documents and labels, which may both be many
        probability = _per_document(np.bincount(y), power)[y]
    else:
        has_label = np.column_stack([y, ~y.any(axis=1)])
        probability = has_label @ _per_document(has_label.sum(axis=0), power)
    return np.asarray(probability / probability.sum())


def _per_document(counts: NDArray[Any], power: float) -> NDArray[np.float64]:
    """The share of each label, in proportion to its documents to this power, divided by these; 0 without any."""
    return np.where(counts > 0, np.maximum(counts, 1) ** (power - 1), 0.0)


def _systematic_sample(probability: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    order = rng.permutation(len(probability))
    ends = np.cumsum(probability[order], dtype=np.float64)
    points = (np.arange(len(probability)) + rng.random()) / len(probability) * ends[-1]
    # rounding may put the last point at the very end
    index = np.minimum(np.searchsorted(ends, points, side="right"), len(probability) - 1)
    return np.asarray(rng.permutation(order[index]))
