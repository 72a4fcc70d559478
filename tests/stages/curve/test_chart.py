"""The picture of learning curves: its scales, its lines, and that it is whole as SVG and in a page."""

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.curve import CurvePoint, LearningCurves
from stages.curve.chart import COLOURS, Picture, learning_page, learning_picture, log_ticks

SVG = "{http://www.w3.org/2000/svg}"


def point(metric: float, head: str = "linear", size: int = 50, seed: int = 0) -> CurvePoint:
    return CurvePoint(head, size, seed, size, 3, metric, metric, metric, 1.0)


def made_up(
    heads: Sequence[str] = ("linear", "lstm"), sizes: Sequence[int] = (50, 500, 5000), seeds: int = 3
) -> LearningCurves:
    """Curves that rise by a tenth a size, a head a hundredth below the one before it, seeds a hundredth apart."""
    points = [
        point(0.5 + 0.1 * step - 0.01 * at + 0.01 * seed, head, size, seed)
        for step, size in enumerate(sizes)
        for at, head in enumerate(heads)
        for seed in range(seeds)
    ]
    return LearningCurves("a store", "a & <b>", 3, seeds, max(sizes), 100, tuple(points), ("A remark.",))


@given(st.floats(2, 1e6), st.floats(1, 1e4))
def test_ticks_are_few_and_within_the_axis(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert 2 <= len(ticks) <= 9 and list(ticks) == sorted(ticks)
    assert low - 0.5 <= ticks[0] and ticks[-1] <= low * factor + 0.5


def test_ticks_begin_with_one_two_or_five() -> None:
    assert log_ticks(50, 5226) == (50, 100, 200, 500, 1000, 2000, 5000)
    assert log_ticks(50, 200_000) == (100, 1000, 10_000, 100_000)
    assert log_ticks(60, 90) == (60, 90)


def test_equal_factors_are_equal_distances_and_higher_is_further_up() -> None:
    picture = Picture.of(made_up(), "macro_f1")
    first, middle, last = picture.lines[0].dots
    assert (first.x, last.x) == (0, picture.width) and middle.x == pytest.approx(picture.width / 2)
    assert first.y > middle.y > last.y and first.high < first.y < first.low
    assert [line.name for line in picture.lines] == ["linear", "lstm"]  # by the last dot


def test_a_curve_of_one_size_and_one_seed_is_drawn() -> None:
    picture = Picture.of(made_up(sizes=[100], seeds=1), "accuracy")
    (dot,) = picture.lines[0].dots
    assert dot.x == picture.width / 2 and dot.low == dot.y == dot.high


def test_heads_beyond_the_colours_are_dashed() -> None:
    lines = Picture.of(made_up([f"head {at}" for at in range(8)]), "macro_f1").lines
    assert [(line.number, line.dashed) for line in sorted(lines, key=lambda one: one.place)][5:] == [
        (6, False),
        (1, True),
        (2, True),
    ]
    assert len({(line.colour, line.dashed) for line in lines}) == 8 > len(COLOURS)


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_is_drawn_stays_in_the_field(one: float, other: float) -> None:
    points = tuple(point(value, seed=seed) for seed, value in enumerate((one, other)))
    picture = Picture.of(LearningCurves("s", "c", 2, 2, 50, 9, points, ()), "macro_f1")
    (dot,) = picture.lines[0].dots
    assert all(-0.1 <= y <= picture.height + 0.1 for y in (dot.y, dot.low, dot.high))
    assert all(0 <= float(text) <= 1 for _, text in picture.up)


def test_the_picture_alone_is_xml_with_a_line_a_head() -> None:
    root = ElementTree.fromstring(learning_picture(made_up(["linear", "<x&y>"]), "macro_f1"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"linear", "<x&y>", "macro-F1", "documents fitted on", "5,000"} <= set(texts)
    assert len(list(root.iter(f"{SVG}circle"))) == 6
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "linear, 50 documents: 0.510 ± 0.010" in titles


def test_the_page_has_the_picture_the_table_and_the_remarks_and_loads_nothing() -> None:
    shown = learning_page(made_up(), "accuracy")
    assert shown.count("<tbody>") == shown.count("</tbody>") == 2 and shown.count("<tr>") == 1 + 6
    assert "0.610 ± 0.010" in shown and "A remark." in shown and "a &amp; &lt;b&gt;" in shown
    assert "accuracy against documents fitted on" in shown and "<script" not in shown
    assert "http" not in shown.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
