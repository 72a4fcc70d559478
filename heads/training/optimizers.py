"""What moves a network's weights, and which of them are kept: optimiser, learning rate, average, best epoch."""

import copy
import math
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["Best", "OptimiserName", "averaged", "optimiser_of", "rate"]

OptimiserName: TypeAlias = Literal["adamw", "adam", "sgd"]

MOMENTUM = 0.9


def optimiser_of(network: nn.Module, name: OptimiserName, lr: float, decay: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), Adam (Kingma & Ba 2015) or gradient descent with Nesterov's momentum.

    decay: of matrices; biases and norms are left alone. adam and sgd add it to the gradient, as an L2 penalty.
    """
    weights = _decayed(network, decay)
    fused = next(network.parameters()).device.type != "mps"
    if name == "sgd":
        return torch.optim.SGD(weights, lr=lr, momentum=MOMENTUM, nesterov=True, fused=fused)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(weights, lr=lr, fused=fused)


def rate(step: int, steps: int, warmup: float) -> float:
    """The learning rate at `step` of `steps` as a share of the highest: a line up, then half a cosine down to 0."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def averaged(network: nn.Module, decay: float) -> AveragedModel | None:
    """Its weights' moving average, to be updated after each step (Polyak & Juditsky 1992); None for a decay of 0."""
    if not decay:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]  # torch


class Best:
    """The best epoch so far and a copy of its weights."""

    def __init__(self) -> None:
        self.number = 0
        self.merit = (-math.inf, -math.inf)
        self.weights: dict[str, torch.Tensor] = {}

    def see(self, network: nn.Module, number: int, merit: tuple[float, float]) -> None:
        """An epoch's weights and its merit, of which more is better."""
        if merit > self.merit:
            self.number, self.merit = number, merit
            self.weights = copy.deepcopy(network.state_dict())

    def restore(self, network: nn.Module) -> None:
        """Give `network` the best epoch's weights."""
        network.load_state_dict(self.weights)


def _decayed(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    weights = list(network.parameters())
    return [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
