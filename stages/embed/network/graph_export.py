"""The ONNX graph of an encoder, exported once into the cache folder; a graph there is complete or absent.

graphs/<sha256 of all that decides the graph>/
  graph.onnx           ids and lengths, int64 -> hidden states of the requested layers, float32
  (further files)      weights beyond the maximum size of one ONNX file
  hashes.json          sha256 of the other files; a damaged graph is exported again
"""

import hashlib
import json
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import build_folder, cache_folder, hash_file
from data.devices import cpu_instructions
from data.errors import CallError
from featurestore import Recipe
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.network.backends import FLOAT32, INT8, import_onnxruntime, package_versions
from stages.embed.network.torch_network import TorchNetwork

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float32]
# the kinds of graphs next to "float32": quantized for ONNX Runtime, and for OpenVINO
INT8_DYNAMIC, INT8_WEIGHTS = INT8, "int8 weights"
# version of this layout; it is part of the folder's name
FORMAT = 1
_OPSET = 17
_GRAPH = "graph.onnx"
_HASHES = "hashes.json"
_NO_GRAPH = "its computation depends on the shape of a batch, which a graph cannot express"


def ensure_graph(recipe: Recipe, kind: str, open_torch: Callable[[], TorchNetwork]) -> Path:
    """Return the graph of an encoder, and export it first if the cache does not contain it.

    Args:
        recipe: The encoder's recipe.
        kind: "float32", `INT8_DYNAMIC` or `INT8_WEIGHTS`.
        open_torch: Opens the network in PyTorch, in float32; called only if there is something to export.

    Returns:
        The path of graph.onnx.

    Raises:
        CallError: The encoder cannot be exported.
        StorageFailed: The graph cannot be written to the cache folder.
    """
    folder = cache_folder() / "graphs" / _folder_name(recipe, kind)
    if not _is_complete(folder):
        step = ", or set EMBEDONCE_CACHE to another folder."
        with build_folder(folder, is_complete=_is_complete, next_step=step) as temporary:
            _write(recipe, kind, open_torch, temporary)
            (temporary / _HASHES).write_text(json.dumps(_hashes(temporary)), encoding="utf-8")
    return folder / _GRAPH


def _folder_name(recipe: Recipe, kind: str) -> str:
    identity = [FORMAT, recipe.weights, recipe.config, list(recipe.layers), kind, package_versions("onnx")]
    if kind == INT8_DYNAMIC:
        identity.append(_saturates())
    return hashlib.sha256(canonical_json(identity)).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != _HASHES}


def _is_complete(folder: Path) -> bool:
    try:
        expected = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return bool(expected == _hashes(folder))
    except (OSError, ValueError):
        return False


def _write(recipe: Recipe, kind: str, open_torch: Callable[[], TorchNetwork], folder: Path) -> None:
    network = open_torch() if kind == FLOAT32 else None
    float_graph = folder / _GRAPH if network else ensure_graph(recipe, FLOAT32, open_torch)
    try:
        with _silence():
            if network is not None:
                _export(network, float_graph)
            elif kind == INT8_DYNAMIC:
                _quantize(float_graph, folder / _GRAPH)
            else:
                _quantize_weights(float_graph, folder / _GRAPH)
    except Exception as error:  # PyTorch's exporter and ONNX Runtime's quantizer raise errors of any type
        if isinstance(error, OSError):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CallError(
            f"{recipe.encoder} cannot be exported as an ONNX graph ({reason}). Embed with --backend torch."
        ) from error


