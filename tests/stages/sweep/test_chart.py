"""The chart of a sweep: what it shows, and that it is complete as SVG and in a page."""

from dataclasses import replace
from xml.etree import ElementTree

from stages.report.plots import render_chart
from stages.sweep import SweepResult, SweepTrial
from stages.sweep.chart import draw_chart, render_page

SVG = "{http://www.w3.org/2000/svg}"
SCORES = [0.71, 0.65, None, 0.78, 0.74]


def example_sweep(scores: list[float | None] = SCORES, importance: dict[str, float] | None = None) -> SweepResult:
    trials = [
        SweepTrial(number, {"C": 0.1 * number, "kind": "<b>"}, score, 1.5, "host-1")
        for number, score in enumerate(scores, 1)
    ]
    shares = {"C": 0.75, "kind": 0.25} if importance is None else importance
    return SweepResult(
        "linear",
        "store",
        "a & <b>",
        "macro_f1",
        "s.db",
        tuple(trials),
        {"C": 0.1, "kind": "<b>"},
        shares,
        ("A remark.",),
    )


def test_the_line_is_the_best_score_so_far_and_pruned_trials_are_hollow_on_the_lower_edge() -> None:
    chart = draw_chart(example_sweep())
    (line,) = chart.lines
    assert [marker.y for marker in line.markers] == [0.71, 0.65, chart.y_axis.low, 0.78, 0.74]
    assert [marker.hollow for marker in line.markers] == [False, False, True, False, False]
    first, _, pruned, best, _ = ((chart.x(marker.x), chart.y(marker.y)) for marker in line.markers)
    assert pruned[1] == chart.height
    assert chart.path(line) == f"M{first[0]:g} {first[1]:g}H{best[0]:g}V{best[1]:g}H{chart.width}"
    assert [(bar.name, bar.share) for bar in chart.bars] == [("C", 0.75), ("kind", 0.25)]


def test_the_svg_has_one_marker_per_trial_and_one_bar_per_hyperparameter() -> None:
    svg = ElementTree.fromstring(render_chart(draw_chart(example_sweep()), "svg"))
    circles, bars = list(svg.iter(f"{SVG}circle")), list(svg.iter(f"{SVG}rect"))
    assert len(circles) == 5 and [circle.get("fill") for circle in circles].count("none") == 1
    assert float(bars[0].get("width", 0)) == 3 * float(bars[1].get("width", 0))
    assert len(bars) == 2 and "trial 4: 0.780; C 0.4, kind <b>" in "".join(svg.itertext())


def test_one_trial_without_importance_is_drawn() -> None:
    svg = ElementTree.fromstring(render_chart(draw_chart(example_sweep([0.5], {})), "svg"))
    assert len(list(svg.iter(f"{SVG}circle"))) == 1 and not list(svg.iter(f"{SVG}rect"))


def test_the_page_has_every_trial_and_loads_nothing() -> None:
    page = render_page(example_sweep())
    assert page.count('<th scope="row"') == 5 and "4 (best)" in page and "pruned" in page and "A remark." in page
    assert "a &amp; &lt;b&gt;" in page and "http" not in page.replace("http-equiv", "").replace(SVG[1:-1], "")


def test_hyperparameters_are_shown_by_their_names_for_set() -> None:
    sweep = replace(example_sweep(), names={"C": "cost"})
    chart = draw_chart(sweep)
    assert [bar.name for bar in chart.bars] == ["cost", "kind"]
    assert "cost 0.1, kind <b>" in chart.lines[0].markers[0].title
    assert ">cost</th>" in render_page(sweep)
