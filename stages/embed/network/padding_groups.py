"""Networks whose values would depend on a batch's padding: which windows may go together, so that they do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PaddingGroups:
    """Windows of up to `full` positions go together; longer ones only with others of as many blocks of `block`.

    With a block of 1 and full at 0, only windows of one length go together.
    """

    block: int = 1
    full: int = 0

    @classmethod
    def of_big_bird(cls, values: Mapping[str, Any]) -> Self | None:
        """For BigBird's attention over blocks of tokens (Zaheer et al. 2020, arXiv 2007.14062); None where it is full.

        All tokens see the last block, and which that is depends on a batch's padding. Up to `full` positions there are
        too few blocks to leave any out, and transformers attends to everything. values: those of config.json.
        """
        if values.get("attention_type", "block_sparse") != "block_sparse":
            return None
        block = int(values.get("block_size", 64))
        return cls(block, (5 + 2 * int(values.get("num_random_blocks", 3))) * block)

    def parts(self, lengths: "torch.Tensor") -> "Iterator[torch.Tensor]":
        """Rows of windows that may go together, int64 (rows,). lengths: int64 (windows,)."""
        blocks = (-(-lengths // self.block)).masked_fill(lengths <= self.full, 0)
        for number in sorted(set(blocks.tolist())):
            yield (blocks == number).nonzero()[:, 0]


def together(
    parts: "Sequence[tuple[torch.Tensor, Sequence[torch.Tensor]]]", rows: int, longest: int
) -> "list[torch.Tensor]":
    """The states of parts of a batch in their rows: for each layer a float32 (rows, longest, dim)."""
    whole = [layer.new_zeros(rows, longest, layer.shape[-1]) for layer in parts[0][1]]
    for numbers, layers in parts:
        for layer, states in zip(whole, layers, strict=True):
            layer[numbers, : states.shape[1]] = states
    return whole