def _export(network: TorchNetwork, path: Path) -> None:
    """Trace the network; the numbers of rows and positions of a batch are dynamic."""
    import torch

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = network.module

        def forward(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> tuple["torch.Tensor", ...]:
            return tuple(network(ids, lengths))

    if network.has_groups:
        raise ValueError(_NO_GRAPH)
    if hasattr(network.module, "set_attn_implementation"):
        # ONNX Runtime optimizes plain matrix products further than fused attention: 1.06 times the speed
        network.module.set_attn_implementation("eager")  # type: ignore[operator]
    example = torch.full((3, 9), 3), torch.tensor([9, 4, 7])
    with torch.inference_mode():
        names = [f"layer_{number}" for number in range(len(network(*example)))]
    _check_trace(Traced(), example)
    dynamic = {0: "windows", 1: "positions"}
    torch.onnx.export(
        Traced(),
        example,
        str(path),
        input_names=["ids", "lengths"],
        output_names=names,
        dynamic_axes={"ids": dynamic, "lengths": {0: "windows"}} | dict.fromkeys(names, dynamic),
        opset_version=_OPSET,
        # the newer exporter needs another package (onnxscript), and its graph has the same speed
        dynamo=False,
    )


def _check_trace(network: "torch.nn.Module", example: "tuple[torch.Tensor, ...]") -> None:
    """Raise ValueError if the trace of a network is wrong for batches of another shape than that of `example`.

    That is so if a network pads or divides its input in Python, as Longformer does: the trace keeps those numbers.
    """
    import torch

    other = torch.full((2, 4), 3), torch.tensor([4, 2])
    with torch.inference_mode():
        try:
            trace: Callable[..., Sequence[torch.Tensor]]
            trace = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            states = trace(*other)
            equal = all(map(partial(torch.allclose, atol=1e-3), states, network(*other)))
        except RuntimeError:  # of an operator in the trace
            equal = False
    if not equal:
        raise ValueError(_NO_GRAPH)


def _quantize(float_graph: Path, path: Path) -> None:
    """Quantize the weights of matrix products to int8, with one scale per column.

    With one scale per matrix the vectors move seven times as far. Activations are quantized dynamically, so no
    calibration sample is needed. Embeddings and layer normalizations stay in float32. On an x86 CPU without VNNI
    instructions the sum of two products saturates at 16 bits, so weights have 7 bits there.
    """
    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options: dict[str, Any] = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": _saturates()}
    quantize_dynamic(float_graph, path, op_types_to_quantize=["MatMul"], **options)


def _quantize_weights(float_graph: Path, path: Path) -> None:
    """Quantize the weights of matrix products to 8 bits, with one scale per column.

    On a CPU with VNNI instructions OpenVINO quantizes the activations itself, 32 values at a time, and needs unsigned
    weights for it. On other CPUs it computes in float32 with these weights. It would read the graph of `_quantize`, but
    compute that in float32 too, and slower.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(float_graph)
    graph, nodes = model.graph, list[Any]()
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name in weights and weights[name].ndim == 2:
            inputs = [f"{name}/{part}" for part in ("quantized", "scale", "zero_point")]
            arrays: list[NDArray[Any]] = [*_quantize_columns(weights.pop(name))]
            graph.initializer.extend(map(numpy_helper.from_array, arrays, inputs))
            nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=1))
            graph.initializer.remove(next(tensor for tensor in graph.initializer if tensor.name == name))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def _quantize_columns(weight: FloatArray) -> tuple[NDArray[np.uint8], FloatArray, NDArray[np.uint8]]:
    """Quantize a float32 matrix to (its numbers, a scale per column, a zero point of 128 per column)."""
    scale = np.maximum(np.abs(weight).max(0) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return (np.rint(weight / scale) + 128).astype(np.uint8), scale, np.full(len(scale), 128, np.uint8)


def _saturates() -> bool:
    """Whether this CPU adds products of 8-bit numbers in 16 bits: an x86 CPU without VNNI instructions."""
    return platform.machine() in ("x86_64", "AMD64") and cpu_instructions().isdisjoint({"avx512_vnni", "avx_vnni"})


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress warnings and all logging; the quantizer logs advice through the root logger."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with silence_transformers():
            yield
    finally:
        logging.disable(level)
