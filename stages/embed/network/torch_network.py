"""The encoder's network in PyTorch, frozen: token ids in, hidden states out."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.devices import computes_bfloat16_well
from data.errors import CallError, ModelUnavailable
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.model_families import ENCODER_CLASS_FAMILIES, ENCODER_DECODER_FAMILIES
from stages.embed.network.backends import BFLOAT16, FLOAT32
from stages.embed.network.onednn import pack_linear_layers
from stages.embed.network.padding import PaddingGroups, depends_on_padding, example_batch, merge_groups
from stages.embed.network.pooling import move_to

if TYPE_CHECKING:
    import torch

# tensors that the encoder does not use, so a checkpoint may lack them
OPTIONAL_TENSORS = re.compile(r"pooler|position_ids|^decoder\.")
# (ids int64 (windows, longest), lengths int64 (windows,)) -> a float32 (windows, longest, dim) per requested layer
Network = Callable[["torch.Tensor", "torch.Tensor"], "Sequence[torch.Tensor]"]


class TorchNetwork:
    """A transformers encoder in evaluation mode on one device.

    Called with ids, int64 (windows, longest), and lengths, int64 (windows,), both on the CPU, it returns a float32
    (windows, longest, dim) for each of `layers`. A CUDA device may still be computing them. Values behind a window's
    end are undefined.

    Args:
        folder: The model folder.
        layers: Negative numbers of the requested layers; -1 is the last.
        precision: The number type to compute in.
        device: A device name of PyTorch, or "auto".
        trust: Whether to run the folder's own Python code.
        onednn: Whether oneDNN may replace the linear layers (see onednn.py). A network with replaced layers cannot be
            exported.

    Raises:
        CallError: The device does not exist.
        ModelUnavailable: The folder cannot be loaded as a text encoder.
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
        self._layers: tuple[int, ...] = (-1,)  # the checks below need the last layer
        self._model: Any = load_model(folder, precision, trust=trust).to(self.device)
        self._config = config = read_config(folder)
        self._options = {"use_cache": False} if config.is_causal else {}
        self._big_bird = config.family == "big_bird"
        self._groups = PaddingGroups.for_big_bird(config.values) if self._big_bird else None
        if not self._big_bird and depends_on_padding(self, config, precision):
            self._groups = PaddingGroups()
        self._layers = layers
        if onednn and precision in (FLOAT32, BFLOAT16) and self.device == "cpu":
            pack_linear_layers(self._model, partial(self, *example_batch(config)))

    @property
    def module(self) -> "torch.nn.Module":
        """The PyTorch module, whose parameters an exported graph contains."""
        model: torch.nn.Module = self._model
        return model

    @property
    def has_groups(self) -> bool:
        """Whether the windows of a batch are computed in groups, because padding would change their vectors."""
        return self._groups is not None

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Return the hidden states of each requested layer."""
        import torch

        ids = move_to(ids, torch.device(self.device))
        if self._groups is None:
            return self._states(ids, lengths)
        groups = []
        for rows in self._groups.split(lengths):
            longest = int(lengths[rows].max())
            if self._big_bird:  # transformers would switch to full attention at the first short batch and keep it
                self._model.set_attention_type("block_sparse" if longest > self._groups.full else "original_full")
            groups.append((rows, self._states(ids[rows, :longest], lengths[rows])))
        return merge_groups(groups, *ids.shape)

    def _states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        import torch

        longest = ids.shape[1]
        padded = bool((lengths < longest).any())
        # without padding, a mask would only prevent the faster attention kernels
        mask = move_to((torch.arange(longest) < lengths[:, None]).long(), ids.device) if padded else None
        options: dict[str, Any] = dict(self._options)
        with self._attention_kernels():
            if self._layers == (-1,):
                return [self._model(ids, attention_mask=mask, **options).last_hidden_state.float()]
            output = self._model(ids, attention_mask=mask, output_hidden_states=True, **options)
        states = (*output.hidden_states[:-1], output.last_hidden_state)
        # sparse attention pads to whole blocks, and returns intermediate layers with this padding
        return [states[layer][:, :longest].float() for layer in self._layers]

    def _attention_kernels(self) -> AbstractContextManager[None]:
        """Exclude cuDNN's attention kernels on a GPU: they make a new plan for every shape of a batch."""
        if not self.device.startswith("cuda"):
            return nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def resolve_device(name: str) -> str:
    """Return the device that `name` means on this machine; "auto" is the first available of cuda, mps and cpu.

    Raises CallError for a device that does not exist.
    """
    import torch

    kinds = ["cpu"]
    if torch.backends.mps.is_available():
        kinds.insert(0, "mps")
    if torch.cuda.is_available():
        kinds.insert(0, "cuda")
    if name == "auto":
        return kinds[0]
    kind, _, number = name.partition(":")
    if kind not in kinds or (
        number and not (kind == "cuda" and number.isdigit() and int(number) < torch.cuda.device_count())
    ):
        raise CallError(f"There is no device '{name}' on this machine. Available: auto, {', '.join(kinds)}.")
    return name


