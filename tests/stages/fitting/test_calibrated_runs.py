"""The probabilities of a run are calibrated, cross-fitted for documents that the calibration was fitted to."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.calibration import FULL_SAMPLE
from heads.evaluation.probability_table import ProbabilityTable
from heads.evaluation.score_matrix import scores_to_probabilities
from stages.deciding.decide import decide
from stages.deciding.plan import DecisionPlan
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run, load
from tests.small_store import blobs, make_store


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a head that is much too sure."""
    folder = tmp_path_factory.mktemp("calibrated")
    documents, vectors = blobs(["a", "a", "b", "c"], documents=320)
    store, table = make_store(folder / "store", documents, vectors / 3)
    plan = FitPlan(head=PrototypeHead(temperature=0.02), folds=2)
    return load(fit_head(store, table, plan, folder / "runs")[0].folder)


def expected(run: Run, split: str) -> NDArray[np.float32]:
    """Each document's probabilities by the calibrator of its fold."""
    rows, calibration = run.predictions().of(split), run.decision.calibration
    assert rows.calibration_folds is not None
    fitted = [*calibration.of_folds, calibration.calibrator]  # FULL_SAMPLE is the last one
    by_document = zip(rows.scores, rows.calibration_folds.tolist(), strict=True)
    return np.concatenate([fitted[fold].probabilities(row[None], multilabel=False) for row, fold in by_document])


@pytest.mark.parametrize("split", ["train", "test"])
def test_stored_probabilities_are_those_of_the_calibrator_of_the_documents_fold(run: Run, split: str) -> None:
    rows = run.predictions().of(split)
    assert run.decision.calibration.method != "none"
    np.testing.assert_array_equal(rows.probabilities, expected(run, split))
    with (run.folder / "predictions.csv").open(encoding="utf-8") as file:
        cells = [[float(row[label]) for label in "abc"] for row in csv.DictReader(file) if row["split"] == split]
    np.testing.assert_allclose(rows.probabilities, cells, atol=1e-5)


def test_training_documents_have_a_fold_and_test_documents_have_none(run: Run) -> None:
    predictions = run.predictions()
    folds = {split: set(predictions.of(split).calibration_folds.tolist()) for split in ("train", "test")}  # type: ignore[union-attr]
    assert folds == {"train": set(range(5)), "test": {FULL_SAMPLE}}


def test_the_scorecard_is_of_calibrated_probabilities_and_better_than_without(run: Run) -> None:
    for split, name in (("train", "out_of_fold"), ("test", "test")):
        rows, card = run.predictions().of(split), run.scorecards[name]
        raw = _log_loss(rows.truth, scores_to_probabilities(rows.scores, multilabel=False))
        assert card.log_loss is not None
        assert card.log_loss.value == pytest.approx(_log_loss(rows.truth, rows.probabilities))
        assert card.log_loss.value < raw


def test_rules_decide_on_scores_that_are_not_calibrated(run: Run) -> None:
    rows = run.predictions().of("test")
    np.testing.assert_array_equal(rows.predicted, run.decision.rule.decide(rows.scores))


def test_a_decided_run_has_the_calibration_of_its_parent_or_another_one(run: Run) -> None:
    decided = decide(run, DecisionPlan(tune=False)).run
    assert decided.decision.calibration == run.decision.calibration
    np.testing.assert_array_equal(decided.predictions().probabilities, expected(run, "train"))
    other = decide(run, DecisionPlan(calibration="none"), final=True).run
    rows = other.predictions()
    assert other.name != decided.name
    np.testing.assert_array_equal(rows.probabilities, scores_to_probabilities(rows.scores, multilabel=False))


def test_without_calibration_no_folds_are_stored_and_the_run_has_another_name(run: Run, tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    plans = [FitPlan(head=LinearHead(), folds=2, calibration=method) for method in ("none", "temperature")]
    plain, scaled = (fit_head(store, table, plan, tmp_path / "runs")[0] for plan in plans)
    assert plain.name != scaled.name
    assert plain.predictions().calibration_folds is None
    assert "calibration_fold" not in (plain.folder / "predictions.csv").read_text(encoding="utf-8")


def _log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    return ProbabilityTable.of(truth, probabilities, ("log_loss",)).values["log_loss"]
