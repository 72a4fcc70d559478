"""Networks that run an exported graph on the CPU, in ONNX Runtime or in OpenVINO.

Both have the call of `TorchNetwork`: ids, int64 (windows, longest), and lengths, int64 (windows,), give a float32
(windows, longest, dim) for each layer of the graph. Both use as many threads as PyTorch.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import CallError
from featurestore import Recipe
from stages.embed.network.backends import BFLOAT16, FLOAT32, INT8, import_onnxruntime, import_openvino
from stages.embed.network.graph_export import INT8_WEIGHTS, ensure_graph
from stages.embed.network.torch_network import Network, TorchNetwork

if TYPE_CHECKING:
    import torch


class OnnxNetwork:
    """A graph in ONNX Runtime, in float32 or int8."""

    def __init__(self, path: Path) -> None:
        import torch

        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        # between two calls its threads would spin on the cores that pool the last batch
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Return the hidden states of each layer of the graph."""
        import torch

        states = self._session.run(None, {"ids": ids.numpy(), "lengths": lengths.numpy()})
        return [torch.from_numpy(state) for state in states]


class OpenVinoNetwork:
    """A graph in OpenVINO, in float32, bfloat16, or with weights in int8.

    On a CPU without instructions for bfloat16, OpenVINO computes in float32 instead, so that a run whose store was made
    on another machine still predicts.
    """

    def __init__(self, path: Path, precision: str = FLOAT32) -> None:
        import torch

        properties = {
            # the default is bfloat16 on CPUs that support it
            "INFERENCE_PRECISION_HINT": "bf16" if precision == BFLOAT16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._request = import_openvino().compile_model(str(path), "CPU", properties).create_infer_request()

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":
        """Return the hidden states of each layer of the graph."""
        import torch

        states = self._request.infer([ids.numpy(), lengths.numpy()], share_inputs=True)
        return [torch.from_numpy(states[layer]) for layer in range(len(states))]


def network_factory(recipe: Recipe, open_torch: Callable[..., Network]) -> Callable[[str], Network]:
    """Return a function that opens the network of `recipe` in a given precision.

    Args:
        recipe: Its backend decides which kind of network is opened.
        open_torch: (precision, device, onednn) -> the network in PyTorch; `device` and `onednn` are optional.

    Returns:
        A function from a precision to the network. It raises CallError if the backend cannot run the encoder.
    """
    if recipe.backend == "torch":
        return open_torch

    def open_graph(precision: str) -> Network:
        def open_reference() -> TorchNetwork:
            network = open_torch("float32", device="cpu", onednn=False)
            if isinstance(network, TorchNetwork):
                return network
            raise CallError(
                f"{recipe.encoder} has no layers that the backend {recipe.backend} could run. Embed with --backend "
                "torch."
            )

        if recipe.backend == "onnx":
            return OnnxNetwork(ensure_graph(recipe, precision, open_reference))
        kind = INT8_WEIGHTS if precision == INT8 else FLOAT32
        return OpenVinoNetwork(ensure_graph(recipe, kind, open_reference), precision)

    return open_graph
