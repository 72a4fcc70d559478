"""An encoder written down as an ONNX graph, once: in the cache, whole or absent.

graphs/<sha256 of all that decides it>/
  graph.onnx           ids and lengths, int64 -> hidden states of the layers asked, float32
  (further files)      weights beyond what one file of this kind may hold
  hashes.json          of the files beside it: a damaged graph is written anew
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic_write import build_folder, cache_folder, hash_file
from data.errors import CallError
from featurestore import Recipe
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.model_files.library_logging import silence_transformers
from stages.embed.network.backends import INT8, package_versions
from stages.embed.network.torch_network import TorchNetwork

if TYPE_CHECKING:
    import torch

# of these files; another one is another place in the cache
FORMAT = 1
_OPSET = 17
_GRAPH = "graph.onnx"
_HASHES = "hashes.json"


def ensure_graph(recipe: Recipe, precision: str, open_torch: Callable[[], TorchNetwork]) -> Path:
    """The graph of an encoder, from the cache or written into it; `precision` is "float32" or "int8".

    Raises CallError for an encoder that cannot be written down, StorageFailed where the disk refuses it.
    """
    folder = cache_folder() / "graphs" / _name(recipe, precision)
    if not _is_complete(folder):
        step = "Make room, or name another cache folder in EMBEDONCE_CACHE."
        with build_folder(folder, is_complete=_is_complete, next_step=step) as temporary:
            _write(recipe, precision, open_torch, temporary)
            (temporary / _HASHES).write_text(json.dumps(_hashes(temporary)), encoding="utf-8")
    return folder / _GRAPH


def _name(recipe: Recipe, precision: str) -> str:
    decisive = [FORMAT, recipe.weights, recipe.config, list(recipe.layers), precision, package_versions("onnx")]
    return hashlib.sha256(canonical_json(decisive)).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != _HASHES}


def _is_complete(folder: Path) -> bool:
    try:
        known = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return bool(known == _hashes(folder))
    except (OSError, ValueError):
        return False


def _write(recipe: Recipe, precision: str, open_torch: Callable[[], TorchNetwork], folder: Path) -> None:
    network: TorchNetwork | None = None
    if precision == INT8:
        exact = ensure_graph(recipe, "float32", open_torch)
    else:
        network, exact = open_torch(), folder / _GRAPH
    try:
        with _silence():
            if network is None:
                _quantise(exact, folder / _GRAPH)
            else:
                _export(network, exact)
    except Exception as error:  # torch's exporter and the quantiser raise whatever they meet
        if isinstance(error, OSError):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CallError(
            f"{recipe.encoder} cannot be written down as a graph ({reason}). It runs as it is: --backend torch."
        ) from error


def _export(network: TorchNetwork, path: Path) -> None:
    """Trace the network, of which rows and positions of a batch may be any number."""
    import torch

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = network.module

        def forward(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> tuple["torch.Tensor", ...]:
            return tuple(network(ids, lengths))

    if hasattr(network.module, "set_attn_implementation"):
        # written as plain products, attention is optimised further: 1.06 times the speed
        network.module.set_attn_implementation("eager")  # type: ignore[operator]
    example = torch.full((3, 9), 3), torch.tensor([9, 4, 7])
    with torch.inference_mode():
        names = [f"layer_{place}" for place in range(len(network(*example)))]
    free = {0: "windows", 1: "positions"}
    torch.onnx.export(
        Traced(),
        example,
        str(path),
        input_names=["ids", "lengths"],
        output_names=names,
        dynamic_axes={"ids": free, "lengths": {0: "windows"}} | dict.fromkeys(names, free),
        opset_version=_OPSET,
        # the newer exporter needs a package more (onnxscript) and gives a graph of the same speed
        dynamo=False,
    )


def _quantise(exact: Path, path: Path) -> None:
    """Weights of matrix products to int8, a scale a column: with one a matrix the vectors move seven times as far.

    What flows between is quantised as it comes, so no sample is needed; embeddings and normalisations stay float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    settings: dict[str, Any] = {"weight_type": QuantType.QInt8, "per_channel": True}
    quantize_dynamic(exact, path, op_types_to_quantize=["MatMul"], **settings)


@contextmanager
def _silence() -> Iterator[None]:
    """Inside, neither warnings nor the root logger's notices, through which the quantiser gives advice."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with silence_transformers():
            yield
    finally:
        logging.disable(before)
