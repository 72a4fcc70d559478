"""Decided runs: chosen on the parent's out-of-fold scores, and scored on the test split once, when it is requested."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.atomic_write import hash_file
from data.errors import CallError, FileMissing, RunDamaged, StorageFailed
from heads.classifiers.linear import LinearHead
from stages.deciding.decide import DecisionValues, decide
from stages.deciding.plan import DecisionPlan
from stages.fitting import runs
from stages.fitting.cost_matrix import CostMatrix
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from tests.small_store import blobs, make_store

UNTUNED = DecisionPlan(tune=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of rare labels in groups, and one without test scores."""
    folder = tmp_path_factory.mktemp("decide")
    documents, vectors = blobs(["a", "a", "a", "a", "b", "c"], documents=200)
    grouped = [replace(each, group=f"g{row // 3}") for row, each in enumerate(documents)]
    store, table = make_store(folder / "store", grouped, vectors / 3)
    for test in (True, False):
        fit_head(store, table, FitPlan(head=LinearHead(), folds=2, test=test), folder / "runs")
    return folder / "runs"


@pytest.fixture
def parent(template: Path, tmp_path: Path) -> Run:
    """The run with test scores, in a folder of the test's own."""
    shutil.copytree(template, tmp_path / "runs")
    return next(run for run in runs.runs_in(tmp_path / "runs") if "test" in run.scorecards)


def without_test(parent: Run) -> Run:
    return next(
        run for run in runs.runs_in(parent.folder.parent) if not run.record.parent and "test" not in run.scorecards
    )


def test_the_options_of_the_parent_choose_its_rule_again(parent: Run) -> None:
    decided = decide(parent, DecisionPlan())
    run = decided.run
    assert decided.is_new and run.decision.to_json() == parent.decision.to_json()
    np.testing.assert_array_equal(run.predictions().predicted, parent.predictions().of("train").predicted)
    assert run.scorecards == {"out_of_fold": parent.scorecards["out_of_fold"]}


def test_the_name_follows_from_the_parent_and_the_options(parent: Run) -> None:
    run = decide(parent, UNTUNED).run
    again = decide(parent, UNTUNED)
    assert not again.is_new and again.run.folder == run.folder
    assert run.name.startswith(f"{parent.name}-")
    assert decide(parent, DecisionPlan()).run.name != run.name != decide(without_test(parent), UNTUNED).run.name


def test_weights_and_scores_are_those_of_the_parent(parent: Run) -> None:
    run = decide(parent, UNTUNED).run
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "decision.json",
        "predictions.csv",
        "run.json",
        "scorecard.json",
    ]
    assert repr(run.head()) == repr(parent.head()) and list(run.head().classes_) == list(parent.head().classes_)
    np.testing.assert_array_equal(run.predictions().scores, parent.predictions().of("train").scores)


def test_nothing_of_the_test_split_is_read_before_it_is_final(parent: Run) -> None:
    run = decide(parent, DecisionPlan()).run
    assert set(run.predictions().splits) == {"train"}
    assert "test" not in run.record.documents
    assert not run.record.final and DecisionValues.of(run).test is None


def test_the_test_split_is_scored_under_the_same_name(parent: Run) -> None:
    run = decide(parent, UNTUNED, command="first").run
    decided = decide(run, DecisionPlan(), final=True, command="second")
    final = decided.run
    assert decided.is_scored_now and not decided.is_new and final.name == run.name and final.record.final
    test, of_parent = final.predictions().of("test"), parent.predictions().of("test")
    np.testing.assert_array_equal(test.scores, of_parent.scores)
    np.testing.assert_array_equal(test.predicted, run.decision.decide(of_parent.scores))
    assert final.scorecards["test"].accuracy.value == (test.predicted == test.truth).mean()
    assert final.scorecards["out_of_fold"] == run.scorecards["out_of_fold"]
    np.testing.assert_array_equal(final.predictions().of("train").predicted, run.predictions().predicted)
    assert final.record.documents == parent.record.documents and final.record.command == "first"
    assert decide(parent, UNTUNED, final=True).run.record.created == run.record.created


def test_labels_of_the_test_split_change_no_decision(parent: Run) -> None:
    plan = DecisionPlan(rule=DecisionOptions(objective="macro-f1"))
    run = decide(parent, plan, final=True).run
    decision, card = run.decision.to_json(), run.scorecards["test"]
    table = parent.folder / "predictions.csv"
    lines = table.read_text().splitlines(keepends=True)
    lied = [line.replace(",test,a,", ",test,b,") for line in lines]
    assert lied != lines
    content = parent.folder.joinpath("run.json").read_text()
    table.write_text("".join(lied))
    content = content.replace(parent.files["predictions.csv"], hash_file(table))
    parent.folder.joinpath("run.json").write_text(content)
    shutil.rmtree(run.folder)
    other = decide(runs.load(parent.folder), plan, final=True).run
    assert other.name == run.name and other.decision.to_json() == decision
    assert other.scorecards["test"] != card


