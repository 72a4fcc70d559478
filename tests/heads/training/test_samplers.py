"""What an epoch reads, by the share of each label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.training.samplers import SamplerName, sample_documents, sampling_probabilities

Y = np.repeat([0, 1, 2], [9000, 900, 100])


def shares(sampler: SamplerName, progress: float) -> NDArray[np.float64]:
    rows = sample_documents(Y, sampler, progress, np.random.default_rng(0))
    assert len(rows) == len(Y)
    return np.bincount(Y[rows], minlength=3) / len(rows)


def test_as_they_are_every_document_comes_once() -> None:
    assert sample_documents(Y, "instance", 0.5, np.random.default_rng(0)).tolist() == list(range(len(Y)))


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
    rows = sample_documents(np.repeat([0, 2], [500, 500]), "balanced", 0.0, np.random.default_rng(0))
    times = np.bincount(rows, minlength=1000)
    assert times[:500].mean() == pytest.approx(1, abs=0.1)
    assert times.max() < 8


def test_documents_come_as_often_as_their_weights_say() -> None:
    rows = sample_documents(Y[:6], "weighted", 0.0, np.random.default_rng(0), np.array([3.0, 1, 1, 1, 0, 0]))
    assert np.bincount(rows, minlength=6).tolist() == [3, 1, 1, 1, 0, 0]


def test_a_document_of_several_labels_has_the_chances_of_all_and_one_of_none_is_a_label_of_its_own() -> None:
    has = np.array([[True, True], [True, False], [False, False]])
    # labels of 2, 1 and (none) 1 documents, each with the same share: 1/2 + 1, 1/2, 1 of 3
    assert sampling_probabilities(has, "balanced", 0.0).tolist() == pytest.approx([1.5 / 3, 0.5 / 3, 1 / 3])


@given(
    y=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    sampler=st.sampled_from(["instance", "square_root", "balanced", "progressive", "weighted"]),
    ranks=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_processes_of_one_seed_read_together_what_one_process_would_have(
    y: list[int], sampler: SamplerName, ranks: int, seed: int
) -> None:
    labels, weight = np.array(y), np.arange(1.0, len(y) + 1)

    def share(rank: int, ranks: int) -> NDArray[np.int64]:
        return sample_documents(labels, sampler, 0.5, np.random.default_rng(seed), weight, rank=rank, ranks=ranks)

    whole, parts = share(0, 1), [share(rank, ranks) for rank in range(ranks)]
    assert len(whole) == len(y) == sum(map(len, parts))
    for rank, part in enumerate(parts):
        assert part.tolist() == whole[rank::ranks].tolist()


@given(
    y=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    sampler=st.sampled_from(["square_root", "balanced", "progressive"]),
)
def test_each_document_comes_as_often_as_its_chance_says_rounded_up_or_down(y: list[int], sampler: SamplerName) -> None:
    labels = np.array(y)
    expected = len(y) * sampling_probabilities(labels, sampler, 0.3)
    times = np.bincount(sample_documents(labels, sampler, 0.3, np.random.default_rng(0)), minlength=len(y))
    assert (np.abs(times - expected) < 1 + 1e-9).all()


def test_progressive_begins_with_every_document_alike_however_many_labels_it_has() -> None:
    has = np.array([[True, True, True], [True, False, False], [False, False, False]])
    assert sampling_probabilities(has, "progressive", 0.0).tolist() == pytest.approx([1 / 3] * 3)
