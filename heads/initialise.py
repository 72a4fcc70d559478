"""How a network's weights start: as each layer draws them itself, or from a truncated normal."""

from typing import Literal, get_args

import torch
from torch import nn

from data.errors import UnknownName, nearest

Initialisation = Literal["default", "truncated_normal"]

BOUND = 2.0
# a normal cut at two deviations keeps this much of its deviation: sqrt(1 - 2 * 2 phi(2) / (2 Phi(2) - 1))
KEPT_DEVIATION = 0.87962566103423978


def initialise(network: nn.Module, how: Initialisation, generator: torch.Generator) -> None:
    """Draw the weights of `network` anew, in place, the way `how` names; "default" leaves what each layer drew.

    "truncated_normal" is BERT's start (Devlin et al. 2019): deviation 0.02 and biases 0. Recurrent matrices stay
    orthogonal and their biases, gains and shifts of norms stay as they are. Raises UnknownName.
    """
    if how not in get_args(Initialisation):
        raise UnknownName(f"init is '{how}'.{nearest(how, get_args(Initialisation))}")
    if how == "default":
        return
    for name, weight in network.named_parameters():
        if weight.dim() >= 2 and "weight_hh" not in name:
            truncated_normal(weight, 0.02, generator)
    for layer in network.modules():
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def truncated_normal(weight: torch.Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill `weight` in place from a normal cut at two deviations and widened so that `deviation` is what is left."""
    uncut = deviation / KEPT_DEVIATION
    nn.init.trunc_normal_(weight, std=uncut, a=-BOUND * uncut, b=BOUND * uncut, generator=generator)


def recurrent(layer: nn.LSTM | nn.GRU) -> None:
    """Orthogonal recurrent matrices, a gate at a time (Saxe et al. 2014), and an LSTM's forget gate that starts open.

    The forget gate's bias is 1 (Gers et al. 2000; Jozefowicz et al. 2015, section 4.2), the other biases are 0.
    """
    gates = 4 if isinstance(layer, nn.LSTM) else 3
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.data.chunk(gates):
                nn.init.orthogonal_(gate)
        elif name.startswith("bias"):
            nn.init.zeros_(weight)
            if name.startswith("bias_ih") and isinstance(layer, nn.LSTM):  # gates: input, forget, cell, output
                nn.init.ones_(weight.data.chunk(gates)[1])
