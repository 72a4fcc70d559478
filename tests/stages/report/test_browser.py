"""The page in a real browser: no error, no request, and controls that work with the mouse and the keyboard."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from stages.report import Finding, Findings, RunView, documents, render_page
from stages.report.errors import confident_errors
from tests.stages.report.example_runs import HEADS, example_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
LABELS = ["<script>alert(1)</script>", "مراجعة", "x" * 80, *(f"rec.topic-{at}" for at in range(27))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def runs() -> list[RunView]:
    """Three runs on the same documents, the best one first, whose ids and texts are hostile."""
    made = [example_run(LABELS, 500, head=head, skill=6 - at, separator=".") for at, head in enumerate(HEADS[:3])]
    ids = tuple(f"<img src=x onerror=alert({row})>" for row in range(500))
    texts = tuple(f"<b>text</b> {row} </script><script>alert(1)</script>" for row in range(500))
    made = [replace(run, ids=ids, excerpts=texts) for run in made]
    return sorted(made, key=lambda run: -run.out_of_fold.macro_f1.value)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, runs: list[RunView]) -> str:
    findings = Findings(
        "Take the <i>linear</i> run.",
        runs[1].name,
        costs={run.name: run.predict_milliseconds for run in runs},
        checks=(Finding(runs[2].name, "Slow.", "Drop it."),),
    )
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_page(runs, findings=findings), encoding="utf-8")
    return path.as_uri()


def open_page(browser: Any, address: str) -> Any:
    """The page at 1400 units; `messages` holds those of the console, `requests` the addresses that were requested."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.messages, opened.requests = [], []
    opened.on("console", lambda message: opened.messages.append(message.text))
    opened.on("pageerror", lambda error: opened.messages.append(str(error)))
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.goto(address)
    return opened


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """A page of its own, for a test that changes what the next one would see."""
    opened = open_page(browser, address)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def used(browser: Any, address: str) -> Iterator[Any]:
    """One page for many tests, each of which finds what it needs; none of them may cause an error or a request."""
    opened = open_page(browser, address)
    yield opened
    assert opened.messages == [] and opened.requests == [address]
    opened.close()


def visible(tab: Any) -> list[str]:
    return [panel.get_attribute("id") for panel in tab.query_selector_all(".run") if panel.is_visible()]


def test_it_loads_without_an_error_and_without_a_request(tab: Any, address: str) -> None:
    assert tab.messages == []
    assert tab.requests == [address]


def test_the_best_run_is_shown_first_and_a_tab_shows_another(tab: Any) -> None:
    assert visible(tab) == ["run-1"]
    tab.click(".tabs a:nth-child(3)")
    assert visible(tab) == ["run-3"]
    assert tab.get_attribute(".tabs a:nth-child(3)", "aria-selected") == "true"
    assert tab.url.endswith("#run-3")


def test_arrow_keys_cycle_through_the_tabs(tab: Any) -> None:
    tab.focus(".tabs a:nth-child(1)")
    tab.keyboard.press("ArrowLeft")
    assert visible(tab) == ["run-3"]
    tab.keyboard.press("ArrowRight")
    assert visible(tab) == ["run-1"]


def test_a_name_in_the_comparison_shows_its_run(tab: Any) -> None:
    tab.click(".compare tbody tr:nth-child(2) a")
    tab.wait_for_function("!document.getElementById('run-2').hidden")
    assert visible(tab) == ["run-2"]


def test_labels_can_be_sorted_by_f1_across_both_tables(used: Any) -> None:
    used.click("#run-1 button[data-by=f1]")
    rows = "[...document.querySelectorAll('#run-1 .labels tbody tr')].map(row => +row.dataset.f1)"
    f1 = used.evaluate(rows)
    assert len(f1) == len(LABELS)
    assert f1 == sorted(f1)


def test_a_node_of_the_taxonomy_is_opened_by_a_click(used: Any) -> None:
    child = "#run-1 .tree > li:first-child details li >> nth=0"
    assert not used.is_visible(child)
    used.click("#run-1 .tree > li:first-child summary")
    assert used.is_visible(child)


