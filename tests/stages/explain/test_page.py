"""The page of explanations in a real browser."""

import shutil
from pathlib import Path

import pytest

from stages.explain.explanation import Attribution, Explanation
from stages.explain.page import render_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LABEL = "x" * 80  # also an id and a text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_nothing_extends_beyond_the_page_of_a_phone(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    explanation = Explanation(
        id=LABEL,
        split="train",
        true_labels=(LABEL,),
        predicted_labels=(LABEL,),
        probabilities=((LABEL, 0.9), ("other", 0.1)),
        label=LABEL,
        against=None,
        margin=2.0,
        is_multilabel=False,
        method="occlusion",
        level="chunks",
        attributions=tuple(Attribution("chunks", chunk, None, (0, 5), LABEL, 1 / chunk) for chunk in (1, -2)),
        removed=1,
        probability_without_strongest=0.5,
        text=LABEL,
        is_decoded=False,
        notes=(),
    )
    page = tmp_path / "page.html"
    page.write_text(render_page([explanation], "linear-7fb3f71e", 5), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        opened = browser.new_page(viewport={"width": 400, "height": 800})
        opened.goto(page.as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") <= 400
        browser.close()
