"""The taxonomy on the page: F1 of each node, folded branches, and where predicted paths leave the true ones."""

from dataclasses import replace

import numpy as np
import pytest

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.coverage import coverage_curve
from heads.evaluation.metrics import METRICS
from stages.report import RunView, render_page, tree
from stages.taxonomy.mistakes import find_mistakes
from tests.stages.report.example_runs import example_run
from tests.stages.report.html_tree import Element, parse_page

LABELS = ("arts/film", "arts/music", "sport", "sport/golf", "<b>/x")
FILM, MUSIC, SPORT, GOLF, BOLD = range(5)


@pytest.fixture
def run() -> RunView:
    plain = example_run(LABELS, 60, separator="/")
    assert plain.hierarchy is not None
    arts = plain.hierarchy.names.index("arts")
    truth = np.array([FILM, FILM, FILM, MUSIC, SPORT, GOLF, BOLD])
    predicted = np.array([FILM, MUSIC, arts, MUSIC, SPORT, FILM, BOLD])
    return replace(plain, truth=truth, predicted=predicted, probabilities=plain.probabilities[:7])


def section(*runs: RunView) -> Element:
    return parse_page(render_page(runs)).all("section", "hierarchy")[0]


def cells(element: Element) -> list[str]:
    return [part.text for part in element.inside if isinstance(part, Element) and part.tag == "span"]


def test_each_node_has_its_f1_documents_and_losses_and_those_with_the_most_losses_come_first(run: RunView) -> None:
    rows = [row for row in section(run).walk() if row.tag == "summary" or "leaf" in row.classes]
    assert [cells(row) for row in rows if cells(row)] == [
        ["node", "", "F1", "docs", "lost here", "lost below"],
        ["arts", "0.889", "4", "0", "2"],
        ["film", "0.400", "3", "2", ""],
        ["music", "0.667", "1", "0", ""],
        ["sport", "0.667", "2", "1", "0"],
        ["golf", "0.000", "1", "0", ""],
        ["<b>", "1.000", "1", "0", ""],
    ]


def test_nodes_without_mistakes_are_folded_until_a_reader_opens_them(run: RunView) -> None:
    shown = section(run)
    assert not [details for details in shown.all("details") if "open" in details.attributes]
    (folded,) = shown.all("details", "correct")
    assert folded.all("summary")[0].text == "1 node without mistakes"
    assert "2 nodes without mistakes are folded" in shown.text  # "<b>" and "<b>/x"


def test_levels_and_confused_nodes_are_in_tables(run: RunView) -> None:
    levels, confusions = section(run).all("table")
    assert [[cell.text for cell in row.all("td")] for row in levels.all("tr")[1:]] == [
        ["7", "6 (86 %)", "1", "0", "0", "0"],
        ["6", "3 (50 %)", "1", "1", "1", "0"],
    ]
    assert [[cell.text for cell in row.all("td")] for row in confusions.all("tr")[1:]] == [
        ["top", "sport", "arts", "1", "50 %"],
        ["arts", "film", "music", "1", "33 %"],
    ]


def test_hierarchical_and_flat_runs_are_side_by_side(run: RunView) -> None:
    flat = replace(example_run(LABELS, 60, head="lstm"), name="flat")
    (table,) = parse_page(render_page([run, flat])).all("div", "by-level")[0].all("table")
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tr")[1:]}
    assert run.test and run.test.hf1 and run.test.tree_distance
    assert rows[run.name][0].startswith(f"{run.test.hf1.value:.3f}")
    assert rows[run.name][2].startswith(f"{run.test.level_accuracy[1].value:.3f}")
    assert rows[run.name][4] == f"{run.test.tree_distance.value:.3f}"
    assert [cell[:1] for cell in rows["flat"]] == ["–", "–", "–", "0", "–"]


def test_a_page_that_is_ranked_by_the_tree_distance_has_an_axis_for_it(run: RunView) -> None:
    page = render_page([run], METRICS["tree-distance"])
    assert "Sorted by out-of-fold tree distance" in parse_page(page).text


def test_many_nodes_are_cut_at_a_level(run: RunView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_SHOWN_NODES", 4)
    shown = section(run)
    assert "The 1 level at the bottom are left out." not in shown.text
    assert "1 level at the bottom is left out" in shown.text
    assert not shown.all("details") or shown.all("details", "correct")


def test_a_flat_run_has_no_taxonomy() -> None:
    assert not parse_page(render_page([example_run("abc", 60)])).all("section", "hierarchy")


def test_hf1_is_drawn_against_coverage(run: RunView) -> None:
    shown = section(run)
    (chart,) = shown.all("svg", "chart")
    description = chart.attributes["aria-label"]
    assert description and "for 100 % of the documents" in description
    assert "the mean over all coverages is 0." in shown.text


def test_a_node_below_the_last_level_is_drawn_in_full_where_it_is_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_SHOWN_NODES", 5)  # three levels
    taxonomy = Taxonomy.from_parents({"b": ("a",), "d": ("b", "c"), "x": ("d",), "y": ()})
    hierarchy, truth = Hierarchy.of(taxonomy, ("x", "y")), np.array([0, 1])
    drawn = tree.Tree(find_mistakes(hierarchy, truth, 1 - truth), coverage_curve(truth, truth, np.eye(2), hierarchy))
    below = {node.name: node.children for node in drawn.top}
    assert [node.name for node in below["c"][0].children] == ["x"]
    assert below["a"][0].children[0].children == () and not below["c"][0].is_repeated
