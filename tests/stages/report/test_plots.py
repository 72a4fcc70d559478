"""Charts as files: SVG, PNG and PDF."""

import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from data.errors import ExtraMissing
from stages.report.line_chart import Axis, Bar, CountAxis, Line, LineChart, LogAxis, Marker
from stages.report.plots import ChartFormat, _figure, render_chart, require_matplotlib

UNIT = Axis(0.0, 1.0)
BAND = Line("a $b", [10, 100], [0.5, 0.6], lower=[0.4, 0.5], upper=[0.6, 0.7], markers=(Marker(10, 0.5, "<first>"),))
CURVES = LineChart("", LogAxis(10, 100), UNIT, "documents", "macro-F1", (BAND, Line("c", [10, 100], [0.1, 0.2])))
STEPS = Line("", [1, 3.5], [0.2, 0.2], markers=(Marker(1, 0.2, ""), Marker(2, 0, "", hollow=True)), stepped=True)
TRIALS = LineChart("", CountAxis(0.5, 3.5), UNIT, "trial", "accuracy", (STEPS,), bars=(Bar("C", 0.7), Bar("x", 0.3)))


@pytest.mark.parametrize("chart", [CURVES, TRIALS])
@pytest.mark.parametrize(("file_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<svg")])
def test_a_chart_is_a_file_of_its_format_without_a_warning(
    chart: LineChart, file_format: ChartFormat, start: bytes
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert render_chart(chart, file_format).startswith(start)


def test_the_same_chart_is_the_same_pdf() -> None:
    assert render_chart(CURVES, "pdf") == render_chart(CURVES, "pdf")


def test_a_plot_shows_the_axes_the_lines_the_legend_and_the_bars() -> None:
    (curves,) = _figure(CURVES).axes
    assert (curves.get_xlabel(), curves.get_ylabel(), curves.get_xscale()) == ("documents", "macro-F1", "log")
    assert [text.get_text() for text in curves.get_xticklabels()] == ["10", "20", "50", "100"]
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in curves.get_lines()}
    assert drawn["a $b"] == [0.5, 0.6] and drawn["c"] == [0.1, 0.2]
    legend = curves.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["a $b", "c"]
    trials, importance = _figure(TRIALS).axes
    assert trials.get_legend() is None
    assert [text.get_text() for text in importance.texts] == ["70 %", "30 %"]


def test_an_svg_is_xml_and_its_text_is_escaped() -> None:
    svg = ElementTree.fromstring(render_chart(CURVES, "svg").decode())
    assert "<first>" in "".join(svg.itertext())


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraMissing, match=r'missing: pip install "embedonce\[plots\]"'):
        require_matplotlib()
    assert render_chart(CURVES, "svg")
    with pytest.raises(ExtraMissing):
        render_chart(CURVES, "png")
