"""docs/heads.md is what the heads say of themselves."""

from pathlib import Path

import pytest

from commandline.heads_page import descriptions, page
from heads.registry import OURS, describe


def test_the_page_of_heads_is_what_they_declare() -> None:
    written = (Path(__file__).resolve().parents[2] / "docs" / "heads.md").read_text(encoding="utf-8")
    assert written == page(), "run `make docs`"


@pytest.mark.parametrize("name", OURS)
def test_every_parameter_of_a_head_is_described(name: str) -> None:
    parameters = [each.name.rpartition("__")[2] for each in describe(name).parameters]
    assert [each for each in parameters if not descriptions(name).get(each)] == []
