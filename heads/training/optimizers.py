"""Optimizers, the learning rate schedule, the moving average of the weights, and the best epoch."""

import copy
import math
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["BestEpoch", "OptimizerName", "learning_rate_factor", "make_average", "make_optimizer"]

OptimizerName: TypeAlias = Literal["adamw", "adam", "sgd"]

MOMENTUM = 0.9


def make_optimizer(network: nn.Module, name: OptimizerName, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """An optimizer of the parameters of `network`.

    Args:
        network: on the device where it is trained.
        name: adamw (Loshchilov & Hutter 2019), adam (Kingma & Ba 2015) or sgd with Nesterov momentum.
        lr: peak learning rate.
        weight_decay: of matrices; biases and norms have none. adam and sgd add it to the gradient, as an L2 penalty.
    """
    weights = _parameter_groups(network, weight_decay)
    fused = next(network.parameters()).device.type != "mps"
    if name == "sgd":
        return torch.optim.SGD(weights, lr=lr, momentum=MOMENTUM, nesterov=True, fused=fused)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(weights, lr=lr, fused=fused)


def learning_rate_factor(step: int, steps: int, warmup_ratio: float) -> float:
    """The learning rate at `step` of `steps`, divided by its peak: linear warm-up, then cosine decay to 0."""
    rising = warmup_ratio * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def make_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of the weights, to update after each step (Polyak & Juditsky 1992); None for 0."""
    if not decay:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]  # torch


class BestEpoch:
    """The best epoch so far, with a copy of its weights."""

    def __init__(self) -> None:
        self.number = 0
        self.merit = (-math.inf, -math.inf)
        self.weights: dict[str, torch.Tensor] = {}

    def update(self, network: nn.Module, number: int, merit: tuple[float, float]) -> None:
        """Copy the weights of `network` if the merit of this epoch is higher than that of all before."""
        if merit > self.merit:
            self.number, self.merit = number, merit
            self.weights = copy.deepcopy(network.state_dict())

    def restore(self, network: nn.Module) -> None:
        """Load the weights of the best epoch into `network`."""
        network.load_state_dict(self.weights)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    weights = list(network.parameters())
    return [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
