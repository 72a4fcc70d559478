"""Pooling, compared with NumPy window by window."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.network.pooling import Pooling, stack_layers

KEEP = ("cls", "mean", "max", "segments", "tokens")


@st.composite
def batches(draw: st.DrawFn) -> tuple[Pooling, torch.Tensor, torch.Tensor]:
    """Windows of 0 to 12 tokens, with up to 2 special tokens before and 1 behind them."""
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 1))
    least = 1 if before + after == 0 else 0
    tokens = draw(st.lists(st.integers(least, 12), min_size=1, max_size=5))
    lengths = torch.tensor(tokens) + before + after
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    hidden = torch.randn(len(tokens), int(lengths.max()), 3, generator=generator)
    return Pooling(KEEP, draw(st.integers(1, 5)), before, before + after), hidden, lengths


@settings(deadline=None)
@given(batches())
def test_each_window_is_pooled_as_numpy_pools_it_alone(batch: tuple[Pooling, torch.Tensor, torch.Tensor]) -> None:
    pooling, hidden, lengths = batch
    expected: dict[str, list[np.ndarray]] = {name: [] for name in KEEP}
    for row, length in enumerate(lengths.tolist()):
        window = hidden[row, :length].numpy()
        tokens = window[pooling.first_token : pooling.first_token + length - pooling.extra_positions]
        starts = range(0, len(tokens), pooling.segment)
        expected["cls"].append(window[:1])
        expected["mean"].append(window.mean(0, keepdims=True))
        expected["max"].append(window.max(0, keepdims=True))
        expected["segments"] += [tokens[s : s + pooling.segment].mean(0, keepdims=True) for s in starts] or [
            window.mean(0, keepdims=True)
        ]
        expected["tokens"].append(tokens)
    pooled = stack_layers([pooling.pool(hidden, lengths)])
    for name, rows in expected.items():
        np.testing.assert_allclose(pooled[name], np.concatenate(rows), atol=1e-6)
        assert pooling.vector_counts(name, (lengths - pooling.extra_positions).numpy()).sum() == len(pooled[name])


@settings(deadline=None)
@given(batches())
def test_values_behind_a_windows_end_change_nothing(batch: tuple[Pooling, torch.Tensor, torch.Tensor]) -> None:
    pooling, hidden, lengths = batch
    other = torch.cat([hidden, torch.full((len(hidden), 2, 3), 1e6)], 1)
    for name, array in stack_layers([pooling.pool(other, lengths)]).items():
        np.testing.assert_allclose(array, stack_layers([pooling.pool(hidden, lengths)])[name], atol=1e-6)


def test_only_what_is_kept_is_computed_and_the_mean_which_reveals_nan() -> None:
    pooled = Pooling(("cls",), 0, 1, 2).pool(torch.ones(2, 4, 3), torch.tensor([4, 3]))
    assert set(pooled) == {"cls", "mean"}


def test_several_layers_are_stacked() -> None:
    layers = [{"mean": torch.full((2, 3), value)} for value in (1.0, 2.0)]
    assert stack_layers(layers)["mean"].shape == (2, 2, 3)
    assert stack_layers(layers)["mean"][0, :, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("tokens", "segments"), [(0, 1), (1, 1), (32, 1), (33, 2), (254, 8)])
def test_a_window_has_one_segment_per_32_tokens_or_part_of_them_and_at_least_one(tokens: int, segments: int) -> None:
    assert Pooling(("segments",), 32, 1, 2).vector_counts("segments", np.array([tokens])).tolist() == [segments]
