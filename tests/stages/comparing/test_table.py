"""What `compare` says about the difference of two runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedonce as api
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.metrics import MACRO_F1, macro_f1
from stages.comparing.choice import choose_run
from stages.comparing.entries import group_seeds
from stages.comparing.report_views import write_report
from stages.comparing.significance import compare_with_best
from stages.comparing.table import compare
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store, trained_on

LINEAR, PROTOTYPE = FitPlan(head=LinearHead(), folds=2), FitPlan(head=PrototypeHead(), folds=3)


@pytest.fixture
def fitted(tmp_path: Path) -> list[runs.Run]:
    """Two runs on documents of two labels that overlap."""
    documents, vectors = blobs(["a", "b", "c"])
    noisy = vectors + 4 * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    store = make_store(tmp_path / "store", documents, noisy)
    return [fit_head(*store, plan, tmp_path / "runs")[0] for plan in (LINEAR, PROTOTYPE)]


def test_differences_are_those_of_the_metrics_of_both_runs(fitted: list[runs.Run]) -> None:
    first, second = compare(fitted).rows
    assert first.out_of_fold and second.out_of_fold and second.difference and second.test_difference
    difference = second.difference
    assert difference.value == pytest.approx(second.out_of_fold.value - first.out_of_fold.value)
    assert difference.low <= difference.value <= 0 or difference.value == 0
    test = {run.name: run.predictions().of("test") for run in fitted}
    scores = [macro_f1(test[row.run].truth, test[row.run].predicted, 3) for row in (first, second)]
    assert second.test_difference.value == pytest.approx(scores[1] - scores[0])
    assert first.difference is None and first.test_difference is None


def test_runs_on_other_documents_and_without_test_metrics_have_no_difference(
    tmp_path: Path, fitted: list[runs.Run]
) -> None:
    other, _ = fit_head(*make_store(tmp_path / "other", *blobs(["a", "b"])), LINEAR, tmp_path / "runs")
    assert [row.difference for row in compare([fitted[0], other]).rows] == [None, None]
    store = make_store(tmp_path / "third", *blobs(["a", "b"]))
    plain, untested = (
        fit_head(*store, plan, tmp_path / "third-runs")[0] for plan in (LINEAR, replace(PROTOTYPE, test=False))
    )
    row = compare([plain, untested]).rows[1]
    assert row.difference and row.test_difference is None


def test_two_runs_validated_on_the_split_have_a_difference_on_it(
    tmp_path: Path, embedonce: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    noisy = vectors + 4 * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    documents = [replace(one, split="validation") if row % 8 == 0 else one for row, one in enumerate(documents)]
    store = make_store(tmp_path / "store", documents, noisy)
    fitted = [
        fit_head(*store, replace(plan, validate_on="split"), tmp_path / "runs")[0] for plan in (LINEAR, PROTOTYPE)
    ]
    first, second = compare(fitted).rows
    assert first.validation and second.validation and second.difference and second.test_difference
    assert second.difference.value == pytest.approx(second.validation.value - first.validation.value)
    assert first.difference is None and second.out_of_fold is None
    monkeypatch.setenv("COLUMNS", "120")
    assert "the first by" in embedonce("compare").out


def test_the_difference_is_in_the_table_and_in_json(
    embedonce: Run, fitted: list[runs.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shown = embedonce("compare").out
    assert "better than" in shown and "the first by" in shown
    second = json.loads(embedonce("compare", "--json").out)["rows"][1]
    assert second["difference"]["low"] <= second["difference"]["high"]
    monkeypatch.setenv("COLUMNS", "60")
    assert "difference" not in embedonce("compare").out


@pytest.fixture
def with_encoders(tmp_path: Path) -> dict[str, runs.Run]:
    """Runs on the same documents, on features of encoders that learned from none, some or other ones of them."""
    documents, vectors = blobs(["a", "b", "c"])
    rng, training = np.random.default_rng(0), [each for each in documents if each.split == "train"]
    read = trained_on(documents, method="mlm", uses_labels=False)
    encoders = {"frozen": None, "one": trained_on(training[:30]), "two": trained_on(training[60:]), "read": read}
    found: dict[str, runs.Run] = {}
    for name, encoder in encoders.items():
        noisy = vectors + 4 * rng.normal(size=vectors.shape).astype(np.float32)
        store = make_store(tmp_path / "stores" / name, documents, noisy, training=encoder)
        found[name], _ = fit_head(*store, replace(LINEAR, head=LinearHead(C=1 + len(found))), tmp_path / "runs")
    return found


def test_differences_are_of_the_documents_that_both_runs_scored(with_encoders: dict[str, runs.Run]) -> None:
    comparison = compare([*with_encoders.values()])
    first, *others = comparison.rows
    by_name = {run.name: run.predictions().of("train") for run in with_encoders.values()}
    reference = by_name[first.run]
    for row in others:
        other = by_name[row.run]
        common = [identifier for identifier in reference.ids if identifier in set(other.ids)]
        rows, other_rows = ([each.ids.index(identifier) for identifier in common] for each in (reference, other))
        expected = macro_f1(reference.truth[rows], other.predicted[other_rows], 3) - macro_f1(
            reference.truth[rows], reference.predicted[rows], 3
        )
        assert row.difference and row.difference.value == pytest.approx(expected)
        assert len(common) in (30, 60, 90) and row.test_difference
    (note,) = [note for note in comparison.notes if "scored out of fold on fewer documents" in note]
    assert "measured on the documents that both have in common" in note


def test_runs_without_a_common_document_have_no_difference(with_encoders: dict[str, runs.Run]) -> None:
    pair = [with_encoders["one"], with_encoders["two"]]
    assert compare(pair).rows[1].difference is not None  # documents 30 to 59
    predictions = {run.name: run.predictions() for run in pair}
    first = replace(predictions[pair[0].name], ids=["x"] * len(predictions[pair[0].name].ids))
    entries = group_seeds(pair, MACRO_F1)
    found = compare_with_best(entries, {**predictions, pair[0].name: first}, MACRO_F1, 0.005)
    assert found.comparisons == {} and found.optimism is None and choose_run(entries, {}, MACRO_F1) is None


def test_a_run_is_marked_if_its_encoder_knew_labels_of_training_or_texts_of_test_documents(
    with_encoders: dict[str, runs.Run], embedonce: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    marks = {row.run: row.marks for row in compare([*with_encoders.values()]).rows}
    assert {name: marks[run.name] for name, run in with_encoders.items()} == {
        "frozen": (),
        "one": ("out of fold on 60 of 90",),
        "two": ("out of fold on 60 of 90",),
        "read": ("encoder read test texts",),
    }
    shown = embedonce("compare")
    assert "(out of fold on 60 of 90)" in shown.out and "(encoder read test texts)" in shown.out
    notes = " ".join(shown.err.split())
    assert f"The encoder of {with_encoders['read'].name} learned from texts of test documents" in notes
    write_report([*with_encoders.values()], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("out of fold on 60 of 90<") == 2 and "encoder read test texts<" in page
    assert "(encoder read test texts)" in repr(api.compare([with_encoders["read"].folder]))
