"""The page as a file: well formed, complete, safe, and with the metrics of the runs."""

import re
import warnings
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.evaluation.metrics import ConfidenceInterval, LabelMetrics
from stages.report import RunView, render_page
from stages.report.run_panel import RunPanel
from tests.stages.report.example_runs import COMPARED, HEADS, example_run
from tests.stages.report.html_tree import Element, parse_page

ODD = ("<script>alert(1)</script>", "say \"hi\" & 'bye'", "مراجعة", "🏳️‍🌈", "x" * 80, "</style><img src=x>")


@pytest.fixture(scope="module")
def runs() -> list[RunView]:
    labels = [f"topic-{at}" for at in range(52)]
    return [example_run(labels, 2568, head=head, skill=6 - at / 2) for at, head in enumerate(HEADS)]


@pytest.fixture(scope="module")
def shown(runs: list[RunView]) -> Element:
    return parse_page(render_page(runs))


def scripts(shown: Element) -> list[Element]:
    """The scripts that a browser executes: not the data of the page."""
    return [script for script in shown.all("script") if "type" not in script.attributes]


def anchors(shown: Element) -> list[str]:
    return [row.all("a")[0].text for row in shown.all("table", "compare")[0].all("tbody")[0].all("tr")]


def test_runs_are_sorted_by_out_of_fold_macro_f1(shown: Element, runs: list[RunView]) -> None:
    ranked = sorted(runs, key=lambda run: -run.out_of_fold.macro_f1.value)
    assert anchors(shown) == [run.name for run in ranked]
    assert [panel.all("h2")[0].text for panel in shown.all("section", "run")] == [run.name for run in ranked]


def test_of_equal_runs_the_fastest_is_first_as_in_the_table_of_compare() -> None:
    slow = example_run("ab", 50, head="lstm")
    fast = replace(slow, name="linear-1", predict_milliseconds=slow.predict_milliseconds / 2)
    assert anchors(parse_page(render_page([slow, fast]))) == [fast.name, slow.name]


def test_the_test_split_does_not_affect_the_order() -> None:
    first, second = example_run("ab", 50, head="linear"), example_run("ab", 50, head="lstm")
    better = replace(first, out_of_fold=replace(first.out_of_fold, macro_f1=replace(first.scored.macro_f1, value=0.9)))
    worse = replace(
        second, out_of_fold=replace(second.out_of_fold, macro_f1=replace(second.scored.macro_f1, value=0.8))
    )
    best_tested = replace(worse, test=replace(worse.scored, macro_f1=replace(worse.scored.macro_f1, value=1.0)))
    assert anchors(parse_page(render_page([best_tested, better]))) == [better.name, worse.name]


def test_ordinal_runs_are_sorted_by_their_error_and_show_it_and_kappa() -> None:
    runs = [
        example_run("abcdefgh", 200, head=head, skill=skill, ordinal=True) for head, skill in (("lstm", 2), ("mlp", 6))
    ]
    errors = [run.out_of_fold.absolute_error for run in runs]
    assert errors[0] is not None and errors[1] is not None and errors[0].value > errors[1].value
    shown = parse_page(render_page(runs))
    assert anchors(shown) == [runs[1].name, runs[0].name]
    first = shown.all("table", "compare")[0].all("tbody")[0].all("tr")[0]
    card = runs[1].scored
    expected = (errors[1], card.macro_f1, card.micro_f1, card.accuracy, card.absolute_error, card.quadratic_kappa)
    assert [cell.text for cell in first.all("td", "interval")] == [
        f"{one.value:.3f} {one.low:.3f}–{one.high:.3f}" for one in expected if one
    ]
    assert 'The rule "weighted median" lowers the mean absolute error by 0.500 ± 0.100 out of fold' in shown.text


