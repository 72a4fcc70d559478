"""Line charts as files: HTML, SVG, and PNG and PDF, which matplotlib draws (the extra `plots`)."""

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from data.atomic_write import write_atomically
from data.errors import ExtraMissing
from stages.report.formatting import format_percent
from stages.report.line_chart import COLORS, Line, LineChart, LogAxis, format_tick
from stages.report.rendering import TEMPLATES, render_template

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ChartFormat", "FileFormat", "render_chart", "require_matplotlib", "save_chart"]

ChartFormat = Literal["svg", "png", "pdf"]
FileFormat = Literal["html"] | ChartFormat

PIXELS_PER_INCH = 200
UNITS_PER_INCH = 80  # SVG units of a chart per inch of the figure


def require_matplotlib() -> None:
    """Raise ExtraMissing without matplotlib: a command calls this before it computes what it will draw."""
    if find_spec("matplotlib") is None:
        raise ExtraMissing(
            'PNG and PDF files are drawn with matplotlib, which is missing: pip install "embedonce[plots]".'
        )


def save_chart(chart: LineChart, render_page: Callable[[], str], path: Path, file_format: FileFormat) -> None:
    """Write a chart to a file; an existing file is replaced atomically.

    Args:
        chart: the chart.
        render_page: renders the page with the chart and a table.
        path: the file.
        file_format: "html" for the page, else the chart alone; "png" and "pdf" need matplotlib.

    Raises:
        ExtraMissing: matplotlib is needed and not installed.
        StorageFailed: the file cannot be written.
    """
    write_atomically(path, render_page().encode() if file_format == "html" else render_chart(chart, file_format))


def render_chart(chart: LineChart, file_format: ChartFormat) -> bytes:
    """The chart as the content of a file. Raises ExtraMissing if the format needs matplotlib, which is missing."""
    if file_format == "svg":
        return render_template(TEMPLATES / "line_chart.svg", chart=chart, standalone=True).encode()
    require_matplotlib()
    # a PDF would otherwise contain the time of its creation
    metadata = {"CreationDate": None} if file_format == "pdf" else {}
    content = BytesIO()
    _figure(chart).savefig(content, format=file_format, dpi=PIXELS_PER_INCH, metadata=metadata)
    return content.getvalue()


def _figure(chart: LineChart) -> "Figure":
    from matplotlib.figure import Figure

    bars = 36 + 24 * len(chart.bars) if chart.bars else 0
    width = (56 + chart.width + (190 if chart.legend else 24)) / UNITS_PER_INCH
    height = (80 + chart.height + bars) / UNITS_PER_INCH
    figure = Figure(figsize=(width, height), layout="constrained")
    if not bars:
        _draw_lines(figure.subplots(), chart)
        return figure
    lines, importance = figure.subplots(2, height_ratios=(chart.height, bars))
    _draw_lines(lines, chart)
    _draw_bars(importance, chart)
    return figure


def _draw_lines(axes: "Axes", chart: LineChart) -> None:
    if isinstance(chart.x_axis, LogAxis):
        axes.set_xscale("log")
    axes.set_xlim(chart.x_axis.low, chart.x_axis.high)
    axes.set_ylim(chart.y_axis.low, chart.y_axis.high)
    axes.set_xticks(chart.x_axis.ticks, [format_tick(tick) for tick in chart.x_axis.ticks])
    axes.set_yticks(chart.y_axis.ticks, [format_tick(tick) for tick in chart.y_axis.ticks])
    axes.minorticks_off()
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(color="#e3e4e2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    for line in reversed(chart.lines):
        _draw_line(axes, line)
    if chart.legend:
        handles = {handle.get_label(): handle for handle in axes.get_lines()}
        names = [line.name for line in chart.legend]
        legend = axes.legend(
            [handles[name] for name in names], names, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _draw_line(axes: "Axes", line: Line) -> None:
    color = line.hex_color
    if line.upper:
        axes.fill_between(line.x, line.lower, line.upper, color=color, alpha=0.14, linewidth=0)
    axes.plot(
        line.x,
        line.y,
        color=color,
        linewidth=0.8 * line.width,
        linestyle="dashed" if line.dash else "solid",
        drawstyle="steps-post" if line.stepped else "default",
        label=line.name,
    )
    for marker in line.markers:
        face = "none" if marker.hollow else color
        axes.plot(
            [marker.x],
            [marker.y],
            "o",
            color=color,
            markerfacecolor=face,
            markersize=1.6 * marker.radius,
            clip_on=False,
        )
        if marker.label:
            axes.annotate(marker.label, (marker.x, marker.y), (6, 3), textcoords="offset points", parse_math=False)


def _draw_bars(axes: "Axes", chart: LineChart) -> None:
    bars = axes.barh([bar.name for bar in chart.bars], [bar.share for bar in chart.bars], color=COLORS[0])
    axes.bar_label(bars, [format_percent(bar.share) for bar in chart.bars], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    axes.set_title(chart.bars_title, loc="left", fontsize="medium", fontweight="bold")
