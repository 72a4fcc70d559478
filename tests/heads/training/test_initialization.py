"""How weights start."""

import math

import pytest
import torch
from torch import nn

from data.errors import UnknownName
from heads.training.initialization import initialize, initialize_recurrent, truncated_normal


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_truncated_normal_has_the_asked_deviation_and_no_tail() -> None:
    weight = torch.empty(400, 500)
    truncated_normal(weight, 0.02, generator())
    assert float(weight.std()) == pytest.approx(0.02, rel=0.01)  # of 200,000 draws: a hundredth is five standard errors
    assert abs(float(weight.mean())) < 0.0003
    # two deviations of the uncut normal, which is 1 / 0.8796 times as wide
    assert 0.99 * 0.04548 < float(weight.abs().max()) <= 0.04548


def test_truncated_normal_draws_matrices_and_zeroes_the_biases_of_linear_layers() -> None:
    linear, norm = nn.Linear(300, 300), nn.LayerNorm(300)
    initialize(nn.Sequential(linear, norm), "truncated_normal", generator())
    assert float(linear.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert not linear.bias.any()
    assert norm.weight.tolist() == [1.0] * 300


def test_truncated_normal_leaves_recurrent_matrices_orthogonal() -> None:
    lstm = nn.LSTM(5, 4)
    initialize_recurrent(lstm)
    before = lstm.get_parameter("weight_hh_l0").clone()
    initialize(lstm, "truncated_normal", generator())
    assert torch.equal(lstm.get_parameter("weight_hh_l0"), before)
    assert float(lstm.get_parameter("weight_ih_l0").detach().abs().max()) < 0.0455


def test_xavier_is_uniform_within_the_bound_of_inputs_and_outputs() -> None:
    linear = nn.Linear(300, 200)
    initialize(linear, "xavier", generator())
    bound = math.sqrt(6 / 500)
    assert 0.99 * bound < float(linear.weight.detach().abs().max()) <= bound
    assert float(linear.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not linear.bias.any()


def test_kaiming_is_normal_with_twice_the_variance_of_one_over_the_inputs() -> None:
    linear = nn.Linear(300, 200)
    initialize(linear, "kaiming", generator())
    assert float(linear.weight.detach().std()) == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    assert float(linear.weight.detach().abs().max()) > 3 * math.sqrt(2 / 300)
    assert not linear.bias.any()


@pytest.mark.parametrize("how", ["xavier", "kaiming"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_keep_their_orthogonal_matrices_and_biases(how: str, kind: type[nn.LSTM | nn.GRU]) -> None:
    layer = kind(50, 40)
    initialize_recurrent(layer)
    before = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
    initialize(layer, how, generator())  # type: ignore[arg-type]  # one of the choices
    changed = {name for name, weight in layer.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"weight_ih_l0"}


def test_each_gate_and_each_of_queries_keys_and_values_has_fans_of_its_own() -> None:
    lstm, attention = nn.LSTM(50, 40), nn.MultiheadAttention(60, 2)
    initialize(nn.ModuleList([lstm, attention]), "xavier", generator())
    for weight, bound in [
        (lstm.get_parameter("weight_ih_l0"), math.sqrt(6 / (50 + 40))),
        (attention.in_proj_weight, math.sqrt(6 / (60 + 60))),
    ]:
        assert 0.97 * bound < float(weight.detach().abs().max()) <= bound


def test_default_leaves_what_each_layer_drew() -> None:
    layer = nn.Linear(3, 3)
    before = layer.weight.clone()
    initialize(layer, "default", generator())
    assert torch.equal(layer.weight, before)


def test_an_unknown_initialisation_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"^init is 'truncated'\. Did you mean 'truncated_normal'\?$"):
        initialize(nn.Linear(1, 1), "truncated", generator())  # type: ignore[arg-type]  # what a caller may type


def test_every_gate_of_an_lstm_starts_orthogonal_and_the_forget_gate_open() -> None:
    lstm = nn.LSTM(5, 4, num_layers=2, bidirectional=True)
    initialize_recurrent(lstm)
    for name, weight in lstm.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.detach().chunk(4):
                torch.testing.assert_close(gate @ gate.T, torch.eye(4))
        if name.startswith("bias"):
            total = lstm.get_parameter(name.replace("_ih_", "_hh_")) + lstm.get_parameter(name.replace("_hh_", "_ih_"))
            assert total.tolist() == [0] * 4 + [1] * 4 + [0] * 8  # input, forget, cell, output
