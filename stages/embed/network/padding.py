"""Padding in a batch: a check whether it changes values, and groups of windows in which it cannot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config
from stages.embed.model_files.log_silencing import silence_transformers

if TYPE_CHECKING:
    import torch

# by how much two equal states may differ, relative to the largest value; half precision rounds to about 1 in 256
_TOLERANCE = {"float32": 1e-3}
_HALF_TOLERANCE = 3e-2


def example_batch(config: Config) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return ids of two windows, int64 (2, 4), of which the second has padding, and their lengths, int64 (2,)."""
    import torch

    numbers = [number for number in range(3, 9) if number != config.pad_id]
    ids = torch.tensor([numbers[:4], [*numbers[:2], *[config.pad_id] * 2]])
    return ids.clamp(max=config.vocab_size - 1), torch.tensor([4, 2])


def depends_on_padding(
    network: "Callable[[torch.Tensor, torch.Tensor], Sequence[torch.Tensor]]", config: Config, precision: str
) -> bool:
    """Check whether a window's states depend on the padding behind it, as in networks with convolutions over tokens.

    Args:
        network: Maps ids and lengths to hidden states; the last element is that of the last layer.
        config: The model's config.
        precision: The number type that the network computes in; it decides the tolerance.

    Returns:
        True if the states of a padded window differ from those of the same window alone.

    Raises:
        ModelUnavailable: The network does not accept token ids, or is causal although its config does not say so: its
            first position then contains nothing of a text.
    """
    import torch

    ids, lengths = example_batch(config)
    try:
        with silence_transformers(), torch.inference_mode():
            batch = network(ids, lengths)[-1]
            alone = network(ids[1:, :2], lengths[1:])[-1]
    except Exception as error:  # networks for images or audio raise errors of any type
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{config.folder} cannot be used as a text encoder ({reason}).") from error
    tolerance = _TOLERANCE.get(precision, _HALF_TOLERANCE) * float(alone.abs().max())
    if not config.is_causal and float((batch[0, 0] - alone[0, 0]).abs().max()) <= tolerance * 1e-2:
        raise ModelUnavailable(
            f"{config.folder} is a causal network, which embedonce does not know of the family '{config.family}': its "
            "first position contains nothing of a text. Use an encoder, or another decoder."
        )
    return float((batch[1, :2] - alone[0]).abs().max()) > tolerance


@dataclass(frozen=True)
class PaddingGroups:
    """A rule that groups the windows of a batch so that no value depends on padding.

    Windows of up to `full` positions are one group. A longer window is in the group of its number of blocks. The
    default is one group per length.

    Attributes:
        block: Tokens per block.
        full: The longest window, in positions, that attends to everything.
    """

    block: int = 1
    full: int = 0

    @classmethod
    def for_big_bird(cls, values: Mapping[str, Any]) -> Self | None:
        """Return the rule for BigBird's block attention (Zaheer et al. 2020, arXiv 2007.14062); None if it is full.

        All tokens attend to the last block, and the padding of a batch decides which block is the last. Up to `full`
        positions there are too few blocks to leave any out, and transformers computes full attention. values: the
        content of config.json.
        """
        if values.get("attention_type", "block_sparse") != "block_sparse":
            return None
        block = int(values.get("block_size", 64))
        return cls(block, (5 + 2 * int(values.get("num_random_blocks", 3))) * block)

    def split(self, lengths: "torch.Tensor") -> "Iterator[torch.Tensor]":
        """Yield the rows of each group, int64 (rows,). lengths: int64 (windows,)."""
        blocks = (-(-lengths // self.block)).masked_fill(lengths <= self.full, 0)
        for number in sorted(set(blocks.tolist())):
            yield (blocks == number).nonzero()[:, 0]


def merge_groups(
    groups: "Sequence[tuple[torch.Tensor, Sequence[torch.Tensor]]]", rows: int, longest: int
) -> "list[torch.Tensor]":
    """Put the states of all groups into the rows of their batch.

    Args:
        groups: The rows of each group, int64, and its states: for each layer (rows of the group, its longest, dim).
        rows: Windows of the batch.
        longest: Positions of the batch's longest window.

    Returns:
        For each layer a float32 (rows, longest, dim), zero behind a group's longest window.
    """
    merged = [layer.new_zeros(rows, longest, layer.shape[-1]) for layer in groups[0][1]]
    for group_rows, layers in groups:
        for layer, states in zip(merged, layers, strict=True):
            layer[group_rows, : states.shape[1]] = states
    return merged
