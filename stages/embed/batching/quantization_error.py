"""How far int8 moves the vectors of a corpus: measured on its own text, never assumed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.embed.batching.sample import estimate_tokens, sample
from stages.embed.encoder.encoder import Encoder

# a sample takes this share of the work at hand, within these positions
_SHARE = 1 / 32
_LEAST_POSITIONS, _MOST_POSITIONS = 1_024, 16_384


@dataclass(frozen=True)
class Float32Similarity:
    """Of the recipe's precision from float32: the cosine of a window's mean vector with that in float32.

    mean, worst: over `windows` windows, and over the layers kept.
    """

    mean: float
    worst: float
    windows: int

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)

    def sentence(self, precision: str) -> str:
        """What a person should know of it."""
        return (
            f"{precision} moves the vectors: their cosine with float32 is {self.mean:.4f} on average and "
            f"{self.worst:.4f} at worst, over {self.windows:,} windows of this corpus."
        )


def measure_float32_similarity(texts: Sequence[str], encoder: Encoder) -> Float32Similarity | None:
    """How far the mean vectors of a sample of `texts` lie from those in float32; None without a token to read."""
    share = int(estimate_tokens(texts, encoder) * _SHARE)
    tried = sample(texts, encoder, min(max(share, _LEAST_POSITIONS), _MOST_POSITIONS))
    cosines = [np.zeros((0, 1))]
    for rows in tried.batches(encoder):
        near, exact = (
            encoder.encode_batch_with(network, tried.windows, rows)["mean"].reshape(-1, encoder.dim).astype(np.float64)
            for network in (encoder.network, encoder.exact_network)
        )
        norms = np.linalg.norm(near, axis=1) * np.linalg.norm(exact, axis=1)
        cosines.append(((near * exact).sum(1) / np.maximum(norms, np.finfo(float).tiny))[:, None])
    values = np.concatenate(cosines)
    return Float32Similarity(float(values.mean()), float(values.min()), len(tried.rows)) if len(tried.rows) else None
