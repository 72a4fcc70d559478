"""`embedonce fit-head` from the command line: several heads in one command."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.small_store import blobs, make_store
from tests.stages.engines.simulated import InProcess

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
def test_what_stops_every_head_is_said_once(embedonce: Run) -> None:
    result = embedonce("fit-head", "linear", "prototype", *FAST, "--order", "a,b")
    assert result.code == 1 and "prototype: the same" in result.err
    assert result.err.count("linear: ") == 1 and result.err.count("--order") == 1


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("folder", ["r\udcff", "a\nb", "-r"])
def test_a_folder_of_any_name_keeps_runs(embedonce: Run, folder: str) -> None:
    assert embedonce("fit-head", "prototype", *FAST, "--runs", folder).code == 0
    again = embedonce("fit-head", "prototype", *FAST, "--runs", folder)
    assert again.code == 0 and "was fitted before" in again.err
    (row,) = json.loads(embedonce("compare", "--runs", folder, "--json").out)["rows"]
    assert row["head"] == "prototype"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("option", ["--runs", "--store"])
def test_a_name_that_is_too_long_is_a_sentence(embedonce: Run, option: str) -> None:
    result = embedonce("fit-head", "prototype", *FAST, option, "a" * 300)
    assert result.code in (1, 2) and result.err.splitlines()[-1].startswith("Error: ")
    assert "bug in embedonce" not in result.err


@pytest.mark.usefixtures("store")
def test_a_page_whose_name_is_too_long_is_refused_before_the_work(embedonce: Run) -> None:
    result = embedonce("curve", "prototype", "--html", "a" * 300)
    assert result.code == 2 and "File name too long. Name another file." in result.err


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


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """The engine of `--on local`, with one worker in this process, which is lost after its first item."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as a worker sets it for its process
    made = InProcess(dies=[1])
    monkeypatch.setattr("stages.engines.open_engine", lambda _: made)
    return made


@pytest.mark.usefixtures("store")
def test_heads_are_fitted_on_an_engine_although_a_worker_is_lost_and_a_stack_comes_last(
    embedonce: Run, engine: InProcess
) -> None:
    result = embedonce("fit-head", "stack", "linear", "prototype", "--folds", 2, "--on", "local", "--json")
    assert result.code == 0, result.err
    rows = {row["head"]: row["run"] for row in json.loads(result.out)["rows"]}
    assert rows.keys() == {"linear", "prototype", "stack"} and engine.items[-1] == "stack"
    assert "worker 1 was lost (killed): another worker gets its item." in result.err
    assert result.err.count("was fitted before") == 1  # the run that the lost worker had written
    here = json.loads(embedonce("fit-head", "stack", "linear", "prototype", *FAST, "--json").out)["rows"]
    assert {row["head"]: row["run"] for row in here} == rows


@pytest.mark.usefixtures("store", "engine")
def test_a_head_that_fails_on_an_engine_is_named_and_the_others_are_fitted(embedonce: Run) -> None:
    result = embedonce("fit-head", "stack", "linear", "--folds", 2, "--on", "local")
    assert result.code == 1 and "stack: " in result.err and "linear-" in result.out


@pytest.mark.usefixtures("engine", "store")
def test_a_worker_that_sees_other_documents_refuses(embedonce: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = iter("ab")
    monkeypatch.setattr("stages.fitting.engine_fits._hash", lambda *_: next(hashes))
    result = embedonce("fit-head", "linear", "--on", "local")
    assert result.code == 2 and "made-up has other features or documents than where the command was star" in result.err


@pytest.mark.usefixtures("store")
def test_jobs_are_for_this_machine(embedonce: Run) -> None:
    refused = embedonce("fit-head", "linear", "--jobs", 2, "--on", "local")
    assert refused.code == 2 and "--jobs is for fits on this machine" in refused.err
