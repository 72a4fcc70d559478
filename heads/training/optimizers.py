"""Optimizers, the learning rate schedule, the moving average of the weights, and the best epoch."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["BestEpoch", "Optimizer", "OptimizerName", "learning_rate_factor", "make_average"]

OptimizerName: TypeAlias = Literal["adamw", "adam", "sgd"]

MOMENTUM = 0.9
BETAS, EPSILON = (0.9, 0.999), 1e-8


class Optimizer:
    """AdamW, Adam or SGD, with a learning rate that changes with each step.

    It calls the functions of torch.optim, whose classes give the same weights, but import torch's compiler: in each
    process that trains, that takes as long as importing torch itself.
    """

    def __init__(
        self,
        network: nn.Module,
        name: OptimizerName,
        lr: float,
        weight_decay: float,
        schedule: Callable[[int], float] = lambda _: 1.0,
    ) -> None:
        """An optimizer of the weights of `network`.

        Args:
            network: on the device where it is trained.
            name: adamw (Loshchilov & Hutter 2019), adam (Kingma & Ba 2015) or sgd with Nesterov momentum.
            lr: peak learning rate.
            weight_decay: of matrices; biases and norms have none. adam and sgd add it to the gradient, an L2 penalty.
            schedule: number of a step, from 0 -> its learning rate, divided by `lr`.
        """
        self.steps = 0
        self._name, self._lr, self._schedule = name, lr, schedule
        self._weights = list(network.parameters())
        self._decay = [weight_decay if weight.dim() > 1 else 0.0 for weight in self._weights]
        self._fused = self._weights[0].device.type != "mps"
        self._moments = [self._zeros(weight) for weight in self._weights]

    def _zeros(self, weight: nn.Parameter) -> dict[str, torch.Tensor]:
        if self._name == "sgd":
            return {"momentum": torch.zeros_like(weight)}
        # each weight counts its own steps, because one without a gradient takes none
        steps = torch.zeros((), device=weight.device if self._fused else "cpu")
        return {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight), "steps": steps}

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights along their gradients, and clear these."""
        for decay in dict.fromkeys(self._decay):
            rows = [row for row, own in enumerate(self._decay) if own == decay and self._weights[row].grad is not None]
            if rows:
                self._change(rows, self._lr * self._schedule(self.steps), decay)
        for weight in self._weights:
            weight.grad = None
        self.steps += 1

    def _change(self, rows: list[int], lr: float, decay: float) -> None:
        weights: list[torch.Tensor] = [self._weights[row] for row in rows]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        moments = {name: [self._moments[row][name] for row in rows] for name in self._moments[0]}
        common: dict[str, Any] = {"fused": self._fused, "lr": lr, "weight_decay": decay, "maximize": False}
        if self._name == "sgd":
            momentum: list[torch.Tensor | None] = [*moments["momentum"]]
            sgd(weights, gradients, momentum, momentum=MOMENTUM, dampening=0.0, nesterov=True, **common)
        else:
            beta1, beta2 = BETAS
            common |= {"decoupled_weight_decay": self._name == "adamw", "amsgrad": False, "eps": EPSILON}
            mean, square, steps = moments["mean"], moments["square"], moments["steps"]
            adam(weights, gradients, mean, square, [], steps, beta1=beta1, beta2=beta2, **common)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The moments of each weight by name; `steps` is not among them."""
        return {f"{row}.{name}": value for row, own in enumerate(self._moments) for name, value in own.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load what `state_dict` returned for the same network and name."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])


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
