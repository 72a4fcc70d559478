"""How large a report page is, and how long Chromium takes until it can be used.

python -m benchmarks.report_page --json
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring import Topic, at_most, print_topic
from stages.report import Findings, RunView, render_page
from tests.stages.report.example_runs import example_run

WORDS = ("石油", "价格", "上涨", "银行", "公司", "小麦", "出口", "利润", "部长", "会议")
# the time of the second frame after loading, when scripts have run and the page is drawn
READY = """addEventListener("load", () => requestAnimationFrame(() => requestAnimationFrame(
  () => window.ready = performance.now())));"""
# from the click to the end of the layout that follows
OPEN_CELL = """() => {
  const start = performance.now();
  document.querySelector(".matrix [data-cell]").dispatchEvent(new MouseEvent("click"));
  document.body.offsetHeight;
  return performance.now() - start;
}"""


def make_runs(runs: int, labels: int, documents: int) -> list[RunView]:
    """Synthetic runs on the same documents, whose texts are Chinese and longer than the page shows."""
    rng = np.random.default_rng(0)
    names = [f"topic-{code}" for code in range(labels)]
    texts = tuple("".join(rng.choice(WORDS, 100)) for _ in range(documents))
    made = [example_run(names, documents, head=f"head{number}", skill=6 - number / 8) for number in range(runs)]
    ids = tuple(f"document-{row}" for row in range(documents))
    return [replace(run, ids=ids, excerpts=texts) for run in made]


def measure(page: Path, rounds: int) -> list[tuple[float, float]]:
    """Open the page several times: milliseconds until it is ready, and until a cell's documents are open."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        raise click.ClickException("No chromium is installed. Install it with your system's package manager.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--headless", "--no-sandbox"])
        measured = [_open(browser, page) for _ in range(rounds)]
        browser.close()
    return measured


def _open(browser: Any, page: Path) -> tuple[float, float]:
    window = browser.new_page(viewport={"width": 1280, "height": 900})
    window.add_init_script(READY)
    window.goto(page.as_uri())
    window.wait_for_function("window.ready")
    times = window.evaluate("window.ready"), window.evaluate(OPEN_CELL)
    window.close()
    return times


@click.command()
@click.option("--runs", default=16, help="Runs on the page.")
@click.option("--labels", default=50, help="Labels of the documents.")
@click.option("--documents", default=10_000, help="Documents of the test split.")
@click.option("--rounds", default=5, help="How often the page is opened; the medians count.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per claim.")
def main(runs: int, labels: int, documents: int, rounds: int, as_json: bool) -> None:
    """Print the size of a page of synthetic runs, and how soon it can be used."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        made = make_runs(runs, labels, documents)
        findings = Findings("Take a run.", costs={run.name: run.predict_milliseconds for run in made})
        page.write_text(render_page(made, findings=findings), encoding="utf-8")
        size, times = page.stat().st_size / 1e6, measure(page, rounds)
    ready, opened = (float(np.median(column)) / 1000 for column in zip(*times, strict=True))
    what = f"{runs} runs, {labels} labels, {documents:,} documents"
    claims = [
        at_most(f"size of the page in MB: {what}", size, 5),
        at_most(f"seconds until the page can be used: {what}", ready, 2),
        at_most(f"seconds until a cell's documents are open: {what}", opened, 0.5),
    ]
    rows = [
        ("", "value"),
        ("MB", f"{size:.2f}"),
        ("ready, seconds", f"{ready:.2f}"),
        ("cell, seconds", f"{opened:.3f}"),
    ]
    print_topic(Topic(f"Report page: {what}", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
