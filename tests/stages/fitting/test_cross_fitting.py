"""Parallel fits give the same run as sequential ones; errors, kills and Ctrl-C in a process are handled."""

import inspect
import warnings
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any, Self

import numpy as np
import psutil
import pytest
from joblib.externals.loky import process_executor

from data.errors import CallError, EmbedOnceError
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from heads.core.head import Head
from heads.registry import make_head
from stages.fitting import cross_fitting as module
from stages.fitting import pooled_features
from stages.fitting.cross_fitting import Jobs, prepare_task, resolve_jobs
from stages.fitting.fit_checkpoint import FOLDER, FitCheckpoint
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from tests.small_store import blobs, make_store
from tests.stages.fitting.failing_heads import Interrupted, Killed, Refusing, Unpicklable

Dataset = tuple[FeatureStore, CorpusTable]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_store(tmp_path / "store", *blobs(["a", "b", "c"]))


NETWORK = make_head("mlp", {"epochs": "2", "min_steps": "4", "device": "cpu"})


@pytest.mark.parametrize("head", [LinearHead(), pytest.param(NETWORK, marks=pytest.mark.long)], ids=["linear", "mlp"])
def test_parallel_fits_give_the_same_run_as_sequential_ones(dataset: Dataset, tmp_path: Path, head: Head) -> None:
    plan = FitPlan(head=head, folds=3)
    one, _ = fit_head(*dataset, plan, tmp_path / "one", jobs=1)
    two, fresh = fit_head(*dataset, plan, tmp_path / "two", jobs=2)
    assert fresh and one.name == two.name and not (tmp_path / "two" / FOLDER).exists()
    expected, actual = one.predictions(), two.predictions()
    np.testing.assert_allclose(actual.probabilities, expected.probabilities, atol=1e-5)
    assert set(two.record.seconds) == set(one.record.seconds) and min(two.record.seconds.values()) >= 0


def test_the_file_of_large_features_is_there_until_the_run_is_written(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled_features, "IN_MEMORY", 0)
    monkeypatch.setattr(pooled_features, "SPARE_DISK", 0)
    plan = FitPlan(head=PrototypeHead(), folds=2, tune=False)  # fitted by other processes alone
    run, _ = fit_head(*dataset, plan, tmp_path / "runs", jobs=2)
    assert run.record.diagnostics["training"] is not None
    assert not (tmp_path / "runs" / FOLDER).exists()


def test_a_stacking_ensemble_uses_the_runs_that_it_started_with(dataset: Dataset, tmp_path: Path) -> None:
    for head in (LinearHead(), PrototypeHead()):
        fit_head(*dataset, FitPlan(head=head, folds=3), tmp_path / "runs")
    run, _ = fit_head(*dataset, FitPlan(head=StackingHead(), folds=3), tmp_path / "runs", jobs=2)
    assert len(run.record.base_runs) == 2 and run.scorecards["test"].accuracy.value > 0.9


def test_a_fold_that_was_finished_is_not_fitted_again(dataset: Dataset, tmp_path: Path) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    whole, _ = fit_head(*dataset, plan, tmp_path / "whole", jobs=1)
    part = plan.assign_folds(load_task(*dataset))
    marked = np.full((np.count_nonzero(part == 1), 3), 7, dtype=np.float32)
    FitCheckpoint(tmp_path / "runs" / whole.name).save_scores(1, marked)
    run, _ = fit_head(*dataset, plan, tmp_path / "runs", jobs=2)
    scores, fitted = run.predictions().of("train").scores, whole.predictions().of("train").scores
    np.testing.assert_array_equal(scores[part == 1], marked)
    np.testing.assert_allclose(scores[part != 1], fitted[part != 1], atol=1e-5)


