"""Faster linear layers for an encoder on an x86 CPU: oneDNN's, with packed weights and a fused GELU, where they help.

Which is faster depends on the CPU: with AVX-512, packed weights take 5 to 15 % less time than PyTorch's products, and a
fused GELU costs next to nothing; with AVX2 on an AMD CPU, PyTorch's products (of MKL) are 10 % faster, and its own GELU
takes a fifth of the time. So each shape of a layer is timed once per machine. In bfloat16, PyTorch reorders the weights
for AMX in every call, unless they are packed. Sums are in float32 in all forms, and rounded to bfloat16 at the end.
"""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic_write import cache_folder, write_cache
from stages.embed.model_files.checkpoint import canonical_json

if TYPE_CHECKING:
    import torch
    from torch import nn

# linear layer -> the activation behind it, by the names in transformers' modules
_ACTIVATIONS = {"dense": "intermediate_act_fn", "lin1": "activation", "fc1": "activation_fn"}
# the forms of a layer: PyTorch's; oneDNN's with packed weights; the same with the GELU behind it fused
PLAIN, PACKED, FUSED = "plain", "packed", "fused"
# positions of a batch for which the memory layout of the weights is chosen, and of the batch that is timed
_POSITIONS = 1024
_TIMED_POSITIONS = 2048
_ROUNDS = 4
# of a layer with fewer weights, no form is timed: it costs too little
LEAST_WEIGHTS = 2**16
# PyTorch's form stays unless another takes less than this share of its time
_LEAST_GAIN = 0.97
_TOLERANCE = 1e-4
# of the norm of the difference; two orders of rounding to bfloat16 give about 0.015, a wrong operator far more
_BFLOAT16_TOLERANCE = 0.05


def pack_linear_layers(model: "nn.Module", states: "Callable[[], Sequence[torch.Tensor]]") -> bool:
    """Replace the linear layers of `model` by oneDNN's, if they give the same values.

    Args:
        model: A network in float32 or bfloat16 on the CPU, in evaluation mode. The original weights of replaced layers
            are dropped.
        states: Computes hidden states of a few tokens with `model`, as float32.

    Returns:
        Whether the layers were replaced. If not, the model is unchanged.
    """
    import torch

    if not can_pack_linear_layers():
        return False
    layers = [(module, name, layer) for module in model.modules() for name, layer in _linear_layers(module)]
    with torch.inference_mode():
        expected = states()
    undo: list[Callable[[], object]] = []
    try:
        for module, name, layer in layers:
            undo += _pack_layer(module, name, layer)
        with torch.inference_mode():
            half = any(layer.weight.dtype == torch.bfloat16 for *_, layer in layers)
            equal = all(_agree(*pair, half=half) for pair in zip(states(), expected, strict=True))
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):  # these operators are private in PyTorch
        equal = False
    if not equal:
        for restore in undo:
            restore()
    return equal


def can_pack_linear_layers() -> bool:
    """Return whether this CPU and this version of PyTorch have the operators."""
    import torch

    operators = torch.ops.mkldnn
    return (
        platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(operators, "_linear_pointwise")
        and hasattr(operators, "_reorder_linear_weight")
    )


def _agree(packed: "torch.Tensor", original: "torch.Tensor", *, half: bool) -> bool:
    import torch

    if half:
        return bool((packed - original).norm() <= _BFLOAT16_TOLERANCE * original.norm())
    return torch.allclose(packed, original, rtol=_TOLERANCE, atol=_TOLERANCE)


def _linear_layers(module: "nn.Module") -> list[tuple[str, "nn.Linear"]]:
    from torch import nn

    return [(name, layer) for name, layer in module.named_children() if type(layer) is nn.Linear]


def _pack_layer(module: "nn.Module", name: str, layer: "nn.Linear") -> list[Callable[[], object]]:
    """Give `layer`, and the GELU behind it, the fastest form; returns the calls that restore them."""
    import torch
    from torch import nn

    activation_name = _ACTIVATIONS.get(name, "")
    activation = getattr(module, activation_name, None)
    form = _choose_form(layer, has_gelu=_is_exact_gelu(activation))
    if form == PLAIN:
        return []
    weight = layer.weight
    layer.forward = _forms(weight.detach(), layer.bias)[form]  # type: ignore[method-assign, assignment]
    # modules read a weight's type and shape, which a meta tensor still has
    layer.weight = nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=False)
    undo: list[Callable[[], object]] = [
        partial(layer.__dict__.pop, "forward"),
        partial(setattr, layer, "weight", weight),
    ]
    if form == FUSED:
        setattr(module, activation_name, nn.Identity())
        undo.append(partial(setattr, module, activation_name, activation))
    return undo


