"""What was taken for what, counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.report.confusion import Cell, cells, confusion, heat_map, most_confused, tallies

TRUTH, PREDICTED = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])


def test_rows_are_truth_and_columns_are_prediction() -> None:
    assert confusion(TRUTH, PREDICTED, 4).tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_cells_share_is_of_its_true_label() -> None:
    assert cells(confusion(TRUTH, PREDICTED, 4)) == (
        Cell(0, 0, 1, 1 / 3), Cell(0, 1, 2, 2 / 3), Cell(1, 1, 1, 1 / 2), Cell(1, 2, 1, 1 / 2), Cell(2, 2, 1, 1.0),
    )  # fmt: skip


def test_the_most_confused_come_by_documents_then_by_share() -> None:
    found = [Cell(0, 1, 3, 0.1), Cell(0, 0, 90, 0.9), Cell(1, 2, 3, 0.5), Cell(2, 0, 7, 0.01)]
    assert most_confused(found, 2) == (Cell(2, 0, 7, 0.01), Cell(1, 2, 3, 0.5))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_every_document_is_in_one_cell_and_shares_of_a_row_make_one(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    found = cells(confusion(truth, predicted, 6))
    assert sum(cell.documents for cell in found) == len(pairs)
    for label in set(truth.tolist()):
        assert sum(cell.share for cell in found if cell.truth == label) == pytest.approx(1)


def test_a_tally_counts_what_is_right_missed_and_added() -> None:
    truth = np.array([[1, 1], [0, 1], [0, 1], [0, 0]], dtype=bool)
    predicted = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], dtype=bool)
    found = {one.label: (one.right, one.missed, one.added) for one in tallies(truth, predicted, ["x", "y"])}
    assert found == {"x": (1, 0, 1), "y": (2, 1, 1)}
    assert [one.label for one in tallies(truth, predicted, ["x", "y"])] == ["y", "x"]


def test_few_labels_are_spelled_out_and_many_are_scaled_down() -> None:
    assert heat_map([], [f"label {at}" for at in range(25)]).has_names
    many = heat_map([], [f"label {at}" for at in range(300)])
    assert not many.has_names
    assert many.width == many.height == pytest.approx(520, abs=1)


def test_a_cell_is_coloured_by_its_share_and_never_too_faint_to_see() -> None:
    small = heat_map([], ["a", "b"])
    assert [small.strength(Cell(0, 1, 1, share)) for share in (0.0, 0.5, 1.0)] == [0.1, 0.55, 1.0]
    large = heat_map([], [str(at) for at in range(52)])
    assert large.strength(Cell(0, 1, 1, 0.0)) == 0.25
