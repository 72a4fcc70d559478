"""The optimizers of networks, compared with the classes of torch.optim."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from heads.training.optimizers import MOMENTUM, Optimizer, OptimizerName, learning_rate_factor

LR, DECAY, STEPS = 0.05, 0.1, 12


class Branched(nn.Module):
    """A network with a branch that every third input leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.branch = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor, step: int) -> torch.Tensor:
        hidden: torch.Tensor = self.norm(self.first(x)).tanh()
        return hidden if step % 3 == 0 else self.branch(hidden)


def rate(step: int) -> float:
    return learning_rate_factor(step, STEPS, 0.25)


def torch_optimizer(network: nn.Module, name: OptimizerName) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": DECAY},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, nesterov=True, fused=True)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(groups, lr=LR, fused=True)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_the_weights_are_those_of_the_classes_of_torch_bit_for_bit(name: OptimizerName) -> None:
    torch.manual_seed(0)
    network = Branched()
    expected = copy.deepcopy(network)
    optimizer, oracle = Optimizer(network, name, LR, DECAY, rate), torch_optimizer(expected, name)
    schedule = torch.optim.lr_scheduler.LambdaLR(oracle, rate)
    for step in range(STEPS):
        x = torch.randn(8, 6)
        # the fused SGD of torch fails if only some weights have had a gradient
        branch = step if name != "sgd" else 1
        network(x, branch).square().sum().backward()
        optimizer.step()
        oracle.zero_grad()
        expected(x, branch).square().sum().backward()
        oracle.step()
        schedule.step()
    for own, other in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(own, other)


def test_a_step_clears_the_gradients() -> None:
    network = nn.Linear(3, 2)
    optimizer = Optimizer(network, "adamw", LR, DECAY)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert [weight.grad for weight in network.parameters()] == [None, None]


def test_a_fit_does_not_import_the_compiler_of_torch() -> None:
    code = (
        "import sys, numpy as np; from heads.registry import make_head; "
        "make_head('mlp', {'epochs': '1'}).fit(np.eye(8), np.arange(8) % 2); "
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
