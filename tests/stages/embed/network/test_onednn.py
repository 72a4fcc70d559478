"""Linear layers of oneDNN: the same vectors, or else an unchanged network."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN

from stages.embed.network import onednn
from stages.embed.network.onednn import can_pack_linear_layers, pack_linear_layers
from stages.embed.network.torch_network import TorchNetwork
from tests.stages.embed.conftest import Folders

pytestmark = pytest.mark.skipif(not can_pack_linear_layers(), reason="this CPU or PyTorch lacks the operators")
VALUES = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))


class Layer(nn.Module):
    """A layer as in transformers. by_hand: it reads the weights itself."""

    def __init__(self, activation: str = "gelu", *, by_hand: bool = False) -> None:
        super().__init__()
        self.dense = nn.Linear(16, 32)
        self.intermediate_act_fn = ACT2FN[activation]
        self.output = nn.Linear(32, 16, bias=False)
        self.by_hand = by_hand

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = values @ self.dense.weight.T + self.dense.bias if self.by_hand else self.dense(values)
        output: torch.Tensor = self.output(self.intermediate_act_fn(inner))
        return output


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_packed_layers_give_the_values_of_torch(activation: str) -> None:
    layer = Layer(activation).eval().requires_grad_(False)
    plain = layer(VALUES)
    assert pack_linear_layers(layer, lambda: [layer(VALUES[:1, :3])])
    assert layer.dense.weight.is_meta
    assert isinstance(layer.intermediate_act_fn, nn.Identity) == (activation == "gelu")
    torch.testing.assert_close(layer(VALUES), plain, atol=1e-5, rtol=1e-5)


def test_a_network_that_reads_weights_itself_is_unchanged() -> None:
    layer = Layer(by_hand=True).eval().requires_grad_(False)
    plain = layer(VALUES)
    assert not pack_linear_layers(layer, lambda: [layer(VALUES)])
    assert torch.equal(layer(VALUES), plain)


def test_a_network_whose_values_would_differ_is_unchanged() -> None:
    layer = Layer().eval().requires_grad_(False)
    plain = layer(VALUES)
    # the value depends on whether the first layer was replaced
    assert not pack_linear_layers(layer, lambda: [layer(VALUES) + float(layer.dense.weight.is_meta)])
    assert torch.equal(layer(VALUES), plain)


def test_the_layers_of_an_encoder_on_the_cpu_are_packed_unless_it_is_exported(folders: Folders) -> None:
    packed, plain = (TorchNetwork(folders("bert"), (-1,), "float32", "cpu", onednn=on) for on in (True, False))
    assert all(weight.is_meta for name, weight in packed.module.named_parameters() if name.endswith("dense.weight"))
    assert not any(weight.is_meta for weight in plain.module.parameters())


class Bfloat16Operators:
    """oneDNN's operators in bfloat16, with float32 sums and one rounding at the end. packed: of how many weights."""

    def __init__(self, factor: float = 1.0) -> None:
        self.packed, self.factor = 0, factor

    def _reorder_linear_weight(self, weight: torch.Tensor, _: int) -> torch.Tensor:
        assert weight.dtype == torch.bfloat16
        self.packed += 1
        return weight

    def _linear_pointwise(
        self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, name: str, *_: object
    ) -> torch.Tensor:
        output = values.float() @ weight.float().T + (0 if bias is None else bias.float())
        return (self.factor * (nn.functional.gelu(output) if name == "gelu" else output)).bfloat16()


@pytest.mark.parametrize(("factor", "is_packed"), [(1.0, True), (1.2, False)])
def test_an_encoder_in_bfloat16_is_packed_if_its_values_stay(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, factor: float, is_packed: bool
) -> None:
    operators = Bfloat16Operators(factor)
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    network = TorchNetwork(folders("bert"), (-1,), "bfloat16", "cpu")
    weights = [weight for name, weight in network.module.named_parameters() if name.endswith("dense.weight")]
    assert operators.packed > 0
    assert all(weight.is_meta == is_packed for weight in weights)
    (states,) = network(torch.tensor([[3, 4, 5, 6]]), torch.tensor([4]))
    (exact,) = TorchNetwork(folders("bert"), (-1,), "float32", "cpu", onednn=False)(
        torch.tensor([[3, 4, 5, 6]]), torch.tensor([4])
    )
    assert nn.functional.cosine_similarity(states.flatten(), exact.flatten(), dim=0) > 0.999


def pack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: dict[str, float], cache: str
) -> tuple[Layer, torch.Tensor, int]:
    """A layer of which each shape is timed, with the given result; returns it, its values before, and the timings."""
    timed = []

    def time_forms(shape: tuple[int, int], *_: object, **__: object) -> dict[str, float]:
        timed.append(shape)
        return seconds

    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / cache))
    monkeypatch.setattr(onednn, "LEAST_WEIGHTS", 0)
    monkeypatch.setattr(onednn, "_time_forms", time_forms)
    onednn._fastest_form.cache_clear()
    layer = Layer().eval().requires_grad_(False)
    plain = layer(VALUES)
    pack_linear_layers(layer, lambda: [layer(VALUES)])
    onednn._fastest_form.cache_clear()
    return layer, plain, len(timed)


@pytest.mark.parametrize(
    ("seconds", "is_packed", "is_fused"),
    [
        ({"plain": 1.0, "packed": 2.0, "fused": 3.0}, False, False),
        ({"plain": 1.0, "packed": 0.98, "fused": 3.0}, False, False),  # within noise
        ({"plain": 3.0, "packed": 1.0, "fused": 2.0}, True, False),
        ({"plain": 3.0, "packed": 2.0, "fused": 1.0}, True, True),
    ],
)
def test_a_layer_has_the_form_that_is_fastest_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: dict[str, float], is_packed: bool, is_fused: bool
) -> None:
    layer, plain, _ = pack(monkeypatch, tmp_path, seconds, "cache")
    assert layer.dense.weight.is_meta == is_packed
    assert isinstance(layer.intermediate_act_fn, nn.Identity) == is_fused
    torch.testing.assert_close(layer(VALUES), plain, atol=1e-5, rtol=1e-5)


def test_the_next_process_has_the_same_form_without_a_timing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    *_, timings = pack(monkeypatch, tmp_path, {"plain": 3.0, "packed": 1.0, "fused": 2.0}, "cache")
    assert timings == 2  # two shapes
    layer, _, timings = pack(monkeypatch, tmp_path, {"plain": 1.0, "packed": 2.0, "fused": 2.0}, "cache")
    assert (timings, layer.dense.weight.is_meta) == (0, True)
    for path in (tmp_path / "cache" / "linear_layers").iterdir():
        path.write_text("[")
    layer, _, timings = pack(monkeypatch, tmp_path, {"plain": 1.0, "packed": 2.0, "fused": 2.0}, "cache")
    assert (timings, layer.dense.weight.is_meta) == (2, False)


def test_the_forms_of_a_layer_are_timed() -> None:
    seconds = onednn._time_forms((8, 4), torch.float32, has_gelu=True)
    assert seconds.keys() == {"plain", "packed", "fused"}
    assert all(0 <= value < 60 for value in seconds.values())
