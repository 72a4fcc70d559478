"""The states of LSTM and GRU layers over documents of any length, with a gradient that is fast on a CPU.

torch's gradient multiplies small matrices at every time step to add up the gradient of the recurrent weights, and with
packed sequences its time is quadratic in the longest document. Here both directions take each step together, and what
does not depend on the next step is computed for all times at once: the products with the input before the recurrence,
the derivatives of the gates before the gradient's, and the gradient of the recurrent weights after it.

The equations are those of torch.nn.LSTM (Hochreiter & Schmidhuber 1997, with forget gates of Gers et al. 2000) and
torch.nn.GRU (Cho et al. 2014), and so are the parameters.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import torch
from torch import nn

__all__ = ["TimeOrder", "recurrent_states"]


class TimeOrder(NamedTuple):
    """Positions sorted by time: the first of each document, longest document first, then the second ones, and so on.

    forward: int64 (all positions,). backward: the same with each document read from its end. sizes: int64 (times,),
    documents per time.
    """

    forward: torch.Tensor
    backward: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def of(cls, lengths: torch.Tensor) -> Self:
        """The order in which a recurrence reads concatenated documents of these lengths, int64 (documents,)."""
        longest_first = lengths.argsort(descending=True, stable=True)
        ends, lengths = lengths.cumsum(0)[longest_first], lengths[longest_first]
        time = torch.arange(int(lengths[0]))[:, None]
        is_real = time < lengths
        return cls((ends - lengths + time)[is_real], (ends - 1 - time)[is_real], is_real.sum(dim=1))


def recurrent_states(layer: nn.LSTM | nn.GRU, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The states of the last layer, float (all positions, directions * hidden), in the order of `vectors`.

    Args:
        layer: the weights, on the CPU; in training, its dropout is applied between layers.
        vectors: float (all positions, dim), one document after the other.
        lengths: int64 (documents,), positions of each document, at least 1.
    """
    order = TimeOrder.of(lengths)
    times = Times.of((order.forward, order.backward)[: 2 if layer.bidirectional else 1], order.sizes)
    cell: Any = _LSTM if isinstance(layer, nn.LSTM) else _GRU
    for number in range(layer.num_layers):
        if number:
            vectors = nn.functional.dropout(vectors, layer.dropout, layer.training)
        # of each direction: weights of the input and of the state, biases of the input and of the state
        parameters = layer.all_weights[number * len(times.order) :][: len(times.order)]
        input_weight, state_weight, input_bias, state_bias = map(torch.cat, zip(*parameters, strict=True))
        gates = nn.functional.linear(vectors, input_weight, input_bias)
        weight = state_weight.view(len(times.order), -1, layer.hidden_size)
        vectors = cell.apply(gates, weight, state_bias.view(len(times.order), 1, -1), times)
    return vectors


