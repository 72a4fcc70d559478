"""A few tokens through a network just loaded: whether it reads text, and how, is measured before it is used."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from stages.embed.checkpoint import Config
from stages.embed.quiet import quiet

if TYPE_CHECKING:
    import torch

# what two equal states may differ by, as a share of the largest number; half precision rounds to about 1 in 256
_ROUNDING = {"float32": 1e-3}
_HALF = 3e-2


def reads_padding(
    network: "Callable[[torch.Tensor, torch.Tensor], Sequence[torch.Tensor]]", config: Config, precision: str
) -> bool:
    """Whether a window's states depend on padding behind it, as where a convolution mixes tokens.

    network: gives the states of its last layer. Raises ModelUnavailable for one that does not take tokens, and for one
    that reads forwards only without its config saying so: its first position says nothing of a text.
    """
    import torch

    numbers = [number for number in range(3, 9) if number != config.pad_id][:5]
    longer, short = torch.tensor(numbers[:4]), torch.tensor([*numbers[:2], *[config.pad_id] * 2])
    try:
        with quiet(), torch.inference_mode():
            batch = network(torch.stack([longer, short]).clamp(max=config.vocabulary - 1), torch.tensor([4, 2]))[-1]
            alone = network(short[None, :2].clamp(max=config.vocabulary - 1), torch.tensor([2]))[-1]
    except Exception as error:  # whatever a network of images or sounds makes of tokens
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{config.folder} cannot be used as an encoder of text ({reason}).") from error
    rounding = _ROUNDING.get(precision, _HALF) * float(alone.abs().max())
    if not config.causal and float((batch[0, 0] - alone[0, 0]).abs().max()) <= rounding * 1e-2:
        raise ModelUnavailable(
            f"{config.folder} reads forwards only, which embedonce does not know of networks of the kind "
            f"'{config.family}': their first position says nothing of a text. Take an encoder, or another decoder."
        )
    return float((batch[1, :2] - alone[0]).abs().max()) > rounding
