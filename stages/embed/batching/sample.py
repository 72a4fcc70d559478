"""A few windows of a corpus's own text, to try an encoder on."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stages.embed.batching.budget import create_budget
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Integers, Windows

_TEXTS = 200


@dataclass(frozen=True)
class Sample:
    """Windows, and the rows of those that are tried: int64, each with a position at least."""

    windows: Windows
    rows: Integers

    def batches(self, encoder: Encoder) -> Iterator[Integers]:
        """The rows, in batches as `embed` makes them."""
        for batch in create_budget(encoder).batches(self.windows.length[self.rows] + encoder.extra_positions):
            yield self.rows[batch]

    @property
    def tokens(self) -> int:
        """The documents' own tokens in the windows tried."""
        return int(self.windows.length[self.rows].sum())


def sample(texts: Sequence[str], encoder: Encoder, positions: int) -> Sample:
    """Windows of at most 200 of `texts`, at random but the same each time, of about so many positions together."""
    chance = random.Random(0)
    windows = encoder.tokenizer.tokenize(chance.sample(texts, min(_TEXTS, len(texts))), encoder.windowing)
    lengths = windows.length + encoder.extra_positions
    rows = np.array(chance.sample(range(len(lengths)), len(lengths)), dtype=np.int64)
    rows = rows[lengths[rows] > 0]
    before = np.cumsum(lengths[rows]) - lengths[rows]
    return Sample(windows, rows[before < positions])


def estimate_tokens(texts: Sequence[str], encoder: Encoder) -> int:
    """About how many tokens the encoder would read of `texts`, by the tokens of a few and the characters of all."""
    chosen = random.Random(0).sample(texts, min(_TEXTS, len(texts)))
    work = int(encoder.tokenizer.tokenize(chosen, encoder.windowing).tokens_to_encode.sum())
    return work * sum(map(len, texts)) // max(sum(map(len, chosen)), 1)
