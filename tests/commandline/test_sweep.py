"""`sweep` shows what the library found: tables, JSON, a picture, a run; and refuses in a sentence."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.small_store import blobs, make_store

SMALL = ("--trials", 7, "--folds", 2)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b", "c"], documents=160))
    return tmp_path / "stores" / "made-up"


def test_history_importance_and_the_run_are_shown_and_the_same_as_json(embedonce: Run, store: Path) -> None:
    shown = embedonce("sweep", "linear", *SMALL)
    assert shown.code == 0 and "best so far" in shown.out and "linear-" in shown.out
    assert "linear: 7 trials" in shown.err and "the test split was not read" in shown.err
    told = json.loads(embedonce("sweep", "linear", *SMALL, "--json").out)
    (found,) = told["sweeps"]
    assert (
        len(found["trials"]) == 7
        and found["improvements"][0] == 1
        and set(found["best"]["values"]) == set(found["defaults"])
    )
    assert ("importance\n" in shown.out or "importance " in shown.out) == bool(found["importance"])
    assert [row["run"] for row in told["runs"]["rows"]] == [found["run"]]
    compared = json.loads(embedonce("compare", "--json").out)
    assert [row["run"] for row in compared["rows"]] == [found["run"]]


def test_the_chart_is_written_in_every_format(embedonce: Run, store: Path, tmp_path: Path) -> None:
    files = ("--html", "s.html", "--svg", "s.svg", "--png", "s.png", "--pdf", "s.pdf")
    assert embedonce("sweep", "linear", *SMALL, *files).code == 0
    assert (tmp_path / "s.svg").read_text().startswith("<svg") and "<table" in (tmp_path / "s.html").read_text()
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "s.pdf").read_bytes().startswith(b"%PDF")


def test_what_is_set_is_not_searched(embedonce: Run, store: Path) -> None:
    asked = (
        "sweep",
        "mlp",
        "--trials",
        2,
        "--folds",
        2,
        "--set",
        "lr=0.01",
        "--class-weight",
        "none",
        "--set",
        "epochs=2",
    )
    (found,) = json.loads(embedonce(*asked, "--json").out)["sweeps"]
    assert "hidden" in found["defaults"] and not {"training__optimization__lr", "class_weight"} & set(found["defaults"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["liner"], "Did you mean 'linear'"),
        (["stack"], "has nothing to search"),
        (["linear", "--time-budget", "10"], "write a time"),
        (["all", "--set", "C=1"], "name it instead of 'all'"),
        (["linear", "--set", "c=1"], "no hyperparameter 'c'"),
        (["linear", "--trial-folds", "6"], "--folds is only 5"),
        (["linear", "--trials", "0"], "trials"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(
    embedonce: Run, store: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    result = embedonce("sweep", *arguments)
    (error,) = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert result.code == 2 and sentence in error and result.out == "" and not (tmp_path / "runs").exists()
