"""Precision-recall curves, computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from stages.report.line_chart import Axis, Line, LineChart
from stages.report.precision_recall import (
    PrecisionRecallCurve,
    curve_per_label,
    label_matrix,
    lowest_curves,
    precision_recall_curve,
    replace_nonfinite,
    thin_indices,
)

# from the best score down: right, wrong, right. Precision is 1, 1/2, 2/3 at a recall of 1/2, 1/2, 1.
TRUTH, SCORES = np.array([True, False, True]), np.array([0.9, 0.5, 0.1])


def make_curve(truth: np.ndarray, scores: np.ndarray) -> PrecisionRecallCurve:
    curve = precision_recall_curve("a", truth, scores)
    assert curve is not None
    return curve


def svg_path(curve: PrecisionRecallCurve, side: int) -> str:
    """The curve as it is drawn in a square."""
    unit = Axis(0.0, 1.0)
    line = Line("", curve.recall.tolist(), curve.precision.tolist(), stepped=True)
    return LineChart("", unit, unit, "", "", (line,), width=side, height=side).path(line)


def test_the_area_is_the_mean_precision_at_each_retrieved_document() -> None:
    assert make_curve(TRUTH, SCORES).average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert make_curve(TRUTH, SCORES).documents == 2


def test_the_path_holds_each_precision_down_to_the_next_recall() -> None:
    # in a square of 30: full recall at x = 30 with precision 2/3, so 10 from the top; then 1/2 of recall at the top
    assert svg_path(make_curve(TRUTH, SCORES), 30) == "M30 10H15V0H0"


def test_a_label_ranked_perfectly_is_a_line_along_the_top() -> None:
    assert svg_path(make_curve(np.array([False, True]), np.array([0.1, 0.9])), 400) == "M400 0H0"


def test_a_label_ranked_second_of_two_is_a_line_at_a_half() -> None:
    assert svg_path(make_curve(np.array([False, True]), np.array([0.9, 0.1])), 400) == "M400 200H0"


def test_a_label_without_documents_has_no_curve() -> None:
    assert precision_recall_curve("a", np.zeros(3, dtype=bool), SCORES) is None


def test_documents_with_unknown_scores_rank_below_all_others() -> None:
    assert replace_nonfinite(np.array([np.nan, 0.2, -np.inf, np.inf, -3.0])).tolist() == [-4.0, 0.2, -4.0, 1.2, -3.0]
    unknown = np.array([0.5, np.nan, -np.inf])
    assert make_curve(TRUTH, unknown).average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_scores_that_are_all_unknown_rank_equally() -> None:
    # one threshold only: every document is found at once, a precision of 2/3
    assert make_curve(TRUTH, np.full(3, -np.inf)).average_precision == pytest.approx(2 / 3)


scores_of_40 = arrays(np.float64, 40, elements=st.floats(0, 1, width=16))
truth_of_40 = arrays(np.bool_, 40).filter(lambda truth: truth.any())


@settings(deadline=None)
@given(truth_of_40, scores_of_40)
def test_the_area_is_scikit_learns_average_precision(truth: np.ndarray, scores: np.ndarray) -> None:
    assert make_curve(truth, scores).average_precision == pytest.approx(average_precision_score(truth, scores))


@settings(deadline=None)
@given(truth_of_40, scores_of_40)
def test_the_path_encloses_the_average_precision(truth: np.ndarray, scores: np.ndarray) -> None:
    area, x, y = 0.0, 0.0, 0.0
    for step in svg_path(make_curve(truth, scores), 400).replace("V", " V").replace("H", " H").split():
        if step[0] == "H":
            area += (x - float(step[1:])) * (400 - y) / 400**2
            x = float(step[1:])
        elif step[0] == "V":
            y = float(step[1:])
        elif step[0] == "M":
            x = float(step[1:])
        else:
            y = float(step)
    assert area == pytest.approx(make_curve(truth, scores).average_precision, abs=0.001)


@settings(deadline=None)
@given(st.integers(2, 300), st.integers(2, 50))
def test_a_thinned_curve_keeps_its_ends_and_has_at_most_the_given_number_of_points(points: int, most: int) -> None:
    recall = np.linspace(1, 0, points)
    kept = thin_indices(recall, most)
    assert len(kept) <= max(most, 2)
    assert recall[kept[0]] == 1
    assert recall[kept[-1]] == 0
    assert (np.diff(kept) > 0).all()


def test_of_points_with_the_same_recall_the_last_one_is_kept() -> None:
    assert thin_indices(np.array([1.0, 1, 1, 0.5, 0.5, 0]), 3).tolist() == [2, 4, 5]


def test_a_curve_of_many_documents_is_thinned_and_keeps_its_area() -> None:
    random = np.random.default_rng(0)
    truth = random.random(20_000) < 0.3
    thin = make_curve(truth, truth + random.normal(size=20_000))
    assert len(thin.recall) <= 200
    assert -np.diff(thin.recall) @ thin.precision[:-1] == pytest.approx(thin.average_precision, abs=0.01)


def test_hundreds_of_labels_share_their_points() -> None:
    random = np.random.default_rng(0)
    truth, scores = random.random((400, 300)) < 0.5, random.random((400, 300))
    assert max(len(one.recall) for one in curve_per_label(truth, scores, [str(at) for at in range(300)])) <= 40


def test_the_lowest_curves_have_the_least_area_and_among_equals_more_documents() -> None:
    line = np.array([1.0, 0.0])
    curves = [PrecisionRecallCurve(name, documents, area, line, line) for name, documents, area in
              [("a", 5, 0.5), ("b", 9, 0.5), ("c", 1, 0.9), ("d", 1, 0.1)]]  # fmt: skip
    assert [one.label for one in lowest_curves(curves, 3)] == ["d", "b", "a"]


def test_codes_become_one_column_per_label() -> None:
    assert label_matrix(np.array([1, 0]), 3).tolist() == [[False, True, False], [True, False, False]]
