"""An encoder's graph at work, on the processor: in ONNX Runtime or in OpenVINO.

Both are called as the network in torch is, with ids, int64 (windows, longest), and lengths, int64 (windows,), and give
a float32 (windows, longest, dim) for each layer of the graph. They use as many threads as torch does.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import CallError
from featurestore import Recipe
from stages.embed.network.graph_export import ensure_graph
from stages.embed.network.torch_network import Network, TorchNetwork

if TYPE_CHECKING:
    import torch


class OnnxNetwork:
    """A graph in ONNX Runtime, float32 or int8."""

    def __init__(self, path: Path) -> None:
        import onnxruntime
        import torch

        onnxruntime.disable_telemetry_events()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 4
        # between two calls its threads would spin, on the cores that pool the last batch
        settings.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Hidden states of each layer of the graph."""
        import torch

        states = self._session.run(None, {"ids": ids.numpy(), "lengths": lengths.numpy()})
        return [torch.from_numpy(state) for state in states]


class OpenVinoNetwork:
    """A float32 graph in OpenVINO."""

    def __init__(self, path: Path) -> None:
        import torch

        with _unobserved():
            import openvino

        settings = {
            # it would take bfloat16 where the processor has it
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._request = openvino.compile_model(str(path), "CPU", settings).create_infer_request()

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Hidden states of each layer of the graph."""
        import torch

        states = self._request.infer([ids.numpy(), lengths.numpy()], share_inputs=True)
        return [torch.from_numpy(states[place]) for place in range(len(states))]


@contextmanager
def _unobserved() -> Iterator[None]:
    """Inside, OpenVINO finds no telemetry package: it would tell its maker of being imported, and leave files at home.

    OpenVINO does without where that package is missing.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def network_factory(recipe: Recipe, open_torch: Callable[..., Network]) -> Callable[[str], Network]:
    """A precision -> the network that `recipe` asks for.

    open_torch: (precision, device, onednn) -> the network in torch, where `device` and `onednn` may be left out.
    """
    if recipe.backend == "torch":
        return open_torch

    def open_graph(precision: str) -> Network:
        def open_reference() -> TorchNetwork:
            network = open_torch("float32", device="cpu", onednn=False)
            if isinstance(network, TorchNetwork):
                return network
            raise CallError(
                f"{recipe.encoder} is no network of layers that {recipe.backend} could run: --backend torch."
            )

        path = ensure_graph(recipe, precision, open_reference)
        return OnnxNetwork(path) if recipe.backend == "onnx" else OpenVinoNetwork(path)

    return open_graph
