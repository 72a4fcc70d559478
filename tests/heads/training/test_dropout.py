"""Dropout with cheaper random numbers: what torch's own does."""

import pytest
import torch
from torch import nn

from heads.training.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_a_share_is_dropped_and_the_others_keep_the_mean(p: float) -> None:
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(400, 501))
    # 200,400 tosses: 0.005 is more than four standard deviations
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=0.005)
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-3)


def test_each_number_is_dropped_by_itself() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(20_000, 4)) == 0).float()
    # four numbers share a draw: none tells of another
    assert (torch.corrcoef(dropped.T) - torch.eye(4)).abs().max() < 0.03


def test_gradients_pass_where_numbers_were_kept() -> None:
    given = torch.ones(64, 3, requires_grad=True)
    out = Dropout(0.5)(given)
    (slope,) = torch.autograd.grad(out.sum(), given)
    assert torch.equal(slope, out.detach())


def test_the_same_seed_drops_the_same_and_a_network_at_rest_drops_nothing() -> None:
    layer, given = Dropout(0.5), torch.ones(7, 5)
    outs = []
    for _ in range(2):
        torch.manual_seed(3)
        outs.append(layer(given))
    assert torch.equal(*outs)
    assert torch.equal(layer.eval()(given), given)
    assert isinstance(layer, nn.Dropout)
