"""The chart of learning curves: its lines, and that it is complete as SVG and in a page."""

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.curve import CurvePoint, LearningCurves
from stages.curve.chart import draw_chart, render_page
from stages.report.line_chart import COLORS
from stages.report.plots import render_chart

SVG = "{http://www.w3.org/2000/svg}"


def point(metric: float, head: str = "linear", size: int = 50, seed: int = 0) -> CurvePoint:
    return CurvePoint(head, size, seed, size, 3, 1.0, dict.fromkeys(("macro_f1", "micro_f1", "accuracy"), metric))


def example_curves(
    heads: Sequence[str] = ("linear", "lstm"), sizes: Sequence[int] = (50, 500, 5000), seeds: int = 3
) -> LearningCurves:
    """Curves that rise by 0.1 per size; each head is 0.01 below the one before it, and seeds are 0.01 apart."""
    points = [
        point(0.5 + 0.1 * step - 0.01 * at + 0.01 * seed, head, size, seed)
        for step, size in enumerate(sizes)
        for at, head in enumerate(heads)
        for seed in range(seeds)
    ]
    return LearningCurves("a store", "a & <b>", 3, seeds, max(sizes), 100, tuple(points), ("A remark.",))


def test_equal_factors_are_equal_distances_and_the_best_last_point_is_first() -> None:
    chart = draw_chart(example_curves(), "macro_f1")
    first, middle, last = (chart.x(size) for size in chart.lines[0].x)
    assert (first, last) == (0, chart.width) and middle == pytest.approx(chart.width / 2)
    assert [line.name for line in chart.lines] == ["linear", "lstm"]
    assert chart.lines[0].y == pytest.approx([0.51, 0.61, 0.71])
    assert chart.lines[0].lower == pytest.approx([0.5, 0.6, 0.7]) and chart.lines[0].upper[2] == pytest.approx(0.72)


def test_a_curve_of_one_size_and_one_seed_is_drawn_in_the_middle() -> None:
    chart = draw_chart(example_curves(sizes=[100], seeds=1), "accuracy")
    (line,) = [line for line in chart.lines if line.name == "linear"]
    assert chart.x(line.x[0]) == chart.width / 2 and line.lower == line.y == line.upper


def test_lines_beyond_the_colors_are_dashed() -> None:
    lines = draw_chart(example_curves([f"head {number}" for number in range(8)]), "macro_f1").lines
    styles = [(line.color, bool(line.dash)) for line in sorted(lines, key=lambda line: line.name)]
    assert styles[5:] == [(6, False), (1, True), (2, True)]
    assert len(set(styles)) == 8 > len(COLORS)


@given(st.floats(0, 1), st.floats(0, 1))
def test_lines_and_bands_stay_within_the_axes(one: float, other: float) -> None:
    points = tuple(point(value, seed=seed) for seed, value in enumerate((one, other)))
    chart = draw_chart(LearningCurves("s", "c", 2, 2, 50, 9, points, ()), "macro_f1")
    (line,) = chart.lines
    heights = [chart.y(value) for value in (*line.y, *line.lower, *line.upper)]
    assert all(-0.1 <= height <= chart.height + 0.1 for height in heights)
    assert all(0 <= tick <= 1 for tick in chart.y_axis.ticks)


def test_the_svg_is_xml_with_one_line_per_head() -> None:
    svg = ElementTree.fromstring(render_chart(draw_chart(example_curves(["linear", "<x&y>"]), "macro_f1"), "svg"))
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"linear", "<x&y>", "macro-F1", "training documents", "5,000"} <= set(texts)
    assert len(list(svg.iter(f"{SVG}circle"))) == 6
    titles = [title.text for title in svg.iter(f"{SVG}title")]
    assert "linear, 50 documents: 0.510 ± 0.010" in titles
    assert svg.get("aria-label") == (
        "macro-F1 over training documents. With the most documents: linear 0.710 ± 0.010, <x&y> 0.700 ± 0.010."
    )


def test_the_page_has_the_chart_the_table_and_the_notes_and_loads_nothing() -> None:
    page = render_page(example_curves(), "accuracy")
    assert page.count("<tbody>") == page.count("</tbody>") == 2 and page.count("<tr>") == 1 + 6
    assert "0.610 ± 0.010" in page and "A remark." in page and "a &amp; &lt;b&gt;" in page
    assert "accuracy over training documents" in page and "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
