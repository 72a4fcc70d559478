"""How a network's weights start: as each layer draws them itself, or all by one rule.

truncated_normal   BERT's start (Devlin et al. 2019): deviation 0.02, cut at two deviations, for every matrix
xavier             uniform between +-sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010, eq. 16)
kaiming            normal of deviation sqrt(2 / inputs) (He et al. 2015, eq. 10)
"""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import nn

from data.errors import UnknownName, suggest_name

Initialisation = Literal["default", "truncated_normal", "xavier", "kaiming"]

BOUND = 2.0
# a normal cut at two deviations keeps this much of its deviation: sqrt(1 - 2 * 2 phi(2) / (2 Phi(2) - 1))
KEPT_DEVIATION = 0.87962566103423978


def initialise(network: nn.Module, how: Initialisation, generator: torch.Generator) -> None:
    """Draw the weights of `network` anew, in place, the way `how` names; "default" leaves what each layer drew.

    Biases of linear layers become 0. Recurrent matrices stay orthogonal; their biases, and gains and shifts of norms,
    stay as they are. What is no map from inputs to outputs (learned positions) has a rule of its own in
    "truncated_normal" alone. Raises UnknownName.
    """
    if how not in get_args(Initialisation):
        raise UnknownName(f"init is '{how}'.{suggest_name(how, get_args(Initialisation))}")
    if how == "default":
        return
    if how == "truncated_normal":
        for name, weight in network.named_parameters():
            if weight.dim() >= 2 and "weight_hh" not in name:
                truncated_normal(weight, 0.02, generator)
    else:
        for matrix in _maps(network):
            if how == "xavier":
                nn.init.xavier_uniform_(matrix, generator=generator)
            else:
                nn.init.kaiming_normal_(matrix, nonlinearity="relu", generator=generator)
    for layer in network.modules():
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _maps(network: nn.Module) -> Iterator[torch.Tensor]:
    """Every matrix (outputs, inputs) but the recurrent ones; those of gates, and of queries, keys and values, apart."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            yield layer.weight.data
        elif isinstance(layer, nn.MultiheadAttention):
            yield from layer.in_proj_weight.data.chunk(3)
        elif isinstance(layer, nn.LSTM | nn.GRU):
            for name, weight in layer.named_parameters():
                if name.startswith("weight_ih"):
                    yield from weight.data.chunk(_gates(layer))


def truncated_normal(weight: torch.Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill `weight` in place from a normal cut at two deviations and widened so that `deviation` is what is left."""
    uncut = deviation / KEPT_DEVIATION
    nn.init.trunc_normal_(weight, std=uncut, a=-BOUND * uncut, b=BOUND * uncut, generator=generator)


def recurrent(layer: nn.LSTM | nn.GRU) -> None:
    """Orthogonal recurrent matrices, a gate at a time (Saxe et al. 2014), and an LSTM's forget gate that starts open.

    The forget gate's bias is 1 (Gers et al. 2000; Jozefowicz et al. 2015, section 4.2), the other biases are 0.
    """
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.data.chunk(_gates(layer)):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(weight)
            if name.startswith("bias_ih") and isinstance(layer, nn.LSTM):  # gates: input, forget, cell, output
                nn.init.ones_(weight.data.chunk(4)[1])


def _gates(layer: nn.LSTM | nn.GRU) -> int:
    return 4 if isinstance(layer, nn.LSTM) else 3