def test_another_run_next_to_an_ordinal_one_has_dashes_and_both_are_sorted_by_macro_f1() -> None:
    plain, ordinal = example_run("cab", 200), example_run("cab", 200, head="lstm", ordinal=True)
    renamed = replace(plain, labels=("a", "b", "c"), truth=_sorted_codes(plain.truth))
    shown = parse_page(render_page([renamed, ordinal]))
    rows = {row.all("a")[0].text: row for row in shown.all("table", "compare")[0].all("tbody")[0].all("tr")}
    assert [cell.text for cell in rows[plain.name].all("td", "interval")][-2:] == ["–", "–"]
    assert "Sorted by out-of-fold macro-F1" in shown.text
    assert "not all scored on the same test documents" not in shown.text


def _sorted_codes(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes into c, a, b as codes into a, b, c."""
    return np.array([2, 0, 1])[truth]


def test_every_metric_of_the_comparison_is_that_of_its_run(shown: Element, runs: list[RunView]) -> None:
    row = shown.all("table", "compare")[0].all("tbody")[0].all("tr")[-1]
    run = min(runs, key=lambda run: run.out_of_fold.macro_f1.value)
    expected = (run.out_of_fold.macro_f1, run.scored.macro_f1, run.scored.micro_f1, run.scored.accuracy)
    assert [cell.text for cell in row.all("td", "interval")] == [
        f"{one.value:.3f} {one.low:.3f}–{one.high:.3f}" for one in expected
    ]
    assert row.all("td")[4].text == run.rule


def test_every_label_has_its_own_metrics(shown: Element, runs: list[RunView]) -> None:
    best = max(runs, key=lambda run: run.out_of_fold.macro_f1.value)
    rows = [row for table in shown.all("section", "run")[0].all("table", "labels") for row in table.all("tr")[1:]]
    found = {row.all("th")[0].text: [cell.text for cell in row.all("td")[1:]] for row in rows}
    assert found == {
        one.label: [
            f"{one.f1:.3f}",
            f"{one.precision:.3f}" if one.predicted else "–",
            f"{one.recall:.3f}" if one.support else "–",
            f"{one.support:,}",
        ]
        for one in best.scored.labels
    }


def test_labels_are_sorted_by_their_number_of_documents(shown: Element) -> None:
    tables = shown.all("section", "run")[0].all("table", "labels")
    support = [int(row.all("td")[-1].text.replace(",", "")) for table in tables for row in table.all("tr")[1:]]
    assert len(tables) == 2
    assert support == sorted(support, reverse=True)


def test_a_bar_is_as_long_as_its_f1_with_dots_at_precision_and_recall() -> None:
    run = example_run(["a", "b", "c"], 200)
    row = max(run.scored.labels, key=lambda one: one.support)
    drawn = parse_page(render_page([run])).all("table", "labels")[0].all("tbody")[0].all("tr")[0].all("svg", "bar")[0]
    assert drawn.all("rect", "f1")[0].attributes["width"] == f"{100 * row.f1:.1f}%"
    assert drawn.all("circle", "precision")[0].attributes["cx"] == f"{100 * row.precision:.1f}%"
    assert drawn.all("circle", "recall")[0].attributes["cx"] == f"{100 * row.recall:.1f}%"


def test_a_band_covers_its_confidence_interval_on_the_common_axis() -> None:
    run, interval = example_run("ab", 200), ConfidenceInterval(0.75, 0.72, 0.77)
    card = replace(run.scored, macro_f1=interval, micro_f1=interval, accuracy=ConfidenceInterval(0.85, 0.84, 0.9))
    shown = parse_page(render_page([replace(run, test=card, out_of_fold=card)]))  # a scale from 0.7 to 0.9
    drawn = shown.all("table", "compare")[0].all("svg", "band")[0]
    (band,), (line,) = drawn.all("rect", "interval"), drawn.all("line", "estimate")
    assert (band.attributes["x"], band.attributes["width"], line.attributes["x1"]) == ("10.0%", "25.0%", "25.0%")


def test_an_error_is_drawn_in_the_row_of_the_true_label_and_the_column_of_the_predicted_one() -> None:
    run = example_run("abc", 4)
    run = replace(run, truth=np.array([0, 0, 1, 2]), predicted=np.array([0, 2, 1, 2]))
    (wrong,) = parse_page(render_page([run])).all("svg", "matrix")[0].all("rect", "error")
    assert (wrong.attributes["x"], wrong.attributes["y"]) == ("96", "0")  # cells of 48
    assert wrong.text == "\u2068a\u2069 predicted as \u2068c\u2069: 1 (50 %)"


def test_the_effect_of_the_decision_rule_is_described() -> None:
    run = example_run("abc", 4)
    probabilities = np.array([[0.6, 0.3, 0.1]] * 4)
    run = replace(run, truth=np.array([1, 2, 0, 2]), predicted=np.array([1, 2, 1, 1]), probabilities=probabilities)
    sentence = "changed 4 of 4 documents compared with the most probable label: 2 became correct, 1 became wrong"
    assert f"{sentence}, 1 remained wrong." in parse_page(render_page([run])).text


def test_cells_of_the_matrix_hold_every_document(runs: list[RunView]) -> None:
    run = example_run(["a", "b", "c"], 400)
    cells = parse_page(render_page([run])).all("svg", "matrix")[0].all("rect")[1:]
    found = {
        tuple(re.findall("\u2068(.)\u2069", one.text)): int(re.findall(r": ([\d,]+) \(", one.text)[0]) for one in cells
    }
    pairs = zip(run.truth, run.predicted, strict=True)
    names = [(run.labels[true], run.labels[given]) for true, given in pairs]
    assert found == {pair: names.count(pair) for pair in set(names)}


def test_the_most_frequent_errors_of_many_labels_are_in_a_table(shown: Element, runs: list[RunView]) -> None:
    best = max(runs, key=lambda run: run.out_of_fold.macro_f1.value)
    true, given, documents, _ = (cell.text for cell in shown.all("table", "pairs")[0].all("tr")[1].all("td"))
    wrong = best.truth != best.predicted
    pairs, counts = np.unique(np.stack([best.truth, best.predicted])[:, wrong], axis=1, return_counts=True)
    at = np.flatnonzero(counts == counts.max())
    assert int(documents) == counts.max()
    assert (true, given) in {(best.labels[pairs[0, one]], best.labels[pairs[1, one]]) for one in at}


def test_labels_are_escaped_everywhere() -> None:
    for multilabel in (False, True):
        shown = parse_page(render_page([example_run(ODD, 300, multilabel=multilabel)]))
        assert len(scripts(shown)) == len(shown.all("style")) == 1
        assert not shown.all("img")
        titles = {cell.attributes["title"] for cell in shown.all("th", "label") if "title" in cell.attributes}
        assert titles == set(ODD)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=90), min_size=2, max_size=4, unique=True))
def test_a_page_with_any_labels_can_be_parsed_and_encoded(labels: list[str]) -> None:
    shown = parse_page(render_page([example_run(labels, 40)]).encode("utf-8").decode("utf-8"))
    rows = shown.all("table", "labels")[0].all("tbody")[0].all("tr")
    assert len(rows) == len(labels)


def test_names_and_notes_are_escaped() -> None:
    odd = '"><script>alert(1)</script>'
    run = replace(example_run("ab", 40), name=odd, head=odd, store=odd, reads=odd, rule=odd, notes=(odd,))
    shown = parse_page(render_page([run, replace(run, store="other")]))
    assert len(scripts(shown)) == 1
    assert anchors(shown) == [odd, odd]
    assert shown.all("ul", "notes")[0].text == odd


def test_an_unpaired_surrogate_is_replaced() -> None:
    assert "caf\ufffd\ufffd".encode() in render_page([example_run(["caf\ud800\x00", "b"], 40)]).encode("utf-8")


def test_the_page_contains_no_address(shown: Element, runs: list[RunView]) -> None:
    assert re.findall(r"https?:|//\w|@import|url\(|srcset|<link|<iframe|<object|<base", render_page(runs[:1])) == []
    assert not [one for one in shown.walk() if "src" in one.attributes or "style" in one.attributes]
    links = {one.attributes["href"] for one in shown.all() if "href" in one.attributes}
    assert links == {f"#run-{at}" for at in range(1, 7)}


def test_the_content_policy_allows_only_the_style_and_script_of_the_page(shown: Element) -> None:
    (policy,) = (one.attributes["content"] for one in shown.all("meta") if "http-equiv" in one.attributes)
    allowed = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    for tag, elements in (("style", shown.all("style")), ("script", scripts(shown))):
        (element,) = elements
        assert allowed[f"{tag}-src"] == f"'sha256-{b64encode(sha256(element.raw.encode()).digest()).decode()}'"
    assert allowed["default-src"] == "'none'"


def test_every_id_is_unique_and_every_reference_has_a_target(shown: Element) -> None:
    ids = [one.attributes["id"] for one in shown.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    named = {one.attributes.get("aria-labelledby") for one in shown.walk()} - {None}
    assert named <= set(ids)


def test_every_chart_has_a_description_or_is_hidden_from_screen_readers(shown: Element) -> None:
    for drawing in shown.all("svg"):
        assert drawing.attributes.get("aria-hidden") == "true" or drawing.attributes.get("aria-label")


def test_six_runs_of_52_labels_make_a_small_page(runs: list[RunView]) -> None:
    assert len(render_page(runs).encode()) < 3_000_000


def test_three_hundred_labels_fit_on_a_page() -> None:
    labels = [f"part-{at // 10}/topic-{at}" for at in range(300)]
    shown = parse_page(render_page([example_run(labels, 3000)]))
    assert sum(len(table.all("tbody")[0].all("tr")) for table in shown.all("table", "labels")) == 300


def test_labels_without_test_documents_have_dashes_and_are_counted() -> None:
    run = example_run(["often", "seldom", "never"], 60)
    truth, predicted = np.minimum(run.truth, 1), np.minimum(run.predicted, 1)
    supports = {"often": 50, "seldom": 10, "never": 0}
    metrics = tuple(replace(one, support=supports[one.label], predicted=0) for one in run.scored.labels)
    shown = parse_page(
        render_page([replace(run, truth=truth, predicted=predicted, test=replace(run.scored, labels=metrics))])
    )
    (row,) = shown.all("tr", "absent")
    assert [cell.text for cell in row.all("td")] == ["", "–", "–", "–", "0"]
    assert "1 of 3 labels have no test document" in shown.text


def test_unknown_scores_are_shown_without_a_warning() -> None:
    run = example_run("abc", 60)
    probabilities = run.probabilities.copy()
    probabilities[::3, 0], probabilities[1::3, 1], probabilities[:, 2] = np.nan, -np.inf, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = parse_page(render_page([replace(run, probabilities=probabilities)]))
    assert "nan" not in " ".join(one.attributes.get("d") or "" for one in shown.all("path"))


def test_multilabel_runs_have_counts_per_label_and_no_confusion_matrix() -> None:
    run = example_run(["a", "b"], 80, multilabel=True)
    shown = parse_page(render_page([run]))
    assert not shown.all("svg", "matrix")
    table = next(one for one in shown.all("table", "labels") if one.all("th")[2].text == "TP")
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")[1:]] for row in table.all("tbody")[0].all("tr")}
    hits, missed, added = run.truth & run.predicted, run.truth & ~run.predicted, ~run.truth & run.predicted
    assert rows == {
        label: [str(of[:, at].sum()) for of in (hits, missed, added)] for at, label in enumerate(run.labels)
    }


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_thousand_labels_are_neither_all_listed_nor_drawn(multilabel: bool) -> None:
    labels = [f"label {column}" for column in range(1000)]
    page = render_page([example_run(labels, 150, multilabel=multilabel)])
    shown = parse_page(page)
    assert not shown.all("svg", "matrix")
    assert all(len(table.all("tr")) <= 151 for table in shown.all("table"))
    assert re.search(r"; (700|8\d\d) of 1,000 labels are left out", shown.text)
    assert ("1,000 labels are too many for a confusion matrix" in shown.text) is not multilabel
    assert len(page) < 1_500_000


def test_the_most_frequent_labels_and_the_worst_others_are_listed() -> None:
    rows = [LabelMetrics(f"l{at}", 1, 1, 1 - at / 400, 401 - at, 1) for at in range(1, 401)]
    run = example_run("ab", 20)
    labels, card = tuple(row.label for row in rows), replace(run.scored, labels=tuple(rows))
    panel = RunPanel(replace(run, labels=labels, test=card), "run-1")
    assert [row.label for row in panel.metric_rows] == [f"l{at}" for at in (*range(1, 151), *range(251, 401))]
    assert panel.selection.startswith("Shown are the 150 most frequent labels") and "; 100 of 400 " in panel.selection


def test_each_rule_family_is_drawn_and_described(shown: Element) -> None:
    (families,) = shown.all("section", "run")[0].all("ol", "families")
    rows = [row for row in families.all("li") if row.all("svg", "family")]
    assert [row.all("circle", "cross-fitted")[0].text for row in rows] == ["0.746", "0.772", "0.766"]
    assert [row.all("circle", "in-sample")[0].text for row in rows] == ["0.746", "0.779", "0.843"]
    # the scale runs from 0.7 to 0.9, so 0.7724 lies at 36.2 %
    assert [row.all("circle", "cross-fitted")[0].attributes["cx"] for row in rows] == ["23.1%", "36.2%", "32.8%"]
    assert [row.all("circle", "in-sample")[0].attributes["cx"] for row in rows] == ["23.1%", "39.55%", "71.65%"]
    assert [row.text.endswith(sentence) for row, sentence in zip(rows, COMPARED.sentences, strict=False)] == [True] * 3
    assert ["selected" in row.classes for row in rows] == [False, True, False]
    assert COMPARED.sentences[3] in shown.text


def test_a_run_without_evidence_is_shown_without_rule_families() -> None:
    assert not parse_page(render_page([replace(example_run("ab", 40), evidence={})])).all("ol", "families")


def test_runs_on_different_test_documents_are_reported() -> None:
    same, other = example_run("abc", 60, head="linear"), example_run("abc", 61, head="lstm")
    sentence = "not all scored on the same test documents"
    assert sentence in render_page([same, other])
    assert sentence not in render_page([same, replace(same, name="twin")])


def test_a_run_that_is_not_scored_on_the_test_split_is_counted_and_not_on_other_documents() -> None:
    scored, unscored = example_run("abc", 60), example_run("abc", 90, head="lstm")
    page = render_page([scored, replace(unscored, test=None)])
    assert "1 of 2 runs was not scored on the test split." in page
    assert "not all scored on the same" not in page and "The test split was not scored" not in page
    other = render_page([replace(scored, test=None), replace(unscored, test=None)])
    assert "not all scored on the same documents" in other and "was not scored on the test split." not in other


def test_a_run_without_test_metrics_has_dashes_where_others_have_those_of_a_taxonomy() -> None:
    labels = ["a/x", "a/y", "b/x"]
    scored = example_run(labels, 60, separator="/")
    unscored = replace(example_run(labels, 60, head="lstm", separator="/", skill=9), test=None)
    (table,) = parse_page(render_page([scored, unscored])).all("div", "by-level")
    assert "on the test split" in table.all("caption")[0].text
    rows = {row.all("a")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tbody")[0].all("tr")}
    assert rows[unscored.name] == ["–"] * 5
    assert scored.test and scored.test.hf1 and rows[scored.name][0].startswith(f"{scored.test.hf1.value:.3f}")
    (alone,) = parse_page(render_page([unscored])).all("div", "by-level")
    assert "out-of-fold" in alone.all("caption")[0].text and "–" not in {cell.text for cell in alone.all("td")}


def test_a_run_without_an_error_is_reported() -> None:
    run = example_run("abc", 60)
    assert "Every test document was classified correctly" in render_page([replace(run, predicted=run.truth)])


def test_no_runs_are_a_page_too() -> None:
    assert "There are no runs to compare" in parse_page(render_page([])).text
