"""A few tokens through a network just loaded: whether it reads text, and how, is measured before it is used."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config
from stages.embed.model_files.library_logging import silence_transformers

if TYPE_CHECKING:
    import torch

# what two equal states may differ by, as a share of the largest number; half precision rounds to about 1 in 256
_ROUNDING = {"float32": 1e-3}
_HALF = 3e-2


def example_batch(config: Config) -> "tuple[torch.Tensor, torch.Tensor]":
    """Ids of two windows, int64 (2, 4), the second with padding, and their lengths, int64 (2,)."""
    import torch

    numbers = [number for number in range(3, 9) if number != config.pad_id]
    ids = torch.tensor([numbers[:4], [*numbers[:2], *[config.pad_id] * 2]])
    return ids.clamp(max=config.vocabulary - 1), torch.tensor([4, 2])


def depends_on_padding(
    network: "Callable[[torch.Tensor, torch.Tensor], Sequence[torch.Tensor]]", config: Config, precision: str
) -> bool:
    """Whether a window's states depend on padding behind it, as where a convolution mixes tokens.

    network: gives the states of its last layer. Raises ModelUnavailable for one that does not take tokens, and for one
    that reads forwards only without its config saying so: its first position says nothing of a text.
    """
    import torch

    ids, lengths = example_batch(config)
    try:
        with silence_transformers(), torch.inference_mode():
            batch = network(ids, lengths)[-1]
            alone = network(ids[1:, :2], lengths[1:])[-1]
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
