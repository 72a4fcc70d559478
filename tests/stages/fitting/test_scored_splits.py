"""Which splits a fit is validated on and scored on: folds or a validation split, and with or without a test split."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedonce as api
from data.documents import Document
from data.errors import BadData, CallError
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.stacking import StackingHead
from heads.evaluation.decisions.heldout import HeldOut
from heads.testing import training_of
from heads.training.state import Epoch
from stages.comparing.report_views import write_report
from stages.comparing.table import compare
from stages.curve.runner import CurvePlan, fit_curves
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from tests.conftest import Run
from tests.small_store import blobs, make_store

FOLDS = FitPlan(head=LinearHead(), folds=2)
SPLIT = replace(FOLDS, validate_on="split")
NO_TEST = replace(FOLDS, test=False)


def with_validation(documents: list[Document]) -> list[Document]:
    """Every fourth document is in the validation split."""
    return [replace(each, split="validation") if row % 4 == 2 else each for row, each in enumerate(documents)]


def hidden_test_labels(documents: list[Document]) -> list[Document]:
    """The test labels are -1, as in GLUE."""
    return [replace(each, labels=("-1",)) if each.split == "test" else each for each in documents]


def test_validation_documents_are_training_documents_by_default(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    run, _ = fit_head(*make_store(tmp_path / "store", with_validation(documents), vectors), FOLDS, tmp_path / "runs")
    assert run.record.documents == {"train": 90, "test": 30}
    assert run.predictions().splits.count("train") == 90


def test_the_validation_split_takes_the_place_of_folds(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    store = make_store(tmp_path / "store", with_validation(documents), vectors)
    run, _ = fit_head(*store, SPLIT, tmp_path / "runs")
    predictions = run.predictions()
    assert run.record.documents == {"train": 60, "validation": 30, "test": 30}
    assert run.record.folds == 0 and run.scorecards.keys() == {"validation", "test"}
    assert {split: predictions.splits.count(split) for split in ("test", "validation", "train")} == {
        "test": 30,
        "validation": 30,
        "train": 0,
    }
    assert run.scorecards["validation"].accuracy.value > 0.9 < run.scorecards["test"].accuracy.value
    assert any("60 training documents and validated on the validation split of 30" in note for note in run.record.notes)
    assert fit_head(*store, FOLDS, tmp_path / "runs")[0].name != run.name


@pytest.mark.parametrize(
    "head", [LinearHead(), MLPHead(training=training_of(epochs=3, patience=3))], ids=["linear", "mlp"]
)
def test_no_validation_document_is_fitted_on(tmp_path: Path, head: LinearHead | MLPHead) -> None:
    documents, vectors = blobs(["a", "b"])
    documents = with_validation(documents)
    wrong = [
        replace(each, labels=("b" if each.labels == ("a",) else "a",)) if each.split == "validation" else each
        for each in documents
    ]
    plan = replace(SPLIT, head=head, tune=False)
    for name, given in (("right", documents), ("wrong", wrong)):
        run, _ = fit_head(*make_store(tmp_path / name, given, vectors), plan, tmp_path / "runs")
        assert run.scorecards["test"].accuracy.value > 0.9
        assert (run.scorecards["validation"].accuracy.value > 0.9) == (name == "right")


def test_a_network_stops_early_on_the_validation_split(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    epochs: list[Epoch] = []
    head = MLPHead(training=training_of(epochs=3))
    task = load_task(*make_store(tmp_path / "store", with_validation(documents), vectors))
    head.on_epoch = epochs.append
    task.fit(head, np.flatnonzero(~task.is_validation), None, np.flatnonzero(task.is_validation))
    assert all(epoch.accuracy is not None for epoch in epochs)
    scores = task.scores(head, np.flatnonzero(task.is_validation))
    best = head.history_.epochs[head.history_.best - 1]
    assert best.accuracy == np.mean(scores.argmax(axis=1) == task.target.y[task.is_validation])


def test_a_corpus_without_a_validation_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"^made has no validation split\. Embed again with --validation-file or"):
        fit_head(*make_store(tmp_path / "store", *blobs(["a", "b"])), SPLIT, tmp_path / "runs")


def test_an_empty_test_split_is_refused_unless_it_is_not_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    store = make_store(tmp_path / "store", [replace(each, split="train") for each in documents], vectors)
    with pytest.raises(BadData, match=r"the test split is empty\..*Fit with --no-test"):
        fit_head(*store, FOLDS, tmp_path / "runs")
    run, _ = fit_head(*store, NO_TEST, tmp_path / "runs")
    assert run.record.documents == {"train": 120}


def test_a_test_split_whose_labels_do_not_occur_in_training_is_refused_before_a_fit(tmp_path: Path) -> None:
    documents, vectors = blobs(["0", "1"])
    store = make_store(tmp_path / "store", hidden_test_labels(documents), vectors)
    problem = (
        r"^made: no test document can be predicted correctly, because none of their labels \('-1'\) occurs in "
        r"training\. Fit with --no-test, which reports only metrics on training documents .*, or embed with the true "
        r"labels\.$"
    )
    with pytest.raises(BadData, match=problem):
        fit_head(*store, FOLDS, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_test_document_of_a_known_label_suffices(tmp_path: Path) -> None:
    documents, vectors = blobs(["0", "1"])
    hidden = [documents[3], *hidden_test_labels(documents[:3] + documents[4:])]
    order = np.r_[3, 0:3, 4:120]
    run, _ = fit_head(*make_store(tmp_path / "store", hidden, vectors[order]), FOLDS, tmp_path / "runs")
    assert run.scorecards["test"].documents == 30


def test_without_a_test_split_a_run_has_only_out_of_fold_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, vectors = blobs(["0", "1"])
    monkeypatch.setattr(HeldOut, "score", None)
    store = make_store(tmp_path / "store", hidden_test_labels(documents), vectors)
    run, _ = fit_head(*store, NO_TEST, tmp_path / "runs")
    assert (run.record.documents, list(run.record.labels)) == ({"train": 90}, ["0", "1"])
    assert run.scorecards.keys() == {"out_of_fold"} and set(run.predictions().splits) == {"train"}
    assert run.record.notes == ("The test split was not read (--no-test): there are no test metrics.",)
    assert run.record.predict_milliseconds > 0


def test_a_multilabel_test_document_without_a_label_can_be_right(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    empty = [replace(each, labels=()) if each.split == "test" else each for each in documents]
    run, _ = fit_head(*make_store(tmp_path / "store", empty, vectors, kind="multilabel"), FOLDS, tmp_path / "runs")
    assert run.scorecards["test"].documents == 30


def test_a_curve_does_not_need_a_test_split(tmp_path: Path) -> None:
    documents, vectors = blobs(["0", "1"])
    store = make_store(tmp_path / "store", hidden_test_labels(documents), vectors)
    plan = CurvePlan(heads=[LinearHead()], sizes=(40,), seeds=1)
    assert fit_curves(*store, plan, tmp_path / "runs").labels == 2


def test_a_stack_needs_folds_and_base_runs_that_scored_the_same_splits(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    store = make_store(tmp_path / "store", with_validation(documents), vectors)
    stack = replace(FOLDS, head=StackingHead())
    with pytest.raises(CallError, match="stack learns from out-of-fold scores, which --validate-on split does"):
        fit_head(*store, replace(stack, validate_on="split"), tmp_path / "runs")
    run, _ = fit_head(*store, SPLIT, tmp_path / "runs")
    with pytest.raises(CallError, match="it was validated on the validation split, so it has no out-of-fold scores"):
        fit_head(*store, replace(stack, base_runs=[run.name]), tmp_path / "runs")
    bases = [fit_head(*store, replace(NO_TEST, head=LinearHead(C=C)), tmp_path / "runs")[0].name for C in (1, 2)]
    with pytest.raises(CallError, match="it was fitted without the test split, so use --no-test here too"):
        fit_head(*store, replace(stack, base_runs=bases), tmp_path / "runs")
    stacked, _ = fit_head(*store, replace(stack, base_runs=bases, test=False), tmp_path / "runs")
    assert stacked.scorecards.keys() == {"out_of_fold"}


def test_compare_says_how_many_labels_the_test_macro_f1_covers(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    documents = [replace(each, split="train") if each.labels == ("c",) else each for each in documents]
    run, _ = fit_head(*make_store(tmp_path / "store", documents, vectors), FOLDS, tmp_path / "runs")
    comparison = compare([run])
    assert (comparison.rows[0].labels, comparison.rows[0].averaged_labels) == (3, 2)
    assert comparison.notes == (
        "The test macro-F1 is the mean of 2 of 3 labels: the others have no test document and were not predicted.",
    )


@pytest.fixture
def different_runs(tmp_path: Path) -> list[runs.Run]:
    """A run with folds and a test split, one without a test split, and one with a validation split."""
    documents, vectors = blobs(["a", "b"])
    store = make_store(tmp_path / "stores" / "store", with_validation(documents), vectors)
    return [fit_head(*store, plan, tmp_path / "runs")[0] for plan in (FOLDS, NO_TEST, SPLIT)]


def test_compare_has_gaps_where_a_run_has_no_metric(different_runs: list[runs.Run]) -> None:
    comparison = compare(different_runs)
    rows = {row.run: row for row in comparison.rows}
    plain, untested, validated = (rows[run.name] for run in different_runs)
    assert plain.out_of_fold and plain.macro_f1 and plain.validation is None
    assert untested.out_of_fold and untested.macro_f1 is None
    assert validated.validation and validated.macro_f1 and validated.out_of_fold is None
    assert any("validated out of fold and others on the validation split" in note for note in comparison.notes)


def test_the_report_page_says_what_was_scored(different_runs: list[runs.Run], tmp_path: Path) -> None:
    _, untested, validated = different_runs
    write_report([untested], tmp_path / "untested.html")
    text = re.sub(r"<[^>]*>|\s+", " ", (tmp_path / "untested.html").read_text(encoding="utf-8"))
    assert "The test split was not scored." in text and "90 training documents, out of fold." in text
    write_report([validated], tmp_path / "validated.html")
    text = re.sub(r"<[^>]*>|\s+", " ", (tmp_path / "validated.html").read_text(encoding="utf-8"))
    assert "a validation macro-F1" in text and "on 30 validation documents" in text
    write_report(different_runs, tmp_path / "all.html")


@pytest.mark.usefixtures("different_runs")
def test_the_commands_show_such_runs(embedonce: Run) -> None:
    table = embedonce("compare")
    assert "validation" in table.out and "–" in table.out
    rows = json.loads(embedonce("fit-head", "linear", "--no-test", "--folds", 2, "--json").out)["rows"]
    assert [row["macro_f1"] for row in rows] == [None]
    validated = embedonce("fit-head", "linear", "--validate-on", "split")
    assert "out of fold" not in validated.out and "(--validate-on split)" in validated.err


def test_a_python_user_reads_the_metrics_that_exist(different_runs: list[runs.Run], tmp_path: Path) -> None:
    plain, untested, validated = map(api.load_run, (run.folder for run in different_runs))
    assert "on the test split" in repr(plain) and "out of fold" in repr(untested)
    assert validated.validation.documents == 30
    with pytest.raises(CallError, match="was fitted with test=False, so it has no test metrics"):
        _ = untested.test
    with pytest.raises(CallError, match="was validated on the validation split, so its metrics are in validation"):
        _ = validated.out_of_fold
    corpus = api.load_corpus(tmp_path / "stores" / "store")
    run = api.fit_head("linear", corpus, validate_on="split", test=False, runs=tmp_path / "runs", progress=False)
    assert run.stored.scorecards.keys() == {"validation"}
    assert "–" in repr(api.compare([plain, untested]))
