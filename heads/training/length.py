"""How long a network is trained, and in batches of which size, if the user does not say: a budget of work.

The rule: each document is read 20 times, in batches of about the square root of the number of documents; a small corpus
more often, until there are 14 batches per epoch, and a large one less often, so that at most 1,000,000 documents and
2,000,000 positions are read, but each document at least 4 times.

So work grows with the corpus up to a limit, and no document is read hundreds of times. How the numbers were chosen is
described in docs/explanation/training-defaults.md.
"""

import math
from dataclasses import dataclass
from typing import Self

from heads.training.config import Optimization

__all__ = ["TrainingLength"]

EPOCHS = (4, 20)
DOCUMENTS = 1_000_000
POSITIONS = 2_000_000
BATCH_SIZES = (16, 512)


@dataclass(frozen=True)
class TrainingLength:
    """How long a network is trained at most.

    passes: how often an epoch reads each document. batch_size: documents per batch. steps: batches of all epochs.
    """

    epochs: int
    passes: int
    batch_size: int
    steps: int

    @classmethod
    def of(cls, options: Optimization, documents: int, positions: int) -> Self:
        """The values that `options` sets, and those of the rule for the others.

        Args:
            options: the hyperparameters.
            documents: how many are fitted on.
            positions: how many the network reads of all of them together.
        """
        batch_size = options.batch_size or _batch_size(documents)
        batches = math.ceil(documents / batch_size)
        passes = math.ceil(options.min_steps / batches)
        affordable = min(DOCUMENTS // documents, POSITIONS // positions) // passes
        epochs = options.epochs or min(max(affordable, EPOCHS[0]), EPOCHS[1])
        return cls(epochs, passes, batch_size, epochs * passes * batches)


def _batch_size(documents: int) -> int:
    """The power of two that is closest to the square root of the number of documents, as exponents go."""
    return min(max(1 << round(math.log2(documents) / 2), BATCH_SIZES[0]), BATCH_SIZES[1])
