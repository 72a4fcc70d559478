"""Initialization of a network's weights: each layer's default, or one rule for all.

truncated_normal   normal with standard deviation 0.02, truncated at two deviations, for every matrix: BERT, Devlin et
                   al. 2019
xavier             uniform between +-sqrt(6 / (inputs + outputs)): Glorot & Bengio 2010, eq. 16
kaiming            normal with standard deviation sqrt(2 / inputs): He et al. 2015, eq. 10
"""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import nn

from data.errors import UnknownName, suggest_name

__all__ = ["InitName", "initialize", "initialize_recurrent", "truncated_normal"]

InitName = Literal["default", "truncated_normal", "xavier", "kaiming"]

BOUND = 2.0
# a normal truncated at two deviations keeps this share of its deviation: sqrt(1 - 2 * 2 phi(2) / (2 Phi(2) - 1))
REMAINING_DEVIATION = 0.87962566103423978


def initialize(network: nn.Module, init: InitName, generator: torch.Generator) -> None:
    """Draw the weights of `network` anew, in place; "default" keeps those that each layer drew.

    The biases of linear layers become 0. Recurrent matrices stay orthogonal; their biases and the parameters of norms
    are not changed. Parameters that do not map inputs to outputs (learned position embeddings) are changed by
    "truncated_normal" only. Raises UnknownName.
    """
    if init not in get_args(InitName):
        raise UnknownName(f"init is '{init}'.{suggest_name(init, get_args(InitName))}")
    if init == "default":
        return
    if init == "truncated_normal":
        for name, weight in network.named_parameters():
            if weight.dim() >= 2 and "weight_hh" not in name:
                truncated_normal(weight, 0.02, generator)
    else:
        for matrix in _matrices(network):
            if init == "xavier":
                nn.init.xavier_uniform_(matrix, generator=generator)
            else:
                nn.init.kaiming_normal_(matrix, nonlinearity="relu", generator=generator)
    for layer in network.modules():
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _matrices(network: nn.Module) -> Iterator[torch.Tensor]:
    """Every matrix (outputs, inputs) except recurrent ones; each gate, query, key and value matrix separately."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            yield layer.weight.data
        elif isinstance(layer, nn.MultiheadAttention):
            yield from layer.in_proj_weight.data.chunk(3)
        elif isinstance(layer, nn.LSTM | nn.GRU):
            for name, weight in layer.named_parameters():
                if name.startswith("weight_ih"):
                    yield from weight.data.chunk(_gate_count(layer))


def truncated_normal(weight: torch.Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill `weight` in place from a normal truncated at two deviations, so that its standard deviation is `deviation`.

    torch's trunc_normal_ takes the deviation before truncation, which is larger.
    """
    before = deviation / REMAINING_DEVIATION
    nn.init.trunc_normal_(weight, std=before, a=-BOUND * before, b=BOUND * before, generator=generator)


def initialize_recurrent(layer: nn.LSTM | nn.GRU) -> None:
    """Orthogonal recurrent matrices, one per gate (Saxe et al. 2014), and an LSTM's forget gate bias of 1.

    The forget gate is open at the start (Gers et al. 2000; Jozefowicz et al. 2015, section 4.2); other biases are 0.
    """
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.data.chunk(_gate_count(layer)):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(weight)
            if name.startswith("bias_ih") and isinstance(layer, nn.LSTM):  # gates: input, forget, cell, output
                nn.init.ones_(weight.data.chunk(4)[1])


def _gate_count(layer: nn.LSTM | nn.GRU) -> int:
    return 4 if isinstance(layer, nn.LSTM) else 3
