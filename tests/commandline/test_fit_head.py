"""`embedonce fit-head` from the command line: several heads in one command."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.small_store import blobs, make_store

FAST = ("--folds", 2, "--jobs", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b", "c"]))
    return tmp_path / "stores" / "made-up"


@pytest.mark.usefixtures("store")
def test_several_heads_are_fitted_and_compared_and_a_stack_reads_those_before_it(embedonce: Run) -> None:
    result = embedonce("fit-head", "linear", "prototype", "stack", *FAST, "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)["rows"]
    assert {row["head"] for row in rows} == {"linear", "prototype", "stack"}
    assert next(row["inputs"] for row in rows if row["head"] == "stack") == "scores of 2 runs"


@pytest.mark.usefixtures("store")
def test_a_head_that_fails_is_named_and_the_others_are_fitted(embedonce: Run) -> None:
    result = embedonce("fit-head", "stack", "linear", *FAST)
    assert result.code == 1
    assert "stack: " in result.err
    assert "linear-" in result.out


@pytest.mark.usefixtures("store")
def test_hyperparameters_are_for_one_head(embedonce: Run) -> None:
    result = embedonce("fit-head", "linear", "prototype", "--set", "C=2", *FAST)
    assert result.code == 2
    assert "for one head: fit it alone" in result.err


@pytest.mark.usefixtures("store")
def test_a_note_on_the_corpus_is_printed_once(embedonce: Run) -> None:
    result = embedonce("fit-head", "linear", "prototype", "knn", *FAST)
    notes = [line for line in result.err.splitlines() if line.startswith("  - ")]
    assert len(notes) == len(set(notes))
