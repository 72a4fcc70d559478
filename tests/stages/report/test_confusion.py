"""The confusion matrix and the counts per label, computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from stages.report import render_page
from stages.report.confusion import (
    Cell,
    LabelCounts,
    confusion_cells,
    count_per_label,
    heat_map,
    most_frequent_errors,
)
from tests.stages.report.example_runs import example_run

TRUTH, PREDICTED = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])


def test_cells_go_by_true_and_predicted_label_and_a_share_is_of_the_true_label() -> None:
    assert confusion_cells(TRUTH, PREDICTED, 4) == (
        Cell(0, 0, 1, 1 / 3), Cell(0, 1, 2, 2 / 3), Cell(1, 1, 1, 1 / 2), Cell(1, 2, 1, 1 / 2), Cell(2, 2, 1, 1.0),
    )  # fmt: skip


def test_the_most_frequent_errors_are_sorted_by_documents_then_by_share() -> None:
    matrix_cells = [Cell(0, 1, 3, 0.1), Cell(0, 0, 90, 0.9), Cell(1, 2, 3, 0.5), Cell(2, 0, 7, 0.01)]
    assert most_frequent_errors(matrix_cells, 2) == (Cell(2, 0, 7, 0.01), Cell(1, 2, 3, 0.5))


def test_a_predicted_node_that_is_no_label_is_an_error_outside_the_matrix() -> None:
    cells = confusion_cells(np.array([0, 1, 1]), np.array([2, 1, 2]), 2)  # node 2 is above both labels
    assert cells == (Cell(0, 2, 1, 1.0), Cell(1, 1, 1, 0.5), Cell(1, 2, 1, 0.5))
    assert heat_map(cells, ["a", "b"]).cells == (Cell(1, 1, 1, 0.5),)
    assert len(most_frequent_errors(cells, 9)) == 2


def test_a_page_shows_predicted_nodes_that_are_no_labels() -> None:
    labels = tuple(f"art/{number}" for number in range(30))  # too many to name each in the matrix
    hierarchy = Hierarchy.of(Taxonomy.from_separator(labels, "/"), labels)
    page = render_page([replace(example_run(labels, 40), predicted=np.full(40, 30), hierarchy=hierarchy)])
    assert "<td><bdi>art</bdi></td>" in page


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_every_document_is_in_one_cell_and_the_shares_of_a_row_sum_to_one(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    matrix_cells = confusion_cells(truth, predicted, 6)
    assert sum(cell.documents for cell in matrix_cells) == len(pairs)
    for label in set(truth.tolist()):
        assert sum(cell.share for cell in matrix_cells if cell.truth == label) == pytest.approx(1)


def test_true_positives_false_negatives_and_false_positives_are_counted_per_label() -> None:
    truth = np.array([[1, 1], [0, 1], [0, 1], [0, 0]], dtype=bool)
    predicted = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], dtype=bool)
    assert count_per_label(truth, predicted, ["x", "y"]) == (LabelCounts("y", 1, 2, 1, 1), LabelCounts("x", 0, 1, 0, 1))


def test_few_labels_are_named_and_many_are_scaled_down() -> None:
    assert heat_map([], [f"label {at}" for at in range(25)]).has_names
    many = heat_map([], [f"label {at}" for at in range(300)])
    assert not many.has_names
    assert many.width == many.height == pytest.approx(520, abs=1)


def test_the_opacity_of_a_cell_is_its_share_and_never_too_faint_to_see() -> None:
    small = heat_map([], ["a", "b"])
    assert [small.opacity(Cell(0, 1, 1, share)) for share in (0.0, 0.5, 1.0)] == [0.1, 0.55, 1.0]
    large = heat_map([], [str(at) for at in range(52)])
    assert large.opacity(Cell(0, 1, 1, 0.0)) == 0.25
