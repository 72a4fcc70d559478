"""A random sample of a corpus's windows, on which an encoder is measured."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stages.embed.batching.budget import create_budget
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Integers, Windows

_MOST_TEXTS = 200


@dataclass(frozen=True)
class Sample:
    """Windows of a sample. rows: int64, the windows to encode, each with at least one position."""

    windows: Windows
    rows: Integers

    def split_into_batches(self, encoder: Encoder) -> Iterator[Integers]:
        """The rows in batches, as `embed` would split them for `encoder`."""
        for batch in create_budget(encoder).split(self.windows.length[self.rows] + encoder.extra_positions):
            yield self.rows[batch]

    @property
    def tokens(self) -> int:
        """The documents' own tokens in the windows to encode."""
        return int(self.windows.length[self.rows].sum())


def draw_sample(texts: Sequence[str], encoder: Encoder, positions: int) -> Sample:
    """Draw windows of at most 200 of `texts`, about `positions` in total; equal arguments give an equal sample."""
    rng = random.Random(0)
    windows = encoder.tokenizer.tokenize(rng.sample(texts, min(_MOST_TEXTS, len(texts))), encoder.windowing)
    lengths = windows.length + encoder.extra_positions
    rows = np.array(rng.sample(range(len(lengths)), len(lengths)), dtype=np.int64)
    rows = rows[lengths[rows] > 0]
    before = np.cumsum(lengths[rows]) - lengths[rows]
    return Sample(windows, rows[before < positions])


def estimate_tokens(texts: Sequence[str], encoder: Encoder) -> int:
    """Estimate the tokens that the encoder reads of `texts`, from the tokens of a few and the characters of all."""
    chosen = random.Random(0).sample(texts, min(_MOST_TEXTS, len(texts)))
    tokens = int(encoder.tokenizer.tokenize(chosen, encoder.windowing).tokens_to_encode.sum())
    return tokens * sum(map(len, texts)) // max(sum(map(len, chosen)), 1)
