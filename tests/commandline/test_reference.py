"""The generated pages of the documentation are up to date, and describe every hyperparameter."""

from pathlib import Path

import pytest

from commandline.heads import hyperparameter_texts
from commandline.reference import PAGES
from heads.registry import OURS, describe

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_up_to_date(page: str) -> None:
    assert (DOCS / f"{page}.md").read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("name", OURS)
def test_every_hyperparameter_of_a_head_is_described(name: str) -> None:
    parameters = [parameter.name.rpartition("__")[2] for parameter in describe(name).parameters]
    assert [parameter for parameter in parameters if not hyperparameter_texts(name).get(parameter)] == []
