"""`sweep` shows its trials as tables, JSON and charts, and fits a run; a wrong call is one sentence."""

import json
from pathlib import Path

import pytest

from data.taxonomy import Taxonomy
from tests.conftest import Run
from tests.small_store import blobs, make_store
from tests.stages.engines.simulated import InProcess

SMALL = ("--trials", 7, "--folds", 2)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b", "c"], documents=160))
    return tmp_path / "stores" / "made-up"


def test_history_importance_and_the_run_are_shown_and_the_same_as_json(embedonce: Run, store: Path) -> None:
    shown = embedonce("sweep", "linear", *SMALL)
    assert shown.code == 0 and "best so far" in shown.out and "linear-" in shown.out
    assert "linear: 7 trials" in shown.err and "the test split was not read" in shown.err
    answer = json.loads(embedonce("sweep", "linear", *SMALL, "--json").out)
    (result,) = answer["sweeps"]
    assert (
        len(result["trials"]) == 7
        and result["improvements"][0] == 1
        and set(result["best"]["values"]) == set(result["defaults"])
    )
    assert ("importance\n" in shown.out or "importance " in shown.out) == bool(result["importance"])
    assert [row["run"] for row in answer["runs"]["rows"]] == [result["run"]]
    compared = json.loads(embedonce("compare", "--json").out)
    assert [row["run"] for row in compared["rows"]] == [result["run"]]


def test_the_chart_is_written_in_every_format(embedonce: Run, store: Path, tmp_path: Path) -> None:
    files = ("--html", "s.html", "--svg", "s.svg", "--png", "s.png", "--pdf", "s.pdf")
    assert embedonce("sweep", "linear", *SMALL, *files).code == 0
    assert (tmp_path / "s.svg").read_text().startswith("<svg") and "<table" in (tmp_path / "s.html").read_text()
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "s.pdf").read_bytes().startswith(b"%PDF")


def test_hyperparameters_of_the_top_level_are_selected_by_macro_f1(embedonce: Run, tmp_path: Path) -> None:
    labels = ("rec", "rec/autos", "rec/sport/golf", "sci/space")
    nodes = Taxonomy.from_separator((*labels, "sci", "rec/sport"), "/")
    make_store(tmp_path / "stores" / "made-up", *blobs(labels, documents=80), kind="path", taxonomy=nodes)
    few = ("linear", "--trials", 1, "--folds", 2, "--json")
    (result,) = json.loads(embedonce("sweep", *few, "--scored-level", 1).out)["sweeps"]
    assert result["metric"] == "macro_f1"
    refused = embedonce("sweep", *few, "--scored-level", 1, "--metric", "hf1")
    assert "--metric hf1 needs a taxonomy, and the labels of made at level 1 have none." in refused.err


def test_ordinal_labels_are_selected_by_quadratic_kappa_unless_the_objective_has_a_metric(
    embedonce: Run, store: Path
) -> None:
    few = ("linear", "--trials", 1, "--folds", 2, "--order", "a,b,c", "--json")
    for options, metric in (
        ((), "quadratic_kappa"),
        (("--objective", "absolute-error"), "quadratic_kappa"),
        (("--objective", "macro-f1"), "macro_f1"),
        (("--metric", "accuracy"), "accuracy"),
    ):
        (result,) = json.loads(embedonce("sweep", *few, *options).out)["sweeps"]
        assert result["metric"] == metric
    refused = embedonce("sweep", *few, "--metric", "absolute-error")
    assert refused.code == 2 and "the selection maximizes. Name quadratic-kappa." in refused.err
    unordered = embedonce("sweep", "linear", "--objective", "absolute-error")
    assert unordered.code == 2 and "--order" in unordered.err and "--metric" not in unordered.err


def test_folds_of_a_trial_and_the_validation_split_exclude_each_other(embedonce: Run, store: Path) -> None:
    refused = embedonce("sweep", "linear", "--validate-on", "split", "--trial-folds", 2)
    assert refused.code == 2 and "--trial-folds is for folds, and --validate-on split has none" in refused.err


def test_what_is_set_is_not_searched(embedonce: Run, store: Path) -> None:
    arguments = (
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
    (result,) = json.loads(embedonce(*arguments, "--json").out)["sweeps"]
    assert "hidden" in result["defaults"] and not {"training__optimization__lr", "class_weight"} & set(
        result["defaults"]
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["liner"], "Did you mean 'linear'"),
        (["stack"], "has nothing to search"),
        (["linear", "--time-budget", "10"], "write a time"),
        (["all", "--set", "C=1"], "for one head: fit it alone"),
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


def test_trials_and_the_best_run_are_items_of_an_engine(
    embedonce: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as a worker sets it for its process
    engine = InProcess(dies=[2])
    monkeypatch.setattr("stages.engines.open_engine", lambda _: engine)
    answer = embedonce("sweep", "linear", *SMALL, "--on", "local", "--json")
    assert answer.code == 0, answer.err
    (result,) = json.loads(answer.out)["sweeps"]
    assert len(engine.items) == 7 + 1  # the study has the trial of the lost worker, so none is run twice
    assert result["run"] in {path.name for path in Path("runs").iterdir()}
    (again,) = json.loads(embedonce("sweep", "linear", *SMALL, "--json").out)["sweeps"]
    assert again["run"] == result["run"] and again["trials"] == result["trials"]
