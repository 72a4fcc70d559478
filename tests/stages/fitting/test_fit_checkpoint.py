"""An interrupted fit resumes: finished folds are not fitted again, and the run is the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.core.inputs import Examples
from heads.registry import make_head
from heads.training import state as course
from heads.training.network_head import NetworkHead
from stages.fitting import runs
from stages.fitting.cross_fitting import FitProgress
from stages.fitting.fit_checkpoint import FOLDER
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.small_store import blobs, make_store

Dataset = tuple[FeatureStore, CorpusTable]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_store(tmp_path / "store", *blobs(["a", "b", "c"]))


def interrupt_at_step(step: int) -> Any:
    def report(now: FitProgress) -> None:
        if now.step == step:
            raise KeyboardInterrupt

    return report


def is_same_run(one: runs.Run, other: runs.Run) -> bool:
    expected, actual = one.predictions(), other.predictions()
    np.testing.assert_array_equal(expected.probabilities, actual.probabilities)
    return one.name == other.name and one.decision.to_json() == other.decision.to_json()


@pytest.mark.parametrize("finished", [1, 3])
def test_finished_folds_are_kept(
    dataset: Dataset, finished: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_head(
            *dataset, plan, tmp_path / "runs", on_progress=interrupt_at_step(finished + 1)
        )  # the whole split is fitted first
    assert len(list((tmp_path / "runs" / FOLDER).glob("*/fold-*.npy"))) == finished
    assert runs.runs_in(tmp_path / "runs") == []
    fits, learn = list[int](), LinearHead._fit

    def counted(self: LinearHead, examples: Examples) -> None:
        fits.append(len(examples))
        learn(self, examples)

    monkeypatch.setattr(LinearHead, "_fit", counted)
    run, fresh = fit_head(*dataset, plan, tmp_path / "runs")
    assert fresh and len(fits) == 3 - finished  # the fit of the whole split is kept too
    assert is_same_run(run, whole)
    assert any("was interrupted and resumed" in note for note in run.record.notes)
    assert not any("interrupted" in note for note in whole.record.notes)
    assert not (tmp_path / "runs" / FOLDER).exists() and not (tmp_path / "whole" / FOLDER).exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fit_that_was_interrupted_after_its_last_fold_makes_no_fit(
    dataset: Dataset, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, plan, tmp_path / "runs", jobs=1, on_progress=interrupt_at_step(plan.fits))
    monkeypatch.setattr(LinearHead, "_fit", lambda *_: pytest.fail("it was fitted again"))
    run, _ = fit_head(*dataset, plan, tmp_path / "runs", jobs=jobs)
    assert is_same_run(run, whole) and not (tmp_path / "runs" / FOLDER).exists()


def test_a_kept_head_that_is_damaged_is_fitted_again(dataset: Dataset, tmp_path: Path) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, plan, tmp_path / "runs", on_progress=interrupt_at_step(2))
    (weights,) = (tmp_path / "runs" / FOLDER).glob("*/head/*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-10])
    run, _ = fit_head(*dataset, plan, tmp_path / "runs")
    assert is_same_run(run, whole)


def test_a_network_resumes_within_its_fold(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_INTERVAL", 0.0)
    plan = FitPlan(head=make_head("mlp", {"epochs": "4", "min_steps": "4", "device": "cpu"}), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole")
    epochs, keep = list[int](), course.Checkpoint.save

    def killed(self: course.Checkpoint, now: course.TrainingState) -> None:
        keep(self, now)
        epochs.append(len(now.epochs))
        if len(epochs) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(course.Checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, plan, tmp_path / "runs")
    run, _ = fit_head(*dataset, plan, tmp_path / "runs")
    # fold 1 whole, fold 2 to its second epoch; then the rest of it, fold 3, the last fit
    assert epochs == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]
    assert is_same_run(run, whole) and isinstance(run.head(), NetworkHead)


def test_scores_that_cannot_be_read_or_are_of_other_documents_are_computed_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, plan, tmp_path / "runs", on_progress=interrupt_at_step(4))
    torn, empty, other = sorted((tmp_path / "runs" / FOLDER).glob("*/fold-*.npy"))
    torn.write_bytes(torn.read_bytes()[:-10])
    empty.write_bytes(b"")
    np.save(other, np.zeros((3, 2), np.float32))
    run, _ = fit_head(*dataset, plan, tmp_path / "runs")
    assert is_same_run(run, whole)


def test_other_package_versions_start_from_the_beginning(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, plan, tmp_path / "runs", on_progress=interrupt_at_step(2))
    monkeypatch.setattr(runs, "package_versions", lambda: {"torch": "99"})
    run, _ = fit_head(*dataset, plan, tmp_path / "runs")
    assert not any("interrupted" in note for note in run.record.notes)
    assert (tmp_path / "runs" / FOLDER).exists()


def test_a_folder_that_cannot_be_written_costs_only_the_checkpoint(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / FOLDER).write_text("in the way")
    run, fresh = fit_head(*dataset, FitPlan(head=LinearHead(), folds=3), tmp_path / "runs")
    assert fresh and run.scorecards["test"].accuracy.value > 0.9