@pytest.mark.parametrize("jobs", [1, 2])
def test_folds_start_from_the_fit_of_all_documents_and_have_the_scores_of_fits_from_zero(
    dataset: Dataset, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = FitPlan(head=LinearHead(), folds=3)
    warm, _ = fit_head(*dataset, plan, tmp_path / "warm", jobs=jobs)
    monkeypatch.setattr(LinearHead, "_start", lambda self: None)
    cold, _ = fit_head(*dataset, plan, tmp_path / "cold", jobs=1)
    expected, actual = (run.predictions().of("train").probabilities for run in (cold, warm))
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    assert not np.array_equal(actual, expected)  # they did start elsewhere


def test_a_hyperparameter_that_is_called_warm_start_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    class OwnHead(PrototypeHead):
        warm_start = False  # as in many estimators of scikit-learn

        def fit(self, X: Any, y: Any, *others: Any, **named: Any) -> Self:
            assert self.warm_start is False
            return super().fit(X, y, *others, **named)

    task, plan = prepare_task(*dataset, FitPlan(head=OwnHead(), folds=3), tmp_path)
    activities: list[str] = []
    job = module.FitJob(*dataset, plan, tmp_path / "run")
    module.cross_fit(job, task, Jobs(1), lambda now: activities.append(now.activity))
    assert activities[-1] == "fitting on the whole training split"


def test_what_a_fit_raises_is_raised_here(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"^C is too small for these documents\.$"):
        fit_head(*dataset, FitPlan(head=Refusing(), folds=3), tmp_path / "runs", jobs=2)


def test_a_killed_process_is_reported_in_a_sentence(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(EmbedOnceError, match=r"^A process that fits prototype was killed.*--jobs 1"):
        fit_head(*dataset, FitPlan(head=Killed(), folds=3), tmp_path / "runs", jobs=2)
    run, _ = fit_head(*dataset, FitPlan(head=LinearHead(), folds=3), tmp_path / "runs", jobs=2)
    assert run.scorecards["test"].accuracy.value > 0.9


def test_a_head_that_cannot_be_unpickled_is_reported_in_a_sentence(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(EmbedOnceError, match=r"^A process that fits prototype could not be started .*--jobs 1"):
        fit_head(*dataset, FitPlan(head=Unpicklable(), folds=3), tmp_path / "runs", jobs=2)


def test_only_the_warning_of_loky_that_it_replaces_a_process_is_hidden() -> None:
    message = "A worker stopped while some jobs were given to the executor. This can be caused by a memory leak."
    assert "A worker stopped while some jobs were given to the " in inspect.getsource(process_executor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with module._ignore_worker_restarts():
            thread = Thread(target=warnings.warn, args=(message, UserWarning))  # loky warns in a thread of its own
            thread.start()
            thread.join()
            warnings.warn("A fit did not converge.", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["A fit did not converge."]


def test_ctrl_c_is_for_the_process_that_waits_and_ends_the_others(dataset: Dataset, tmp_path: Path) -> None:
    run, _ = fit_head(*dataset, FitPlan(head=Interrupted(), folds=3), tmp_path / "runs", jobs=2)
    assert run.scorecards["test"].accuracy.value > 0.9

    def interrupted(now: Any) -> None:
        if now.step == 1:
            for folder in (tmp_path / "runs" / FOLDER).iterdir():
                (folder / ".tmp-of-a-killed-process").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_head(
            *dataset,
            FitPlan(head=PrototypeHead(seed=1), folds=3),
            tmp_path / "runs",
            jobs=2,
            on_progress=interrupted,
        )
    assert not list((tmp_path / "runs").rglob(".tmp-*"))
    left = [each for each in psutil.Process().children(recursive=True) if "popen_loky" in " ".join(each.cmdline())]
    psutil.wait_procs(left, timeout=30)
    assert not [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("min_seconds", "fits_here"), [(1e-9, 2), (1e9, 4)])
def test_the_first_fits_show_whether_parallel_fits_are_faster(
    dataset: Dataset, tmp_path: Path, min_seconds: float, fits_here: int
) -> None:
    task, plan = prepare_task(*dataset, FitPlan(head=PrototypeHead(), folds=3), tmp_path)
    seen: list[module.FitProgress] = []
    alone = module.cross_fit(module.FitJob(*dataset, plan, tmp_path / "alone"), task, Jobs(1), lambda now: None)
    tried = module.cross_fit(module.FitJob(*dataset, plan, tmp_path / "tried"), task, Jobs(2, min_seconds), seen.append)
    assert [now.step for now in seen] == sorted(now.step for now in seen)
    assert len([now for now in seen if "in parallel" not in now.activity]) == fits_here
    np.testing.assert_allclose(tried.scores, alone.scores, rtol=1e-5)


def test_there_are_as_many_parallel_fits_as_cores_if_that_is_faster(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, _ = fit_head(*dataset, FitPlan(head=LinearHead(), folds=3), tmp_path / "runs")
    monkeypatch.setattr("stages.fitting.cross_fitting.joblib.cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found, linear = load_task(*dataset), FitPlan(head=LinearHead(), folds=5)
    assert resolve_jobs(linear, found, None) == Jobs(4, module.PARALLEL_MIN_SECONDS)  # few documents
    assert resolve_jobs(linear, found, 3) == Jobs(3) and resolve_jobs(linear, found, 99) == Jobs(6)
    monkeypatch.setattr(module, "PARALLEL_MIN_DOCUMENTS", 10)
    assert resolve_jobs(linear, found, None) == Jobs(4)
    assert resolve_jobs(FitPlan(head=LinearHead(), folds=2), found, None) == Jobs(3)
    stacked = replace(found, base_runs=(fitted, fitted))
    assert resolve_jobs(FitPlan(head=StackingHead(), folds=5), stacked, None) == Jobs(1)
    for asked, expected in (("2", 2), ("2,1", 2), ("64", 4), ("0", 4), ("all", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert resolve_jobs(linear, found, None) == Jobs(expected)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for name, count in (("mlp", 1), ("supcon", 1), ("linear", 4)):
        _, plan = prepare_task(*dataset, FitPlan(head=make_head(name, {}), folds=5), tmp_path)
        assert resolve_jobs(plan, found, None) == Jobs(count)
