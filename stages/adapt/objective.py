"""What a method has to provide for training, and what all methods share: padding, and batches in random order.

mlm          masked words from their context (masked_token_objective.py)
tsdae        a window from the vector of the same window with words deleted (sentence_objectives.py)
simcse       recognizing a window under another dropout mask, among others (sentence_objectives.py)
supervised   similar vectors for documents that share labels (label_objective.py)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.adapt.windows import TrainingWindows

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

Integers = NDArray[np.int64]
# batch size and generator -> one epoch of batches, each the numbers of some training windows
Epoch = Callable[[int, np.random.Generator], Iterator[Integers]]
Collate = Callable[[Sequence[int], np.random.Generator], dict[str, Any]]

_SORTED_BATCHES = 50  # whose windows are sorted by length, so that little of a batch is padding


@dataclass(frozen=True)
class Objective:
    """A loss on training windows.

    Attributes:
        network: Called with what `collate` returns, it returns {"loss": a scalar tensor}.
        encoder: The encoder in it, whose parameters are adapted.
        saved: What is saved: the encoder, perhaps with its own head.
        collate: The numbers of a batch and a generator -> the arguments of `network`, tensors on the CPU.
        logits_per_position: How many numbers the loss has at each position; None if it compares the windows of a batch,
            so that these have to be read together.
    """

    network: "nn.Module"
    encoder: "PreTrainedModel"
    saved: "PreTrainedModel"
    collate: Collate
    logits_per_position: float | None = None


def pad_windows(rows: Sequence[Integers], windows: TrainingWindows) -> dict[str, torch.Tensor]:
    """Add special tokens and padding.

    Args:
        rows: The token ids of some windows, without special tokens.
        windows: Has the special tokens and the prefix.

    Returns:
        "input_ids", int64 (rows, longest), and "attention_mask", int64 of the same shape, 1 for a token.
    """
    framed = [np.concatenate([windows.opening, ids, windows.closing]).astype(np.int64) for ids in rows]
    ids = np.full((len(framed), max(map(len, framed))), windows.pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, content in enumerate(framed):
        ids[row, : len(content)], mask[row, : len(content)] = content, 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def batches_of_similar_length(lengths: Integers) -> Epoch:
    """Every window once per epoch, in batches of windows of similar length. lengths: int64 (windows,)."""

    def epoch(batch_size: int, rng: np.random.Generator) -> Iterator[Integers]:
        order, batches = rng.permutation(len(lengths)), []
        for first in range(0, len(order), batch_size * _SORTED_BATCHES):
            block = order[first : first + batch_size * _SORTED_BATCHES]
            block = block[np.argsort(lengths[block], kind="stable")]
            batches += [block[start : start + batch_size] for start in range(0, len(block), batch_size)]
        return (batches[row] for row in rng.permutation(len(batches)).tolist())

    return epoch


def random_batches(count: int, least: int) -> Epoch:
    """Every window once per epoch, in random batches; a last batch of fewer than `least` windows is left out."""

    def epoch(batch_size: int, rng: np.random.Generator) -> Iterator[Integers]:
        order = rng.permutation(count)
        batches = (order[first : first + batch_size] for first in range(0, count, batch_size))
        return (batch for batch in batches if len(batch) >= least)

    return epoch
