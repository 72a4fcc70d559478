"""What a page knows of its documents: the data of its scripts, confident errors, and the charts of confidence."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heads.evaluation.metrics import MACRO_F1, scorecard
from stages.report import Findings, RunView, documents, render_page
from stages.report.confidence import prediction_confidence, risk_coverage
from stages.report.decision_rule import measure_rule_effect
from stages.report.documents import DIGITS, page_data
from stages.report.errors import confident_errors, excerpt
from stages.report.pareto import pareto_chart, pareto_front
from stages.report.run_panel import RunPanel
from tests.stages.report.example_runs import example_run
from tests.stages.report.html_tree import parse_page


def with_predictions(predicted: list[int], confidence: list[float], truth: list[int]) -> RunView:
    """A run on labels a and b whose probability of label a is `confidence`."""
    run, codes = example_run("ab", len(truth)), np.array(truth)
    share = np.array(confidence, dtype=np.float32)
    card = scorecard(codes, np.array(predicted), "ab", resamples=20)
    return replace(
        run, truth=codes, predicted=np.array(predicted), probabilities=np.stack([share, 1 - share], axis=1), test=card
    )


def data_of(*runs: RunView) -> dict[str, Any]:
    return page_data([RunPanel(run, f"run-{number}") for number, run in enumerate(runs)])


def test_runs_on_the_same_documents_share_them() -> None:
    first, second, other = example_run("ab", 30), example_run("ab", 30, head="lstm"), example_run("ab", 31)
    data = data_of(first, second, other)
    assert [run["set"] for run in data["runs"]] == [0, 0, 1]
    assert [one["documents"] for one in data["sets"]] == [30, 31]


def test_runs_that_share_documents_name_the_codes_beyond_the_labels_each_for_itself() -> None:
    labels = ["top.a", "top.b", "c"]
    tree, flat = example_run(labels, 30, separator="."), example_run(labels, 30, head="lstm")
    data = data_of(replace(flat, labels=tree.labels), tree)
    assert [one["names"] for one in data["sets"]] == [list(tree.labels)]
    undecided = ["(low confidence)", "(unlike training)"]
    assert [run["others"] for run in data["runs"]] == [undecided, ["top", *undecided]]


def test_excerpts_are_limited_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_TEXT", 3_000)
    run = example_run("ab", 30)
    for text, length in (("a" * 200, 100), ("\u4e2d" * 200, 33)):
        (shown,) = data_of(replace(run, excerpts=(text,) * 30))["sets"]
        assert len(shown["texts"][0]) <= length + 1


def test_wrong_predictions_and_all_probabilities_are_kept() -> None:
    run = with_predictions([0, 1, -1], [0.9, 0.25, 0.5], [0, 0, 1])
    (data,) = data_of(run)["runs"]
    assert (data["wrong"], data["predicted"]) == ([1, 2], [1, 2])  # code 2 is the first name after the labels
    digits = data["probability"]
    assert [32 * DIGITS.index(a) + DIGITS.index(b) for a, b in zip(digits[::2], digits[1::2], strict=True)] == [
        900, 750, 500,
    ]  # fmt: skip


def test_of_too_many_documents_those_that_most_runs_got_wrong_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 2)
    run = replace(with_predictions([0, 1, 0, 1], [0.9, 0.2, 0.8, 0.3], [0, 0, 0, 0]), ids=("p", "q", "r", "s"))
    (shown,) = data_of(run)["sets"]
    assert (shown["ids"], shown["documents"]) == (["q", "s"], 4)


def test_multilabel_documents_have_the_probabilities_of_their_true_and_predicted_labels() -> None:
    run = replace(
        example_run("ab", 2, multilabel=True),
        truth=np.array([[1, 1], [0, 0]], dtype=bool),
        predicted=np.array([[1, 0], [0, 0]], dtype=bool),
        probabilities=np.array([[0.75, 0.25], [np.nan, 0.5]], dtype=np.float32),
    )
    (data,) = data_of(run)["runs"]
    assert data["probability"] == [[750, 250, 750], []]


def test_the_most_confident_errors_come_first_and_undecided_documents_are_none() -> None:
    run = with_predictions([0, 1, 0, -1], [0.6, 0.1, 0.8, 0.99], [1, 0, 1, 1])
    assert confident_errors(run) == [1, 2, 0]
    assert prediction_confidence(run) == pytest.approx([0.6, 0.9, 0.8, 0.99])


def test_a_page_lists_its_most_confident_errors_with_their_texts() -> None:
    run = with_predictions([0, 1], [0.6, 0.1], [1, 0])
    shown = parse_page(render_page([replace(run, ids=("d1", "d2"), excerpts=("one", "two " * 200))]))
    (table,) = shown.all("table", "errors")
    assert [row.text for row in table.all("th")[4:]] == ["d2", "d1"]
    assert table.all("td", "excerpt")[1].text == "one" and len(table.all("td", "excerpt")[0].text) == 300


def test_an_excerpt_is_folded_and_cut() -> None:
    assert excerpt("a\n  b", 5) == "a b"
    assert excerpt("abcdef", 5) == "abcd…"


def test_undecided_documents_have_a_column_in_the_confusion_matrix() -> None:
    shown = parse_page(render_page([with_predictions([0, 1, -1], [0.9, 0.2, 0.5], [0, 1, 1])]))
    titles = [cell.text for cell in shown.all("svg", "matrix")[0].all("rect") if "data-cell" in cell.attributes]
    assert "\u2068b\u2069 predicted as \u2068(low confidence)\u2069: 1 (50 %)" in titles


def test_the_risk_is_the_error_rate_of_the_most_confident_decided_documents() -> None:
    run = with_predictions([0, 0, 0, -1], [0.9, 0.8, 0.7, 0.99], [0, 1, 0, 0])
    curve = risk_coverage(run)
    assert curve is not None
    assert (1 - curve.accuracy).tolist() == pytest.approx([0, 1 / 2, 1 / 3])
    assert risk_coverage(example_run("ab", 20, multilabel=True)) is None


def test_undecided_documents_are_no_effect_of_the_decision_rule() -> None:
    run = with_predictions([0, 1, -1], [0.9, 0.6, 0.8], [0, 1, 1])
    effect = measure_rule_effect(run)
    assert (effect.decisions, effect.changed, effect.corrected, effect.undecided) == (2, 1, 1, 1)
    assert "1 document is left undecided, and not counted here." in parse_page(render_page([run])).text


def test_a_run_is_on_the_front_if_no_cheaper_one_is_as_good() -> None:
    assert pareto_front([3, 1, 2, 2], [0.9, 0.7, 0.6, 0.8]) == [1, 3, 0]


def test_the_chart_of_costs_names_the_runs_on_its_line_and_rings_the_chosen_one() -> None:
    cheap, good = example_run("ab", 200, head="mlp", skill=1), example_run("ab", 200)
    slow = replace(good, name="slow")
    costs = {cheap.name: 0.02, good.name: 3.0, "slow": 300.0}
    chart = pareto_chart([good, slow, cheap], MACRO_F1, Findings(chosen=cheap.name, cost="predict", costs=costs))
    line, others = chart.lines
    assert [marker.label for marker in line.markers] == ["", "mlp", "linear"]
    assert line.markers[0].hollow and line.markers[0].x == 0.02
    assert [marker.title.split(":")[0] for marker in others.markers] == ["slow"]
    assert (chart.x_axis.low, chart.x_axis.high) == (0.02, 500) and chart.x_axis.ticks[0] >= 0.02
    assert chart.table is not None and [row[0] for row in chart.table.rows] == [cheap.name, good.name, "slow"]
