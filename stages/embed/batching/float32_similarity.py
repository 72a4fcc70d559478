"""The distance of vectors in int8 or half precision to float32, measured on a sample of the corpus itself."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.batching.sample import draw_sample, estimate_tokens
from stages.embed.encoder.encoder import Encoder

# the sample is this share of the corpus, within these limits
_SHARE = 1 / 32
_LEAST_POSITIONS, _MOST_POSITIONS = 1_024, 16_384

MeanVectors = NDArray[np.float32]


@dataclass(frozen=True)
class Float32Similarity:
    """Cosine similarity of the recipe's mean vectors with those of the same windows in float32.

    mean, worst: over `windows` windows and all layers kept.
    """

    mean: float
    worst: float
    windows: int

    def to_json(self) -> dict[str, Any]:
        """The values by name."""
        return asdict(self)

    def describe(self, precision: str) -> str:
        """One sentence for the user."""
        return (
            f"The vectors in {precision} have a cosine similarity with those in float32 of {self.mean:.4f} on average "
            f"and {self.worst:.4f} at worst, over {self.windows:,} windows of this corpus."
        )


def measure_float32_similarity(texts: Sequence[str], encoder: Encoder) -> Float32Similarity | None:
    """Compare the mean vectors of a sample of `texts` with those in float32; None if the texts have no tokens."""
    share = int(estimate_tokens(texts, encoder) * _SHARE)
    sample = draw_sample(texts, encoder, min(max(share, _LEAST_POSITIONS), _MOST_POSITIONS))
    exact_network = encoder.open_network("float32")  # not the encoder's own, which would stay in memory
    pairs = []
    for rows in sample.split_into_batches(encoder):
        exact = encoder.encode_batch_with(exact_network, sample.windows, rows)["mean"]
        pairs.append((encoder.encode_batch(sample.windows, rows)["mean"], exact))
    return compare_mean_vectors(pairs)


def compare_mean_vectors(pairs: Iterable[tuple[MeanVectors, MeanVectors]]) -> Float32Similarity | None:
    """Compare the mean vectors of batches, (windows, dim) or (windows, layers, dim); None if no vector is finite."""
    windows, cosines = 0, [np.zeros(0)]
    for vectors, exact in pairs:
        windows += len(vectors)
        one, other = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (vectors, exact))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines.append((one * other).sum(1) / np.maximum(norms, np.finfo(float).tiny))
    values = np.concatenate(cosines)
    values = values[np.isfinite(values)]  # windows that are not finite in float32 are reported when they are encoded
    return Float32Similarity(float(values.mean()), float(values.min()), windows) if len(values) else None