class Times(NamedTuple):
    """Where the time steps are among positions in time order.

    order: of each direction, the positions in time order, int64 (all positions,). steps: the positions of each time.
    before: for each but the first, the positions of the same documents one time earlier. previous: int64 (all positions
    but those of the first time,), `before` as one index.
    """

    order: Sequence[torch.Tensor]
    steps: Sequence[slice]
    before: Sequence[slice]
    previous: torch.Tensor

    @classmethod
    def of(cls, order: Sequence[torch.Tensor], sizes: torch.Tensor) -> Self:
        """sizes: int64 (times,), the number of documents at each time, which never grows."""
        ends = [0, *sizes.cumsum(0).tolist()]
        steps = [slice(start, end) for start, end in pairwise(ends)]
        before = [slice(earlier.start, earlier.start + step.stop - step.start) for earlier, step in pairwise(steps)]
        shift = torch.repeat_interleave(sizes[:-1], sizes[1:])
        return cls(order, steps, before, torch.arange(int(sizes[0]), ends[-1]) - shift)

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """(all positions, directions * width) in the documents' order -> (directions, all positions, width) in time."""
        gathered = values.new_empty(len(self.order), len(values), values.shape[1] // len(self.order))
        for index, part, out in zip(self.order, values.chunk(len(self.order), dim=1), gathered, strict=True):
            torch.index_select(part, 0, index, out=out)
        return gathered

    def scatter(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `gather`."""
        scattered = values.new_empty(values.shape[1], len(self.order) * values.shape[2])
        for index, part, out in zip(self.order, values, scattered.chunk(len(self.order), dim=1), strict=True):
            out.index_copy_(0, index, part)
        return scattered

    def shift(self, states: torch.Tensor) -> torch.Tensor:
        """The state before each position, zero before the first: (directions, all positions, hidden)."""
        first = states.new_zeros(states.shape[0], self.steps[0].stop, states.shape[2])
        return torch.cat([first, states[:, self.previous]], dim=1)


class _LSTM(torch.autograd.Function):
    """gates: (all positions, directions * 4 * hidden) of input, forget, cell and output, without the state's part."""

    @staticmethod
    def forward(ctx: Any, gates: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, times: Times) -> torch.Tensor:
        hidden = weight.shape[2]
        gates = times.gather(gates).add_(bias)
        transposed = weight.transpose(1, 2)
        cells, states = gates.new_empty(*gates.shape[:2], hidden), gates.new_empty(*gates.shape[:2], hidden)
        cell_tanh = torch.empty_like(cells)
        for number, step in enumerate(times.steps):
            gate = gates[:, step]
            if number:
                gate.baddbmm_(states[:, times.before[number - 1]], transposed)
            gate[..., : 2 * hidden].sigmoid_()
            gate[..., 2 * hidden : 3 * hidden].tanh_()
            gate[..., 3 * hidden :].sigmoid_()
            input_gate, forget_gate, candidate, output_gate = gate.chunk(4, dim=2)
            cell = torch.mul(input_gate, candidate, out=cells[:, step])
            if number:
                cell.addcmul_(forget_gate, cells[:, times.before[number - 1]])
            torch.tanh(cell, out=cell_tanh[:, step])
            torch.mul(output_gate, cell_tanh[:, step], out=states[:, step])
        ctx.save_for_backward(gates, cells, cell_tanh, states, weight)
        ctx.times = times
        return times.scatter(states)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gates, cells, cell_tanh, states, weight = ctx.saved_tensors
        times, hidden = ctx.times, weight.shape[2]
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=2)
        # derivatives of the cell by its three gates and of the state by the output gate; of the state by the cell
        factors = torch.addcmul(gates, gates, gates, value=-1).view(*gates.shape[:2], 4, hidden)
        factors[:, :, 0].mul_(candidate)
        factors[:, :, 1].mul_(times.shift(cells))
        torch.mul(input_gate, 1 - candidate.square(), out=factors[:, :, 2])
        factors[:, :, 3].mul_(cell_tanh)
        by_cell = output_gate * (1 - cell_tanh.square())
        # each step multiplies its factors in place
        grad_states, grad_cells, grad_gates = times.gather(gradient), torch.zeros_like(cells), factors
        for number, step in reversed(list(enumerate(times.steps))):
            grad_state, grad_cell = grad_states[:, step], grad_cells[:, step]
            grad_cell.addcmul_(grad_state, by_cell[:, step])
            grad_gates[:, step, :3].mul_(grad_cell[:, :, None])
            grad_gates[:, step, 3].mul_(grad_state)
            if number:
                before = times.before[number - 1]
                grad_states[:, before].baddbmm_(grad_gates[:, step].flatten(2), weight)
                torch.mul(grad_cell, forget_gate[:, step], out=grad_cells[:, before])
        grad_gates = grad_gates.flatten(2)
        grad_bias = grad_gates.sum(dim=1, keepdim=True)
        return times.scatter(grad_gates), _weight_gradient(grad_gates, states, times), grad_bias, None


class _GRU(torch.autograd.Function):
    """gates: (all positions, directions * 3 * hidden) of reset, update and candidate, without the state's part."""

    @staticmethod
    def forward(ctx: Any, gates: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, times: Times) -> torch.Tensor:
        hidden = weight.shape[2]
        transposed = weight.transpose(1, 2)
        # the state's part: of all gates, then in the place of the first two their values
        gates = times.gather(gates)
        parts = bias.expand_as(gates).clone()
        candidates, states = gates.new_empty(*gates.shape[:2], hidden), gates.new_empty(*gates.shape[:2], hidden)
        for number, step in enumerate(times.steps):
            part, gate = parts[:, step], gates[:, step]
            if number:
                part.baddbmm_(states[:, times.before[number - 1]], transposed)
            part[..., : 2 * hidden].add_(gate[..., : 2 * hidden]).sigmoid_()
            reset_gate, update_gate, candidate_part = part.chunk(3, dim=2)
            candidate = torch.addcmul(
                gate[..., 2 * hidden :], reset_gate, candidate_part, out=candidates[:, step]
            ).tanh_()
            state = torch.addcmul(candidate, update_gate, candidate, value=-1, out=states[:, step])
            if number:
                state.addcmul_(update_gate, states[:, times.before[number - 1]])
        ctx.save_for_backward(parts, candidates, states, weight)
        ctx.times = times
        return times.scatter(states)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        parts, candidates, states, weight = ctx.saved_tensors
        times = ctx.times
        reset_gate, update_gate, candidate_part = parts.chunk(3, dim=2)
        # derivatives of the state by the candidate's input, and by the state's part of each gate
        by_candidate = (1 - update_gate) * (1 - candidates.square())
        factors = torch.addcmul(parts, parts, parts, value=-1).view(*parts.shape[:2], 3, -1)
        factors[:, :, 0].mul_(by_candidate).mul_(candidate_part)
        factors[:, :, 1].mul_(times.shift(states).sub_(candidates))
        torch.mul(by_candidate, reset_gate, out=factors[:, :, 2])
        # each step multiplies its factors in place
        grad_states, grad_parts = times.gather(gradient), factors
        for number, step in reversed(list(enumerate(times.steps))):
            grad_parts[:, step].mul_(grad_states[:, step, None])
            if number:
                before = grad_states[:, times.before[number - 1]]
                before.addcmul_(grad_states[:, step], update_gate[:, step])
                before.baddbmm_(grad_parts[:, step].flatten(2), weight)
        grad_gates = torch.cat([grad_parts[:, :, :2].flatten(2), grad_states * by_candidate], dim=2)
        grad_parts = grad_parts.flatten(2)
        grad_bias = grad_parts.sum(dim=1, keepdim=True)
        return times.scatter(grad_gates), _weight_gradient(grad_parts, states, times), grad_bias, None


def _weight_gradient(grad_gates: torch.Tensor, states: torch.Tensor, times: Times) -> torch.Tensor:
    """(directions, gates * hidden, hidden), from the gradients of the state's part of all gates."""
    later = grad_gates[:, times.steps[0].stop :].transpose(1, 2)
    return torch.bmm(later, states[:, times.previous])
