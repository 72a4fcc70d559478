"""What an epoch reads, by the share of each label."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.training.samplers import EpochBatches, SamplerName, sample_documents, sampling_probabilities

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


def test_many_labels_need_no_memory_for_each_document_and_label() -> None:
    y = np.arange(3000)
    tracemalloc.start()
    probabilities = sampling_probabilities(y, "balanced", 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3000 * 3000 and (probabilities == 1 / 3000).all()


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
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_processes_of_one_seed_read_equally_many_documents_and_count_together_what_one_process_would(
    y: list[int], sampler: SamplerName, ranks: int, batch_size: int, seed: int
) -> None:
    batches = EpochBatches(
        y=np.array(y),
        lengths=np.arange(len(y)) % 7,
        batch_size=batch_size,
        epochs=3,
        sampler=sampler,
        weight=np.arange(1.0, len(y) + 1),
        seed=seed,
    )
    whole = list(batches.of_epoch(1))
    shares = [list(batches.of_epoch(1, rank, ranks)) for rank in range(ranks)]
    assert len(whole) == len(batches)
    assert sum(len(batch.rows) for batch in whole) == len(y)
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len({len(part.rows) for part in parts}) == 1
        assert {part.documents for part in parts} == {len(batch.rows)}
        assert sorted(row for part in parts for row in part.rows[part.is_counted]) == sorted(batch.rows)
        assert all(
            part.rows[part.is_counted].tolist() == batch.rows[rank::ranks].tolist() for rank, part in enumerate(parts)
        )


def test_every_epoch_has_other_batches_and_the_same_ones_again_when_it_is_repeated() -> None:
    batches = EpochBatches(y=Y, lengths=np.ones(len(Y), np.int64), batch_size=50, epochs=2)

    def read(epoch: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in batches.of_epoch(epoch)]

    assert read(0) == read(0)
    assert read(0) != read(1)
