"""BigBird's sparse attention, made independent of the batch that a window is in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SparseBlocks:
    """BigBird's attention (Zaheer et al. 2020, arXiv 2007.14062): blocks of tokens, the last of them seen by all.

    Which block is the last depends on a batch's padding, so a window's values would depend on its neighbours; and once
    it has met a short batch, transformers attends to everything from then on. So a batch is taken apart here: windows
    up to `full` positions attend to everything, longer ones go with others of as many blocks, each as it would alone.
    """

    block: int
    full: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "SparseBlocks | None":
        """As config.json has it; None where attention is full."""
        if values.get("attention_type", "block_sparse") != "block_sparse":
            return None
        block = int(values.get("block_size", 64))
        return cls(block, (5 + 2 * int(values.get("num_random_blocks", 3))) * block)

    def parts(self, lengths: "torch.Tensor") -> "Iterator[tuple[torch.Tensor, str]]":
        """Rows of windows that may go together, int64 (rows,), and the attention that they take."""
        blocks = (-(-lengths // self.block)).masked_fill(lengths <= self.full, 0)
        for number in sorted(set(blocks.tolist())):
            yield (blocks == number).nonzero()[:, 0], "block_sparse" if number else "original_full"


def together(
    parts: "Sequence[tuple[torch.Tensor, Sequence[torch.Tensor]]]", rows: int, longest: int
) -> "list[torch.Tensor]":
    """The states of parts of a batch in their rows: for each layer a float32 (rows, longest, dim)."""
    whole = [layer.new_zeros(rows, longest, layer.shape[-1]) for layer in parts[0][1]]
    for numbers, layers in parts:
        for layer, states in zip(whole, layers, strict=True):
            layer[numbers, : states.shape[1]] = states
    return whole
