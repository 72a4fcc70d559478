"""Batches cut from sequences; test_row_batches.py is on their order, test_step_storage.py on files."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.training.document_batches import Batch, Sequences

CPU = torch.device("cpu")
DOCUMENTS = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


def rows_of(lengths: list[int], dim: int = 3) -> list[NDArray[np.float16]]:
    rng = np.random.default_rng(len(lengths))
    return [rng.normal(size=(length, dim)).astype(np.float16) for length in lengths]


def sequences(rows: list[NDArray[np.float16]]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Sequences.of(np.concatenate(rows), offsets)


@given(DOCUMENTS, st.data())
@settings(max_examples=50, deadline=None)
def test_a_batch_holds_each_document_and_zeros_after_it(lengths: list[int], data: st.DataObject) -> None:
    rows = rows_of(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    batch = sequences(rows).batch(torch.tensor(chosen), CPU)
    assert batch.padded_vectors.dtype == torch.float32
    for vectors, length, row in zip(batch.padded_vectors.numpy(), batch.lengths.tolist(), chosen, strict=True):
        assert length == max(lengths[row], 1)
        np.testing.assert_array_equal(vectors[: lengths[row]], rows[row])
        assert not vectors[lengths[row] :].any()


def test_a_document_without_steps_has_one_zero_step() -> None:
    batch = sequences(rows_of([2, 0])).batch(torch.tensor([1]), CPU)
    assert batch.padded_vectors.tolist() == [[[0, 0, 0]]]
    assert batch.lengths.tolist() == [1]


def test_the_mask_is_true_where_a_step_is_the_documents_own() -> None:
    batch = Batch.of_padded(torch.zeros(2, 3, 1), torch.tensor([1, 3]))
    assert batch.mask().tolist() == [[True, False, False], [True, True, True]]


@given(DOCUMENTS, st.data())
@settings(max_examples=50, deadline=None)
def test_moments_are_those_of_the_chosen_documents_steps(lengths: list[int], data: st.DataObject) -> None:
    rows = rows_of(lengths)
    chosen = data.draw(
        st.lists(st.integers(0, len(rows) - 1), min_size=1, unique=True).filter(
            lambda own: any(lengths[row] for row in own)
        )
    )
    mean, deviation = sequences(rows).moments(torch.tensor(chosen))
    steps = np.concatenate([rows[row] for row in chosen]).astype(np.float64)
    np.testing.assert_allclose(mean, steps.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation, steps.std(axis=0) if len(steps) > 1 else 1.0, atol=1e-6)


def test_a_number_that_never_varies_has_deviation_one() -> None:
    steps = np.array([[5.0, 1.0], [5.0, 3.0]], dtype=np.float32)
    mean, deviation = Sequences.of(steps, np.array([0, 2])).moments(torch.tensor([0]))
    assert mean.tolist() == [5, 2]
    assert deviation.tolist() == [1, 1]


def test_where_no_document_has_a_step_each_has_a_zero_one() -> None:
    batch = sequences(rows_of([0, 0])).batch(torch.tensor([0, 1]), CPU)
    assert batch.padded_vectors.tolist() == [[[0, 0, 0]], [[0, 0, 0]]] and batch.lengths.tolist() == [1, 1]


@given(DOCUMENTS)
@settings(max_examples=50, deadline=None)
def test_padded_values_and_their_mean_are_each_documents_own(lengths: list[int]) -> None:
    rows = [row for row in rows_of(lengths) if len(row)]
    batch = sequences(rows).batch(torch.arange(len(rows)), CPU)
    for padded, mean, row in zip(batch.pad(batch.vectors, -1.0), batch.mean(batch.vectors), rows, strict=True):
        np.testing.assert_array_equal(padded[: len(row)], row)
        assert (padded[len(row) :] == -1).all()
        np.testing.assert_allclose(mean, row.astype(np.float32).mean(axis=0), atol=1e-6)


@given(DOCUMENTS)
@settings(max_examples=50, deadline=None)
def test_documents_of_like_length_are_parts_of_the_batch_with_little_padding(lengths: list[int]) -> None:
    rows = [row for row in rows_of(lengths) if len(row)]
    batch = sequences(rows).batch(torch.arange(len(rows)), CPU)
    parts = list(batch.split_by_length())
    assert sorted(torch.cat([own for own, _ in parts]).tolist()) == list(range(len(rows)))
    for own, part in parts:
        assert torch.equal(torch.cat([torch.from_numpy(rows[row]) for row in own.tolist()]).float(), part.vectors)
        assert len(parts) == 1 or int(part.lengths.max()) < 2 * int(part.lengths.min())


@given(DOCUMENTS, st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_a_budget_of_positions_is_kept_but_for_one_document_that_is_longer(lengths: list[int], budget: int) -> None:
    given_ = sequences(rows_of(lengths))
    order = torch.argsort(given_.length)
    parts = list(given_.batches(order, budget))
    assert torch.equal(torch.cat(parts), order)
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        size = len(part) * max(int(given_.length[part[-1]]), 1)
        assert size <= budget or len(part) == 1
        if after is not None:
            assert (len(part) + 1) * max(int(given_.length[after[0]]), 1) > budget


@given(DOCUMENTS)
@settings(max_examples=20, deadline=None)
def test_sums_are_over_each_documents_steps(lengths: list[int]) -> None:
    rows = rows_of(lengths)
    expected = np.stack([row.astype(np.float32).sum(axis=0) for row in rows])
    np.testing.assert_allclose(sequences(rows).sums(), expected, atol=1e-5)
