"""The generated pages of the documentation are up to date, and describe every hyperparameter."""

from pathlib import Path

import pytest

from commandline.reference import PAGES
from heads.registry import BUILT_IN_HEADS, STACKING_HEADS, describe

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_up_to_date(page: str) -> None:
    assert (DOCS / f"{page}.md").read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("name", [*BUILT_IN_HEADS, *STACKING_HEADS])
def test_every_hyperparameter_of_a_head_is_described(name: str) -> None:
    assert [item.name for item in describe(name).hyperparameters if not item.help] == []