def test_without_javascript_all_runs_are_shown(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address)
    assert visible(opened) == ["run-1", "run-2", "run-3"]
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_extends_beyond_the_page(tab: Any, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_all_runs_are_printed(tab: Any) -> None:
    tab.emulate_media(media="print")
    assert visible(tab) == ["run-1", "run-2", "run-3"]
    assert not tab.is_visible(".tabs")


def test_the_choice_and_the_checks_are_at_the_top(used: Any, runs: list[RunView]) -> None:
    assert used.text_content(".choice") == "Take the <i>linear</i> run."
    assert used.text_content(".checks li") == f"{runs[2].name}: Slow. Drop it."
    assert used.get_attribute(".checks li a", "href") == "#run-3"


def test_the_slider_has_the_metrics_of_scikit_learn_at_each_threshold(used: Any, runs: list[RunView]) -> None:
    """For all labels together, a frequent and a rare label, at positions all over the slider."""
    truth = runs[0].truth[:, None] == np.arange(len(LABELS))
    support = truth.sum(axis=0)
    for label in (-1, int(support.argmax()), int(np.where(support > 0, support, 999).argmin())):
        name = "all labels together" if label < 0 else LABELS[label]
        rows = used.evaluate(
            """name => {
              const controls = document.querySelector("#run-1 .threshold");
              const [select, slider] = [controls.querySelector("select"), controls.querySelector("input")];
              select.value = [...select.options].find(option => option.text === name).value;
              select.dispatchEvent(new Event("change"));
              const read = () => [...controls.querySelectorAll("[data-value]")].map(cell => cell.textContent);
              return Array.from({ length: Number(slider.max) + 1 }, (_, position) => {
                slider.value = position;
                slider.dispatchEvent(new Event("input"));
                return read();
              });
            }""",
            name,
        )
        columns = slice(None) if label < 0 else slice(label, label + 1)
        true, probabilities = truth[:, columns].ravel(), runs[0].probabilities[:, columns].ravel()
        assert rows
        for threshold, *values in rows[:: max(1, len(rows) // 20)]:
            decided = probabilities >= float(threshold)
            metrics = precision_recall_fscore_support(true, decided, average="binary")[:3]
            counts = (decided.sum(), (true & decided).sum())
            assert values == [*(f"{value:.3f}" for value in metrics), *(f"{count:,}" for count in counts)]


def test_arrow_keys_move_the_threshold_and_the_dot(used: Any) -> None:
    used.select_option("#run-1 .threshold select", "0")
    used.focus("#run-1 .threshold input")
    places = [used.get_attribute("#run-1 .chosen-point", "cx")]
    for _ in range(3):
        used.keyboard.press("ArrowRight")
        places.append(used.get_attribute("#run-1 .chosen-point", "cx"))
    assert len(set(places)) == 4
    spoken = used.get_attribute("#run-1 .threshold input", "aria-valuetext")
    assert spoken.startswith("threshold 0.") and "precision" in spoken


def opened_ids(page: Any) -> list[str]:
    return list(page.eval_on_selector_all("dialog[open] tbody th", "cells => cells.map(cell => cell.textContent)"))


def test_a_cell_of_the_confusion_matrix_opens_its_documents_as_text(used: Any, runs: list[RunView]) -> None:
    run = runs[0]
    pairs = Counter(zip(run.truth.tolist(), run.predicted.tolist(), strict=True))
    true, given = next(pair for pair, _ in pairs.most_common() if pair[0] != pair[1])
    rows = np.flatnonzero((run.truth == true) & (run.predicted == given)).tolist()
    used.click(f"#run-1 .matrix [data-cell='{true} {given} {len(rows)}']")
    assert sorted(opened_ids(used)) == sorted(run.ids[row] for row in rows)
    assert used.text_content("dialog h2") == f"{LABELS[true]} predicted as {LABELS[given]}"
    assert "<b>text</b>" in used.text_content("dialog tbody") and not used.query_selector("dialog img, dialog b")
    shown = [
        float(cell) for cell in used.eval_on_selector_all("dialog td.number", "cells => cells.map(c => c.textContent)")
    ]
    assert shown == sorted(shown, reverse=True)
    assert shown == pytest.approx(sorted(run.probabilities[rows, given].tolist(), reverse=True), abs=6e-4)
    used.keyboard.press("Escape")
    assert not used.is_visible("dialog")


def test_cells_are_reached_and_opened_with_the_keyboard(used: Any) -> None:
    assert used.eval_on_selector_all("#run-1 .matrix [tabindex='0']", "cells => cells.length") == 1
    used.focus("#run-1 .matrix [tabindex='0']")
    used.keyboard.press("ArrowDown")
    focused = "document.activeElement.getAttribute('aria-label')"
    name = used.evaluate(focused)
    used.keyboard.press("Enter")
    assert used.is_visible("dialog") and name.startswith(used.text_content("dialog h2"))
    used.keyboard.press("Escape")
    assert used.evaluate(focused) == name  # the focus is back where it was


def test_two_runs_are_compared_label_by_label(used: Any, runs: list[RunView]) -> None:
    used.select_option(".versus label:nth-child(2) select", "2")
    if used.is_visible(".versus .more"):
        used.click(".versus .more")
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    rows = {row[0]: row[2:] for row in used.eval_on_selector_all(".versus tbody tr", cells)}
    assert f"{runs[2].name} (ring)" in used.text_content(".versus [role=status]")
    by_label = [{metrics.label: metrics for metrics in run.scored.labels} for run in (runs[0], runs[2])]
    right = [run.predicted == run.truth for run in (runs[0], runs[2])]
    for code, label in enumerate(LABELS):
        if label in rows:
            of_label = runs[0].truth == code
            won = [int((of_label & right[one] & ~right[1 - one]).sum()) for one in (0, 1)]
            assert [float(cell) for cell in rows[label][:2]] == pytest.approx(
                [one[label].f1 for one in by_label], abs=6e-4
            )
            assert [int(cell) for cell in rows[label][2:4]] == won
    used.click(".versus tbody .count >> nth=0")
    assert opened_ids(used) and used.eval_on_selector_all("dialog thead th", "cells => cells.length") == 7
    used.click("dialog .close")


def test_documents_that_one_run_has_correct_are_counted_on_the_page_and_it_says_so(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.array([0, 0, 0, 1])
    first, second = (
        replace(example_run("ab", 4, head=head), truth=truth, predicted=np.array(predicted))
        for head, predicted in (("linear", [1, 1, 0, 0]), ("lstm", [1, 0, 1, 1]))
    )
    for limit, remark in ((3, True), (4, False)):
        monkeypatch.setattr(documents, "MAX_DOCUMENTS", limit)
        (tmp_path / "two.html").write_text(render_page([first, second]), encoding="utf-8")
        page = open_page(browser, (tmp_path / "two.html").as_uri())
        counts = page.eval_on_selector_all(".versus tbody .count", "cells => cells.map(cell => +cell.textContent)")
        assert sum(counts) == limit - 1
        assert ("among the 3 of 4 on this page" in page.text_content(".versus [role=status]")) is remark
        page.click(".versus tbody .count >> nth=0")
        assert page.text_content("dialog p").endswith("on this page") is remark
        page.close()


def test_runs_are_filtered_and_sorted(used: Any, runs: list[RunView]) -> None:
    def shown() -> list[str]:
        return [link.text_content() for link in used.query_selector_all(".compare tbody th a") if link.is_visible()]

    assert shown() == [run.name for run in runs]
    used.select_option("main > .tools select", "fit")
    assert shown() == [run.name for run in sorted(runs, key=lambda run: run.fit_seconds)]
    used.fill("main > .tools input", f"{runs[1].head} logit")
    assert shown() == [runs[1].name]
    assert used.text_content("main > .tools [role=status]") == "1 of 3 runs"
    assert [one.text_content() for one in used.query_selector_all(".tabs a") if one.is_visible()] == [runs[1].name]
    used.fill("main > .tools input", "")
    used.select_option("main > .tools select", "-1")
    assert shown() == [run.name for run in runs]


def test_the_most_confident_errors_are_listed(used: Any, runs: list[RunView]) -> None:
    ids = used.eval_on_selector_all("#run-1 .errors tbody th", "cells => cells.map(cell => cell.textContent)")
    assert ids == [runs[0].ids[row] for row in confident_errors(runs[0])]


def test_every_chart_has_its_values_in_a_table_and_every_control_a_name(used: Any) -> None:
    assert used.eval_on_selector_all("#run-1 .values table tbody tr", "rows => rows.length") > 10
    unnamed = """controls => controls.filter(control => !control.textContent.trim() && !control.closest("label")
      && !control.getAttribute("aria-label")).length"""
    assert used.eval_on_selector_all("button, select, input, summary", unnamed) == 0


def test_in_dark_mode_the_page_is_dark(used: Any) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = used.evaluate(background)
    used.emulate_media(color_scheme="dark")
    dark = used.evaluate(background)
    used.emulate_media(color_scheme="light")
    assert light == "rgb(253, 253, 252)" and dark == "rgb(20, 23, 26)"


def test_multilabel_counts_open_their_documents(browser: Any, tmp_path: Path) -> None:
    run = example_run(["a", "b"], 80, multilabel=True)
    (tmp_path / "one.html").write_text(render_page([run]), encoding="utf-8")
    page = open_page(browser, (tmp_path / "one.html").as_uri())
    assert page.title().startswith(run.name) and not page.query_selector(".tools:not(dialog *)")
    missed = np.flatnonzero(run.truth[:, 0] & ~run.predicted[:, 0])
    page.click("[data-decisions^='fn 0 '] button")
    assert sorted(opened_ids(page)) == sorted(f"row {row + 1}" for row in missed)
    assert page.messages == []
    page.close()
