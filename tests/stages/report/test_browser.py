"""The page in a real browser: no error, no request to the network, tabs and sorting that work."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.report import render_page
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
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = [example_run(LABELS, 500, head=head, skill=6 - at, separator=".") for at, head in enumerate(HEADS[:3])]
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_page(runs), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """The page at 1400 units; `messages` holds those of the console, `requests` the addresses that were requested."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.messages, opened.requests = [], []
    opened.on("console", lambda message: opened.messages.append(message.text))
    opened.on("pageerror", lambda error: opened.messages.append(str(error)))
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.goto(address)
    yield opened
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


def test_labels_can_be_sorted_by_f1_across_both_tables(tab: Any) -> None:
    tab.click("#run-1 button[data-by=f1]")
    rows = "[...document.querySelectorAll('#run-1 .labels tbody tr')].map(row => +row.dataset.f1)"
    f1 = tab.evaluate(rows)
    assert len(f1) == len(LABELS)
    assert f1 == sorted(f1)


def test_a_node_of_the_taxonomy_is_opened_by_a_click(tab: Any) -> None:
    child = "#run-1 .tree > li:first-child details li >> nth=0"
    assert not tab.is_visible(child)
    tab.click("#run-1 .tree > li:first-child summary")
    assert tab.is_visible(child)


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
