"""An encoder that sleeps for a fixed time per token, for workers of benchmarks/cluster.py: the cores do not matter."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.engine_worker import EmbedFactory

if TYPE_CHECKING:
    import torch

SLOWDOWN = "BENCHMARK_SLOWDOWN"  # of a node: how many times slower its encoder is


@dataclass(frozen=True)
class SleepingNetwork:
    """Vectors (token id, position, 1, 0, ...), after a sleep of `seconds` per token."""

    dim: int
    seconds: float

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Called as any network."""
        import torch

        time.sleep(float(lengths.sum()) * self.seconds * float(os.environ.get(SLOWDOWN, "1")))
        hidden = torch.zeros(*ids.shape, self.dim)
        hidden[..., 0], hidden[..., 1], hidden[..., 2] = ids, torch.arange(ids.shape[1]), 1
        return [hidden]


def with_sleep(encoder: Encoder, seconds: float) -> Encoder:
    """The encoder with a network that sleeps."""
    return replace(encoder, open_network=lambda _: SleepingNetwork(encoder.dim, seconds))


@dataclass(frozen=True, kw_only=True)
class SleepingFactory(EmbedFactory):
    """Opens workers whose encoder sleeps. seconds: per token."""

    seconds: float

    def open_encoder(self) -> Encoder:
        """The encoder of the request, with another network."""
        return with_sleep(super().open_encoder(), self.seconds)
