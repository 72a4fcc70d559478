"""A recurrence over documents without padding: torch's own states and gradients, whatever their lengths."""

import pytest
import torch
from torch import nn

from heads.classifiers.recurrent import hidden_states
from heads.training.document_batches import Batch


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[3, 1, 7], [69, 1, 32, 33, 96], [1, 1], [5]])
def test_states_and_gradients_are_those_of_each_document_alone(
    kind: type[nn.LSTM] | type[nn.GRU], bidirectional: bool, lengths: list[int]
) -> None:
    torch.manual_seed(0)
    layer = kind(3, 4, 2, batch_first=True, bidirectional=bidirectional)
    steps = torch.randn(sum(lengths), 3, requires_grad=True)
    together = hidden_states(layer, Batch(steps, torch.tensor(lengths)))
    alone = torch.cat([layer(document[None])[0][0] for document in torch.split(steps, lengths)])
    torch.testing.assert_close(together, alone)
    aim = torch.randn_like(alone)
    for one, other in zip(
        torch.autograd.grad((together * aim).sum(), [steps, *layer.parameters()]),
        torch.autograd.grad((alone * aim).sum(), [steps, *layer.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
