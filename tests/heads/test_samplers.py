"""What an epoch reads, by the share of each label."""

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.samplers import SamplerName, drawn

Y = np.repeat([0, 1, 2], [9000, 900, 100])


def shares(sampler: SamplerName, progress: float) -> NDArray[np.float64]:
    rows = drawn(Y, sampler, progress, np.random.default_rng(0))
    assert len(rows) == len(Y)
    return np.bincount(Y[rows], minlength=3) / len(rows)


def test_as_they_are_every_document_comes_once() -> None:
    assert drawn(Y, "instance", 0.5, np.random.default_rng(0)).tolist() == list(range(len(Y)))


@pytest.mark.parametrize(
    ("sampler", "progress", "expected"),
    [
        ("square_root", 0.0, np.sqrt([9000, 900, 100]) / np.sqrt([9000, 900, 100]).sum()),
        ("balanced", 0.0, [1 / 3, 1 / 3, 1 / 3]),
        ("progressive", 0.0, [0.9, 0.09, 0.01]),
        ("progressive", 0.5, [(0.9 + 1 / 3) / 2, (0.09 + 1 / 3) / 2, (0.01 + 1 / 3) / 2]),
        ("progressive", 1.0, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_labels_have_their_share_of_an_epoch(sampler: SamplerName, progress: float, expected: list[float]) -> None:
    np.testing.assert_allclose(shares(sampler, progress), expected, atol=0.02)


def test_documents_of_a_label_come_as_often_as_each_other_and_a_label_without_any_is_passed_over() -> None:
    rows = drawn(np.repeat([0, 2], [500, 500]), "balanced", 0.0, np.random.default_rng(0))
    times = np.bincount(rows, minlength=1000)
    assert times[:500].mean() == pytest.approx(1, abs=0.1)
    assert times.max() < 8