def default_precision(device: str) -> str:
    """Return the number type of a device that is used without a trial.

    CPU and mps have float32: half precision overflows on mps, and is slower on most CPUs. On those with instructions
    for bfloat16, a trial on the corpus decides (see backend_benchmark.py). CUDA has bfloat16 if the
    device supports it natively (compute capability 8.0 and above), because its range is that of float32. Older CUDA
    devices have float16; a batch that overflows is encoded again in float32.
    """
    if device == "cpu" or (device == "auto" and not _may_have_gpu()):  # without the seconds of importing torch
        return FLOAT32
    resolved = resolve_device(device)
    if not resolved.startswith("cuda"):
        return FLOAT32
    return BFLOAT16 if computes_bfloat16_well(resolved) else "float16"


def _may_have_gpu() -> bool:
    """Return whether this machine may have the driver of a GPU that PyTorch supports, without importing torch."""
    return sys.platform != "linux" or any(
        Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    )


def load_model(folder: Path, precision: str, *, trust: bool = False) -> "torch.nn.Module":
    """Load the encoder of a folder on the CPU, in evaluation mode, its parameters without gradients.

    Args:
        folder: The model folder.
        precision: The number type of the weights.
        trust: Whether to run the folder's own Python code.

    Raises:
        ModelUnavailable: The folder cannot be loaded, or lacks tensors of the encoder.
    """
    import torch

    options: dict[str, Any] = {"dtype": getattr(torch, precision), "local_files_only": True}
    try:
        with silence_transformers():
            model, loading_info = _from_pretrained(folder, options | {"output_loading_info": True}, trust=trust)
    except Exception as error:  # transformers raises OSError, ValueError, RuntimeError, KeyError... for a bad folder
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{folder} cannot be loaded as an encoder ({reason}).") from error
    missing = sorted(name for name in loading_info["missing_keys"] if not OPTIONAL_TENSORS.search(name))
    if missing:
        raise ModelUnavailable(
            f"{folder}: the checkpoint lacks {len(missing)} of the encoder's tensors (the first is {missing[0]}). "
            "Copy the model again."
        )
    add_global_attention(model)
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]


def add_global_attention(model: "torch.nn.Module") -> None:
    """Let the first token of a Longformer attend to all tokens, and all to it; other networks are left as they are.

    Beltagy et al. 2020 (arXiv 2004.05150), section 3.1, do so for classification. In transformers it is an argument of
    each call, which the code that trains a network does not know. model: of transformers, with or without a head.
    """
    network: Any = model
    if network.config.model_type == "longformer":
        # not of the whole model, because sentence-transformers calls its method `forward`, which runs no hook
        network.base_model.encoder.register_forward_pre_hook(_attend_globally, with_kwargs=True)


def _attend_globally(
    _: "torch.nn.Module", arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    import torch

    mask = options["attention_mask"].clone()
    mask[:, 0] = torch.finfo(mask.dtype).max  # a positive value means global attention
    return arguments, options | {"attention_mask": mask}


def _from_pretrained(folder: Path, options: dict[str, Any], *, trust: bool) -> tuple[Any, Any]:
    """Return the encoder, and the loading info of transformers."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    if trust:
        return AutoModel.from_pretrained(folder, trust_remote_code=True, **options)  # type: ignore[no-any-return]
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    auto_class = AutoModelForTextEncoding if config.model_type in ENCODER_CLASS_FAMILIES else AutoModel
    model_class = auto_class._model_mapping[type(config)]
    # a pooler would be random if the checkpoint has none, and nothing here reads it
    if "add_pooling_layer" in inspect.signature(model_class.__init__).parameters:
        options["add_pooling_layer"] = False
    model, loading_info = model_class.from_pretrained(folder, config=config, **options)
    return model.get_encoder() if config.model_type in ENCODER_DECODER_FAMILIES else model, loading_info
