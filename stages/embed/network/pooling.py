"""Pooling: from the hidden states of a batch to the vectors that a store keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pooling:
    """Which vectors are kept of a batch of windows.

    Attributes:
        keep: Names, of "cls", "mean", "max", "segments" and "tokens".
        segment: Tokens per segment.
        first_token: Positions in front of a window's own tokens: special tokens and the prefix.
        extra_positions: Positions of a window that are not its own tokens.
        causal: Whether a position attends to nothing behind it; "cls" is then the last position.
    """

    keep: tuple[str, ...]
    segment: int
    first_token: int
    extra_positions: int
    causal: bool = False

    def pool(self, hidden: "torch.Tensor", lengths: "torch.Tensor") -> "Mapping[str, torch.Tensor]":
        """Pool the hidden states of one layer.

        "cls" is the first position. In a causal encoder the first position has seen only itself, so "cls" is the last
        one, as in the `lasttoken` pooling of sentence-transformers. "mean" and "max" are over all positions, special
        tokens and prefix included, as sentence-transformers pools.

        Args:
            hidden: float32 (windows, longest, dim).
            lengths: int64 (windows,) on the CPU, the positions of each window, at least one. Because they are on the
                CPU, nothing here waits for the device.

        Returns:
            float32 arrays by name, on the device of `hidden`: "cls", "mean" and "max" of shape (windows, dim),
            "segments" (segments, dim) and "tokens" (tokens, dim), window after window. "mean" is always included.
        """
        import torch

        longest, device_lengths = hidden.shape[1], move_to(lengths, hidden.device)
        positions = torch.arange(longest, device=hidden.device)
        inside = positions < device_lengths[:, None]
        pooled = {"mean": torch.bmm((inside / device_lengths[:, None].to(hidden.dtype))[:, None], hidden)[:, 0]}
        if "cls" in self.keep:
            last = torch.arange(len(hidden), device=hidden.device), device_lengths - 1
            pooled["cls"] = hidden[last] if self.causal else hidden[:, 0]
        if "max" in self.keep:
            unpadded = bool((lengths == longest).all())
            pooled["max"] = (hidden if unpadded else hidden.masked_fill(~inside[..., None], -torch.inf)).amax(1)
        hidden, tokens = hidden[:, self.first_token :], lengths - self.extra_positions
        if "segments" in self.keep:
            device_tokens = device_lengths - self.extra_positions
            pooled["segments"] = self._segments(hidden, tokens, device_tokens, pooled["mean"])
        if "tokens" in self.keep:
            mask = torch.arange(hidden.shape[1]) < tokens[:, None]
            pooled["tokens"] = hidden.flatten(0, 1)[_flat_indices(mask, hidden)]
        return pooled

    def vector_counts(self, name: str, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many vectors called `name` each window has. tokens: int64 (windows,), the window's own tokens."""
        if name == "tokens":
            return tokens
        return np.maximum(-(-tokens // self.segment), 1) if name == "segments" else np.ones_like(tokens)

    def _segments(
        self, hidden: "torch.Tensor", tokens: "torch.Tensor", device_tokens: "torch.Tensor", mean: "torch.Tensor"
    ) -> "torch.Tensor":
        """Average every `segment` tokens; a window without tokens has the mean of its special tokens.

        tokens: int64 (windows,), each window's own tokens, on the CPU; device_tokens: the same on the device.
        """
        import torch

        windows, longest, dim = hidden.shape
        most = max(-(-longest // self.segment), 1)
        outside = torch.arange(longest, device=hidden.device) >= device_tokens[:, None]
        filled = hidden.new_zeros(windows, most * self.segment, dim)
        filled[:, :longest] = hidden.masked_fill(outside[..., None], 0)
        sums = filled.view(windows, most, self.segment, dim).sum(2)
        starts = self.segment * torch.arange(most)
        counts = (device_tokens[:, None] - move_to(starts, hidden.device)).clamp(1, self.segment)
        vectors = sums / counts[..., None]
        vectors[:, 0] = torch.where(device_tokens[:, None] == 0, mean, vectors[:, 0])
        return vectors.flatten(0, 1)[_flat_indices(starts < tokens.clamp(min=1)[:, None], hidden)]


def _flat_indices(mask: "torch.Tensor", hidden: "torch.Tensor") -> "torch.Tensor":
    """Return the flat indices at which `mask`, on the CPU, is true: int64 on the device of `hidden`."""
    return move_to(mask.flatten().nonzero()[:, 0], hidden.device)


def move_to(values: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Copy a tensor from the CPU to a device, without waiting for the device's earlier work."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def stack_layers(layers: "Sequence[Mapping[str, torch.Tensor]]") -> dict[str, NDArray[np.float32]]:
    """Stack the arrays of several layers to (rows, layers, dim); those of one layer stay (rows, dim)."""
    import torch

    if len(layers) == 1:
        return {name: array.cpu().numpy() for name, array in layers[0].items()}
    return {name: torch.stack([layer[name] for layer in layers], 1).cpu().numpy() for name in layers[0]}
