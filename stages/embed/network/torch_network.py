"""The encoder's network in torch, frozen: token ids in, hidden states out."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import CallError, ModelUnavailable
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.library_logging import silence_transformers
from stages.embed.model_files.model_families import ENCODER_CLASS, ENCODER_HALF
from stages.embed.network.mask_check import depends_on_padding, example_batch
from stages.embed.network.onednn import pack_linear_layers
from stages.embed.network.padding_groups import PaddingGroups, together
from stages.embed.network.pooling import on

if TYPE_CHECKING:
    import torch

# a checkpoint may lack what the encoder does not use
_LEFT_OUT = re.compile(r"pooler|position_ids|^decoder\.")
# (ids int64 (windows, longest), lengths int64 (windows,)) -> a float32 (windows, longest, dim) for each layer asked
Network = Callable[["torch.Tensor", "torch.Tensor"], "Sequence[torch.Tensor]"]


class TorchNetwork:
    """An encoder of transformers, in evaluation, on one device.

    Called with ids, int64 (windows, longest), and lengths, int64 (windows,), on the cpu; gives a float32 (windows,
    longest, dim) for each of `layers`, which a CUDA device may still be at work on. What stands behind a window's end
    is undefined. trust: run the folder's own Python code. onednn: let oneDNN take the linear layers over where it is
    faster (see onednn.py), which no graph can be written of.
    """

    def __init__(
        self,
        folder: Path,
        layers: tuple[int, ...],
        precision: str,
        device: str,
        *,
        trust: bool = False,
        onednn: bool = True,
    ) -> None:
        self.device = resolve_device(device)
        self._layers: tuple[int, ...] = (-1,)  # what is looked at first
        self._model: Any = _load(folder, precision, trust=trust).to(self.device)
        self._config = config = read_config(folder)
        self._settings = {"use_cache": False} if config.causal else {}
        self._big_bird = config.family == "big_bird"
        self._apart = PaddingGroups.of_big_bird(config.values) if self._big_bird else None
        if not self._big_bird and depends_on_padding(self, config, precision):
            self._apart = PaddingGroups()
        self._layers = layers
        if onednn and precision == "float32" and self.device == "cpu":
            pack_linear_layers(self._model, partial(self, *example_batch(config)))

    @property
    def module(self) -> "torch.nn.Module":
        """The network itself, whose parameters a graph of it takes over."""
        model: torch.nn.Module = self._model
        return model

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Hidden states of each layer asked."""
        import torch

        ids = on(ids, torch.device(self.device))
        if self._apart is None:
            return self._states(ids, lengths)
        parts = []
        for rows in self._apart.parts(lengths):
            longest = int(lengths[rows].max())
            if self._big_bird:  # by itself it would attend to everything from its first short batch on
                self._model.set_attention_type("block_sparse" if longest > self._apart.full else "original_full")
            parts.append((rows, self._states(ids[rows, :longest], lengths[rows])))
        return together(parts, *ids.shape)

    def _states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        import torch

        longest = ids.shape[1]
        padded = bool((lengths < longest).any())
        # without padding the mask would only keep attention from its faster kernels
        mask = on((torch.arange(longest) < lengths[:, None]).long(), ids.device) if padded else None
        settings: dict[str, Any] = dict(self._settings)
        if self._config.family == "longformer":
            # Beltagy et al. 2020 (arXiv 2004.05150), section 3.1: for classification the first token attends globally
            settings["global_attention_mask"] = torch.zeros_like(ids)
            settings["global_attention_mask"][:, 0] = 1
        with self._kernels():
            if self._layers == (-1,):
                return [self._model(ids, attention_mask=mask, **settings).last_hidden_state.float()]
            output = self._model(ids, attention_mask=mask, output_hidden_states=True, **settings)
        states = (*output.hidden_states[:-1], output.last_hidden_state)
        # sparse attention pads to whole blocks, and gives the layers between with that padding
        return [states[layer][:, :longest].float() for layer in self._layers]

    def _kernels(self) -> AbstractContextManager[None]:
        """Attention on a card without cuDNN's kernels, which plan anew for every shape that a batch can have."""
        if not self.device.startswith("cuda"):
            return nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        others = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        return sdpa_kernel(others)


def resolve_device(name: str) -> str:
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


def default_precision(device: str) -> str:
    """The number type to compute in on a device: what it multiplies fastest without harm to the vectors.

    A processor and mps take float32: half precision is slower on most of the one, and overflows on the other. CUDA
    takes bfloat16 where it is native (compute capability 8.0 and above), which has the range of float32; else float16,
    of which a batch that overflows is encoded again in float32.
    """
    if device == "cpu" or (device == "auto" and not _perhaps_a_card()):  # without waiting for torch
        return "float32"
    import torch

    found = resolve_device(device)
    if not found.startswith("cuda"):
        return "float32"
    return "bfloat16" if torch.cuda.get_device_capability(found) >= (8, 0) else "float16"


def _perhaps_a_card() -> bool:
    """Whether a driver of a card that torch knows may be here; to import torch and ask takes seconds."""
    return sys.platform != "linux" or any(
        Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    )


def _load(folder: Path, precision: str, *, trust: bool = False) -> "torch.nn.Module":
    import torch

    settings: dict[str, Any] = {"dtype": getattr(torch, precision), "local_files_only": True}
    try:
        with silence_transformers():
            model, loaded = _loaded(folder, settings | {"output_loading_info": True}, trust=trust)
    except Exception as error:  # transformers raises OSError, ValueError, RuntimeError, KeyError... for a bad folder
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{folder} cannot be loaded as an encoder ({reason}).") from error
    missing = sorted(name for name in loaded["missing_keys"] if not _LEFT_OUT.search(name))
    if missing:
        raise ModelUnavailable(
            f"{folder}: the checkpoint lacks {len(missing)} of the encoder's tensors (the first is {missing[0]}). "
            "Copy the model again."
        )
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _loaded(folder: Path, settings: dict[str, Any], *, trust: bool) -> tuple[Any, Any]:
    """The encoder, and what transformers tells of its loading."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    if trust:
        return AutoModel.from_pretrained(folder, trust_remote_code=True, **settings)  # type: ignore[no-any-return]
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kinds = AutoModelForTextEncoding if config.model_type in ENCODER_CLASS else AutoModel
    kind = kinds._model_mapping[type(config)]
    # a pooler is random where the checkpoint has none, and nothing here reads it
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        settings["add_pooling_layer"] = False
    model, loaded = kind.from_pretrained(folder, config=config, **settings)
    return model.get_encoder() if config.model_type in ENCODER_HALF else model, loaded
