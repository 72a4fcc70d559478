"""Hidden states to what is kept: cls, mean, max, segments and tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pooling:
    """What to keep of a batch of windows.

    keep: what is kept, of "cls", "mean", "max", "segments", "tokens". segment: tokens per segment.
    first_token: positions before a window's own tokens (special tokens and the prefix). extra_positions: positions of a
    window that are not its own tokens. causal: whether a position attends to nothing behind it; "cls" is then the last
    position.
    """

    keep: tuple[str, ...]
    segment: int
    first_token: int
    extra_positions: int
    causal: bool = False

    def pool(self, hidden: "torch.Tensor", lengths: "torch.Tensor") -> "Mapping[str, torch.Tensor]":
        """One layer, pooled.

        hidden: float32 (windows, longest, dim). lengths: int64 (windows,), positions of each window, at least one, on
        the cpu: so nothing here waits for the device.
        Gives float32 "cls", "mean", "max": (windows, dim); "segments": (segments, dim) and "tokens": (tokens, dim), the
        windows' own, one window after another. cls is the first position, and of a causal encoder the last (as
        sentence-transformers' lasttoken): its first has read nothing but itself. mean and max are over all positions,
        special tokens and prefix included, as sentence-transformers pools. "mean" is given whether it is kept or not.
        """
        import torch

        longest, there = hidden.shape[1], on(lengths, hidden.device)
        places = torch.arange(longest, device=hidden.device)
        inside = places < there[:, None]
        pooled = {"mean": torch.bmm((inside / there[:, None].to(hidden.dtype))[:, None], hidden)[:, 0]}
        if "cls" in self.keep:
            last = torch.arange(len(hidden), device=hidden.device), there - 1
            pooled["cls"] = hidden[last] if self.causal else hidden[:, 0]
        if "max" in self.keep:
            whole = bool((lengths == longest).all())
            pooled["max"] = (hidden if whole else hidden.masked_fill(~inside[..., None], -torch.inf)).amax(1)
        hidden, own = hidden[:, self.first_token :], lengths - self.extra_positions
        if "segments" in self.keep:
            pooled["segments"] = self._segments(hidden, own, there - self.extra_positions, pooled["mean"])
        if "tokens" in self.keep:
            pooled["tokens"] = hidden.flatten(0, 1)[_places(torch.arange(hidden.shape[1]) < own[:, None], hidden)]
        return pooled

    def vector_counts(self, name: str, own: NDArray[np.int64]) -> NDArray[np.int64]:
        """Vectors called `name` of windows that have so many tokens of their own."""
        if name == "tokens":
            return own
        return np.maximum(-(-own // self.segment), 1) if name == "segments" else np.ones_like(own)

    def _segments(
        self, hidden: "torch.Tensor", own: "torch.Tensor", there: "torch.Tensor", mean: "torch.Tensor"
    ) -> "torch.Tensor":
        """The mean of every `segment` tokens; an empty window has the mean of its special tokens.

        own: tokens of each window, int64 (windows,), and `there` on the device of `hidden`.
        """
        import torch

        windows, longest, dim = hidden.shape
        most = max(-(-longest // self.segment), 1)
        outside = torch.arange(longest, device=hidden.device) >= there[:, None]
        filled = hidden.new_zeros(windows, most * self.segment, dim)
        filled[:, :longest] = hidden.masked_fill(outside[..., None], 0)
        sums = filled.view(windows, most, self.segment, dim).sum(2)
        starts = self.segment * torch.arange(most)
        counts = (there[:, None] - on(starts, hidden.device)).clamp(1, self.segment)
        vectors = sums / counts[..., None]
        vectors[:, 0] = torch.where(there[:, None] == 0, mean, vectors[:, 0])
        return vectors.flatten(0, 1)[_places(starts < own.clamp(min=1)[:, None], hidden)]


def _places(kept: "torch.Tensor", hidden: "torch.Tensor") -> "torch.Tensor":
    """Where `kept`, on the cpu, is true, counted through: int64 on the device of `hidden`."""
    return on(kept.flatten().nonzero()[:, 0], hidden.device)


def on(values: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """`values` of the cpu on a device, without waiting for what that device was given before."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def stack_layers(layers: "Sequence[Mapping[str, torch.Tensor]]") -> dict[str, NDArray[np.float32]]:
    """The arrays of several layers side by side, (rows, layers, dim); of one layer as they are, (rows, dim)."""
    import torch

    if len(layers) == 1:
        return {name: array.cpu().numpy() for name, array in layers[0].items()}
    return {name: torch.stack([layer[name] for layer in layers], 1).cpu().numpy() for name in layers[0]}
