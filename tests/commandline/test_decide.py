"""`embedonce decide`: the four values, JSON, --final once, and errors in one sentence."""

import json
import shutil
from pathlib import Path

import pytest

from heads.classifiers.linear import LinearHead
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decide")
    documents, vectors = blobs(["a", "a", "a", "b", "c"], documents=160)
    store, table = make_store(folder / "store", documents, vectors / 3)
    for test in (True, False):
        run, _ = fit_head(store, table, FitPlan(head=LinearHead(), folds=2, test=test), folder / "runs")
        run.folder.rename(folder / "runs" / ("linear-1" if test else "linear-2"))
    return folder / "runs"


@pytest.fixture
def runs(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "runs"))


def test_it_shows_out_of_fold_values_alone_before_it_is_final(embedonce: Run, runs: Path) -> None:
    first = embedonce("decide", "linear-1")
    assert first.code == 0 and [word in first.out for word in ("untuned", "apparent", "cross-fitted", "test")] == [
        True,
        True,
        True,
        False,
    ]
    (folder,) = runs.glob("linear-1-*")
    assert first.err.splitlines()[0] == f"runs/{folder.name}: decided on the scores of linear-1."
    assert f"The test split was not scored. `embedonce decide runs/{folder.name} --final` scores it, once." in first.err
    final = embedonce("decide", folder.name, "--final")
    assert "test" in final.out and "was not scored" not in final.err
    assert final.err.splitlines()[0] == f"runs/{folder.name}: was decided before, and is scored on the test split now."
    again = embedonce("decide", folder.name, "--final")
    assert again.out == final.out
    assert again.err.splitlines()[0] == f"runs/{folder.name}: was decided and scored on the test split before."


def test_without_test_scores_final_is_not_suggested(embedonce: Run, runs: Path) -> None:
    assert "--final" not in embedonce("decide", "linear-2").err


def test_a_run_folder_with_a_dot_in_its_name_is_no_table(embedonce: Run, runs: Path) -> None:
    (runs / "linear-1").rename(runs / "linear-1.old")
    result = embedonce("decide", runs / "linear-1.old", "--runs", "elsewhere")
    assert result.code == 0 and "decided on the scores of linear-1.old" in result.err


def test_json_has_the_values_and_how_many_decisions_were_scored_before(embedonce: Run, runs: Path) -> None:
    embedonce("decide", "linear-1", "--no-tune", "--final")
    result = json.loads(embedonce("decide", "linear-1", "--final", "--json").out)
    assert result["parent"] == "linear-1" and result["is_new"] and result["final"]
    assert result["decisions_scored_before"] == 1
    assert result["metric"] == "macro-F1" and {"untuned", "apparent", "cross_fitted", "test"} <= result.keys()
    (again,) = [json.loads(embedonce("decide", "linear-1", "--json").out)]
    assert again["run"] == result["run"] and not again["is_new"]
    text = embedonce("decide", "linear-1")
    assert "1 other decision of linear-1 had been scored on the test split before" in text.err


def test_compare_shows_how_many_decisions_were_scored_before(embedonce: Run, runs: Path) -> None:
    for option in ("--tune", "--no-tune"):
        embedonce("decide", "linear-1", option, "--final")
    result = embedonce("compare")
    assert "(1 decision tested before)" in result.out
    assert "2 decisions on the scores of linear-1 were scored on the test split" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["linear-3"], "runs/linear-3 is not a run. Did you mean 'linear-2'?"),
        (["linear-1", "--objective", "distance"], "--objective distance needs a taxonomy, and these labels have none."),
        (["linear-2", "--final"], "linear-2 was fitted with --no-test, so it has no scores of the test split."),
        (["linear-2", "--final", "--unlabelled", "missing.csv"], "linear-2 was fitted with --no-test, so it has no"),
        (["linear-1", "--objective", "distance", "--unlabelled", "missing.csv"], "--objective distance needs a"),
        (["linear-1", "--encoder", "x", "--device", "cpu"], "--encoder, --device are for --unlabelled. Leave them"),
        (["linear-1", "--store", "x"], "--store is for --other, which reads features. Leave it out."),
        (["linear-1", "--stores", "x"], "--stores is for --other, which reads features. Leave it out."),
    ],
)
def test_an_error_is_a_sentence(embedonce: Run, runs: Path, arguments: list[str], message: str) -> None:
    result = embedonce("decide", *arguments)
    assert result.code == 2 and result.out == "" and result.err.startswith(f"Error: {message}")
    assert not list(runs.glob("linear-*-*"))


def test_a_run_without_its_parent_is_left_out_of_a_comparison_and_named_in_an_error(embedonce: Run, runs: Path) -> None:
    embedonce("decide", "linear-1")
    (folder,) = runs.glob("linear-1-*")
    shutil.rmtree(runs / "linear-1")
    result = embedonce("compare")
    reason = f"{folder.name} is a decision on the scores of linear-1, which is not in runs. Put it back, or remove"
    assert result.code == 0 and f"The run {folder.name} is left out: {reason}" in result.err
    for command in (["decide", folder.name, "--no-tune"], ["predict", folder.name, "-"]):
        result = embedonce(*command)
        assert result.code == 2 and result.err == f"Error: {reason} runs/{folder.name}.\n"


def test_it_shows_what_is_left_undecided_and_what_sets_cover(embedonce: Run, runs: Path) -> None:
    options = ("--coverage", "0.8", "--label-sets", "0.9", "--set-score", "raps")
    text = embedonce("decide", "linear-1", *options)
    assert text.code == 0, text.err
    assert "out of fold" in text.out and "documents decided" in text.out and "labels per set" in text.out
    assert "At a confidence of at least" in text.err and "of the label sets contain the true label" in text.err
    result = json.loads(embedonce("decide", "linear-1", *options, "--final", "--json").out)
    assert result["scorecards"]["test"]["decided_share"]["value"] > 0.5
    assert result["scorecards"]["test"]["label_sets"]["coverage"]["value"] > 0.7
    curve = result["decision"]["abstention"]["evidence"]["curve"]
    assert curve["coverage"][-1] == 1 and len(curve["accuracy"]) == len(curve["low"]) == len(curve["confidence"])
    final = embedonce("decide", "linear-1", *options)
    assert final.out.splitlines()[6].split() == ["out", "of", "fold", "test"]


def test_documents_unlike_training_need_the_store(embedonce: Run, template: Path, runs: Path) -> None:
    missing = embedonce("decide", "linear-1", "--other")
    assert missing.code == 2 and "is not a feature store" in missing.err
    text = embedonce(
        "decide", "linear-1", "--other", "--false-alarms", "0.1", "--store", str(template.parent / "store")
    )
    assert text.code == 0, text.err
    assert "of documents whose label was left out" in text.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--coverage", "2"), "--coverage must be above 0 and at most 1, got 2."),
        (("--coverage", "0.9", "--min-confidence", "0.5"), "Leave one of them out."),
        (("--false-alarms", "0.1"), "Give --other too."),
        (("--set-score", "aps"), "Give --label-sets too"),
        (("--label-sets", "97"), "--label-sets must be above 0 and below 1, got 97."),
        (("--label-sets", "0.999"), "need thresholds from at least 999 documents, and there are"),
    ],
)
def test_requests_that_cannot_be_met_are_one_sentence(
    embedonce: Run, runs: Path, options: tuple[str, ...], message: str
) -> None:
    result = embedonce("decide", "linear-1", *options)
    assert result.code == 2 and message in result.err and len(list(runs.iterdir())) == 2
