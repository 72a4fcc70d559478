"""What `compare` says about the difference of two runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.metrics import macro_f1
from stages.compare import compare
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store

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
    assert first.out_of_fold and second.out_of_fold and second.out_of_fold_difference and second.test_difference
    difference = second.out_of_fold_difference
    assert difference.value == pytest.approx(second.out_of_fold.value - first.out_of_fold.value)
    assert difference.low <= difference.value <= 0 or difference.value == 0
    test = {run.name: run.predictions().of("test") for run in fitted}
    scores = [macro_f1(test[row.run].truth, test[row.run].predicted, 3) for row in (first, second)]
    assert second.test_difference.value == pytest.approx(scores[1] - scores[0])
    assert first.out_of_fold_difference is None and first.test_difference is None


def test_runs_on_other_documents_and_without_test_metrics_have_no_difference(
    tmp_path: Path, fitted: list[runs.Run]
) -> None:
    other, _ = fit_head(*make_store(tmp_path / "other", *blobs(["a", "b"])), LINEAR, tmp_path / "runs")
    assert [row.out_of_fold_difference for row in compare([fitted[0], other]).rows] == [None, None]
    store = make_store(tmp_path / "third", *blobs(["a", "b"]))
    plain, untested = (
        fit_head(*store, plan, tmp_path / "third-runs")[0] for plan in (LINEAR, replace(PROTOTYPE, test=False))
    )
    row = compare([plain, untested]).rows[1]
    assert row.out_of_fold_difference and row.test_difference is None


def test_the_difference_is_in_the_table_and_in_json(
    embedonce: Run, fitted: list[runs.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shown = embedonce("compare").out
    assert "difference" in shown and "to the first" in shown
    second = json.loads(embedonce("compare", "--json").out)["rows"][1]
    assert second["out_of_fold_difference"]["low"] <= second["out_of_fold_difference"]["high"]
    monkeypatch.setenv("COLUMNS", "60")
    assert "difference" not in embedonce("compare").out