def _choose_form(layer: "nn.Linear", *, has_gelu: bool) -> str:
    import torch

    if layer.weight.numel() < LEAST_WEIGHTS:
        return FUSED if has_gelu else PACKED
    return _fastest_form(tuple(layer.weight.shape), str(layer.weight.dtype), has_gelu, torch.get_num_threads())


@cache
def _fastest_form(shape: tuple[int, int], dtype: str, has_gelu: bool, threads: int) -> str:
    """The fastest form of a layer on this machine, from the user's cache if it was timed before.

    Processes on one machine thus have the same form and, with it, the same last bits.

    Args:
        shape: of the weights, (outputs, inputs).
        dtype: the number type, as PyTorch writes it.
        has_gelu: whether a GELU is behind the layer.
        threads: of PyTorch.
    """
    import torch

    machine = [platform.node(), platform.processor(), torch.backends.cpu.get_cpu_capability(), threads]
    key = hashlib.sha256(canonical_json([machine, torch.__version__, shape, dtype, has_gelu])).hexdigest()[:16]
    path = cache_folder() / "linear_layers" / f"{key}.json"
    allowed = (PLAIN, PACKED, FUSED) if has_gelu else (PLAIN, PACKED)
    form = _read_form(path)
    if form not in allowed:
        seconds = _time_forms(shape, getattr(torch, dtype.removeprefix("torch.")), has_gelu=has_gelu)
        best = min(allowed, key=seconds.__getitem__)
        form = best if seconds[best] < _LEAST_GAIN * seconds[PLAIN] else PLAIN
        write_cache(path, json.dumps({"form": form, "seconds": seconds}).encode())
    return form


def _read_form(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["form"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _time_forms(shape: tuple[int, int], dtype: "torch.dtype", *, has_gelu: bool) -> dict[str, float]:
    """Seconds of the CPU for each form, GELU included, and one batch; the fastest of a few rounds.

    Other work on the machine changes the time on the clock more than the differences are large.
    """
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(0)
    weight, values = (
        torch.randn(rows, shape[1], generator=generator).to(dtype) for rows in (shape[0], _TIMED_POSITIONS)
    )
    forms = _forms(weight, torch.zeros(shape[0], dtype=dtype))
    seconds = dict.fromkeys(forms, float("inf"))
    with torch.inference_mode():
        for number in range(_ROUNDS + 1):  # in the first round the operators are set up
            for name, form in forms.items():
                started = time.process_time()
                output = form(values)
                if has_gelu and name != FUSED:
                    functional.gelu(output)
                if number:
                    seconds[name] = min(seconds[name], time.process_time() - started)
    return seconds


def _forms(
    weight: "torch.Tensor", bias: "torch.Tensor | None"
) -> "Mapping[str, Callable[[torch.Tensor], torch.Tensor]]":
    """The forms of a layer by name."""
    import torch
    from torch.nn import functional

    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _POSITIONS)
    return {
        PLAIN: lambda values: functional.linear(values, weight, bias),
        PACKED: partial(_linear, packed, bias, False),
        FUSED: partial(_linear, packed, bias, True),
    }


def _is_exact_gelu(activation: Any) -> bool:
    """Return whether an activation is GELU in its exact form (Hendrycks & Gimpel 2016, arXiv 1606.08415, section 2)."""
    from torch.nn import functional
    from transformers.activations import GELUActivation

    return isinstance(activation, GELUActivation) and activation.act is functional.gelu


def _linear(packed: "torch.Tensor", bias: "torch.Tensor | None", gelu: bool, values: "torch.Tensor") -> "torch.Tensor":
    import torch

    name, form = ("gelu", "none") if gelu else ("none", "")
    return torch.ops.mkldnn._linear_pointwise(values, packed, bias, name, [], form)  # type: ignore[no-any-return]
