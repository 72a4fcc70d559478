"""The encoder's network in torch, frozen: token ids in, hidden states out."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import CallError, ModelUnavailable
from stages.embed.quiet import quiet

if TYPE_CHECKING:
    import torch

# (ids int64 (windows, longest), lengths int64 (windows,)) -> a float32 (windows, longest, dim) for each layer asked
Network = Callable[["torch.Tensor", "torch.Tensor"], "Sequence[torch.Tensor]"]


class TorchNetwork:
    """An encoder of transformers, in evaluation, on one device.

    Called with ids, int64 (windows, longest), and lengths, int64 (windows,); gives a float32 (windows, longest, dim)
    for each of `layers`. What stands behind a window's end is undefined.
    """

    def __init__(self, folder: Path, layers: tuple[int, ...], precision: str, device: str) -> None:
        self.device = find_device(device)
        self._layers = layers
        self._model = _load(folder, precision).to(self.device)

    @property
    def module(self) -> "torch.nn.Module":
        """The network itself, whose parameters a graph of it takes over."""
        return self._model

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Hidden states of each layer asked."""
        import torch

        longest = ids.shape[1]
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        padded = bool((lengths < longest).any())
        # without padding the mask would only keep attention from its faster kernels
        mask = (torch.arange(longest, device=self.device) < lengths[:, None]).long() if padded else None
        if self._layers == (-1,):
            return [self._model(ids, attention_mask=mask).last_hidden_state.float()]
        output = self._model(ids, attention_mask=mask, output_hidden_states=True)
        states = (*output.hidden_states[:-1], output.last_hidden_state)
        return [states[layer].float() for layer in self._layers]


def find_device(name: str) -> str:
    """The device that `name` means here; "auto" is the first of cuda, mps and cpu that is there.

    Raises CallError for a device that is not.
    """
    import torch

    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if name == "auto":
        return there[0]
    kind, _, number = name.partition(":")
    if kind not in there or (
        number and not (kind == "cuda" and number.isdigit() and int(number) < torch.cuda.device_count())
    ):
        raise CallError(f"There is no device '{name}' on this machine. Here: auto, {', '.join(there)}.")
    return name


def _load(folder: Path, precision: str) -> "torch.nn.Module":
    import torch

    try:
        with quiet():
            from transformers import AutoConfig, AutoModel

            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            kind = AutoModel._model_mapping[type(config)]
            settings: dict[str, Any] = {"dtype": getattr(torch, precision), "local_files_only": True}
            # a pooler is random where the checkpoint has none, and nothing here reads it
            if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
                settings["add_pooling_layer"] = False
            model, loaded = kind.from_pretrained(folder, config=config, output_loading_info=True, **settings)
    except Exception as error:  # transformers raises OSError, ValueError, RuntimeError, KeyError... for a bad folder
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{folder} cannot be loaded as an encoder ({reason}).") from error
    missing = sorted(name for name in loaded["missing_keys"] if "pooler" not in name and "position_ids" not in name)
    if missing:
        raise ModelUnavailable(
            f"{folder}: the checkpoint lacks {len(missing)} of the encoder's tensors (the first is {missing[0]}). "
            "Copy the model again."
        )
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]