def test_decisions_that_were_scored_are_counted_also_if_they_were_removed(parent: Run) -> None:
    first = decide(parent, UNTUNED, final=True).run
    shutil.rmtree(first.folder)
    second = decide(parent, DecisionPlan(), final=True).run
    assert (first.record.decisions_scored_before, second.record.decisions_scored_before) == (0, 1)
    assert decide(parent, UNTUNED, final=True).run.record.decisions_scored_before == 0  # the same look again


def test_decisions_count_that_the_list_of_a_parent_does_not_name(parent: Run) -> None:
    decide(parent, UNTUNED, final=True)
    parent.folder.joinpath("scored_decisions.txt").unlink()
    assert decide(parent, DecisionPlan(), final=True).run.record.decisions_scored_before == 1


def test_a_look_that_cannot_be_recorded_is_refused(parent: Run) -> None:
    parent.folder.joinpath("scored_decisions.txt").mkdir()
    with pytest.raises(StorageFailed, match=r"scored_decisions.txt cannot be written: Is a directory. It lists"):
        decide(parent, UNTUNED, final=True)
    assert not runs.load(decide(parent, UNTUNED).run.folder).record.final


def test_a_decision_on_a_decision_refers_to_the_first_parent(parent: Run) -> None:
    run = decide(decide(parent, UNTUNED).run, DecisionPlan(rule=DecisionOptions(objective="macro-f1"))).run
    assert run.record.parent == parent.name and run.origin.name == parent.name


def test_a_decided_run_without_options_is_itself(parent: Run) -> None:
    run = decide(parent, UNTUNED).run
    assert decide(run, DecisionPlan()).run == run


def test_a_run_without_test_scores_has_no_final_decision(parent: Run) -> None:
    other = without_test(parent)
    with pytest.raises(CallError, match=f"{other.name} was fitted with --no-test.* without --no-test, which makes"):
        decide(other, UNTUNED, final=True)
    run = decide(other, UNTUNED).run
    with pytest.raises(CallError, match="was fitted with --no-test"):
        decide(run, DecisionPlan(), final=True)


def test_a_run_without_its_parent_says_what_is_missing(parent: Run) -> None:
    run = decide(parent, UNTUNED).run
    shutil.rmtree(parent.folder)
    lone = runs.load(run.folder)
    for read in (lone.head, lone.predictions, lambda: decide(lone, UNTUNED)):
        with pytest.raises(FileMissing, match=f"is a decision on the scores of {parent.name}, which is not in"):
            read()
    left_out: list[str] = []
    assert run.name not in [each.name for each in runs.runs_in(run.folder.parent, "scores", notify=left_out.append)]
    assert len(left_out) == 1 and run.name in left_out[0]


@pytest.mark.parametrize("file", ["scores.npy", "head/head.json", "groups.npy"])
def test_a_damaged_parent_is_named(parent: Run, file: str) -> None:
    run = decide(parent, UNTUNED).run
    path = parent.folder / file
    path.write_bytes(path.read_bytes() + b" ")
    lone = runs.load(run.folder)
    with pytest.raises(RunDamaged, match=f"{parent.name}/{file} is missing or was changed"):
        lone.check("scores", "head", "groups")


def test_a_parent_that_was_fitted_again_with_other_scores_is_refused(parent: Run) -> None:
    run = decide(parent, UNTUNED).run
    path = parent.folder / "run.json"
    path.write_text(path.read_text().replace(parent.files["scores.npy"], "0" * 64))
    with pytest.raises(RunDamaged, match="which has other scores now"):
        runs.load(run.folder).predictions()


def test_the_test_value_is_that_of_the_objective(parent: Run, tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text("true,c,a,b\na,5,0,1\nb,1,2,0\nc,0,10,1\n")
    costs = CostMatrix.read(tmp_path / "costs.csv")
    requests = [
        DecisionOptions(objective="accuracy"),
        DecisionOptions(objective="cost", costs=costs),
        DecisionOptions(objective="macro-fbeta", beta=2.0),
        DecisionOptions(objective="recall-at-precision", at=0.5, label="b"),
    ]
    decided = [decide(parent, DecisionPlan(rule=rule), final=True).run for rule in requests]
    accuracy, cost, _, recall = (DecisionValues.of(runs.load(run.folder)).test for run in decided)
    tests = [run.predictions().of("test") for run in decided]
    assert accuracy == decided[0].scorecards["test"].accuracy.value
    expected = costs.of(["a", "b", "c"])[tests[1].truth, tests[1].predicted].mean()
    assert cost == pytest.approx(expected)
    assert recall == pytest.approx((tests[3].predicted[tests[3].truth == 1] == 1).mean())
    assert len({run.name for run in decided}) == 4
    assert [DecisionOptions.from_json(run.record.rule_options) for run in decided] == requests
