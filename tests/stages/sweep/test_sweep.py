"""A sweep of one head: what its trials may read, that none is lost or repeated, and that the best becomes a run."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from data.errors import CallError, EmbedOnceError, ExtraMissing, StorageFailed
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.core.hyperparameters import hyperparameters_of
from heads.evaluation.decisions.heldout import HeldOut
from heads.evaluation.metrics import METRICS
from heads.registry import BUILT_IN_HEADS, head_class, make_head
from heads.testing import training_of
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from stages.stores import open_corpus, open_store
from stages.sweep import SearchSpace, SweepProgress, SweepResult, sweep
from stages.sweep import study as study_file
from stages.sweep import trial_scoring as trials
from stages.sweep.search import SweepContext
from tests.small_store import blobs, make_store

ROOT = Path(__file__).resolve().parents[3]


class Watched(LinearHead):
    """The linear head; remembers what it was fitted on, and may be interrupted or refuse."""

    fitted: ClassVar[list[Any]] = []
    settings: ClassVar[list[Any]] = []
    interrupt_at: ClassVar[int | None] = None
    refuse_at: ClassVar[int | None] = None
    refusal: ClassVar[Exception] = CallError("Not like this.")

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
        if len(self.fitted) == self.interrupt_at:
            Watched.interrupt_at = None
            raise KeyboardInterrupt
        if len(self.fitted) == self.refuse_at:
            Watched.refuse_at = None
            raise self.refusal
        self.fitted.append(X.pooled(("mean",)))
        self.settings.append(self.C)
        return super().fit(X, y, sample_weight, *others, **named)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    Watched.interrupt_at = Watched.refuse_at = None
    Watched.refusal = CallError("Not like this.")
    Watched.fitted.clear()
    Watched.settings.clear()
    yield


SPACE = SearchSpace(FitPlan(head=Watched(), folds=3))


def run_sweep(folder: Path, most: int = 8, space: SearchSpace = SPACE, **options: Any) -> SweepResult:
    if not (folder / "store").exists():
        make_store(folder / "store", *blobs(["a", "b", "c"], 160))
    store = open_store(folder / "store", folder)
    return sweep(store, open_corpus(store, None), space, folder / "runs", max_trials=most, **options)


def scores(outcome: SweepResult) -> list[Any]:
    return [(each.number, dict(each.values), each.score) for each in outcome.trials]


def test_trials_and_the_run_are_scored_on_the_validation_split_if_requested(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], 80)
    noisy = vectors + 4 * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    documents = [replace(one, split="validation") if row % 4 == 0 else one for row, one in enumerate(documents)]
    make_store(tmp_path / "store", documents, noisy)
    space = SearchSpace(FitPlan(head=Watched(), validate_on="split", tune=False))
    outcome = run_sweep(tmp_path, 3, space)
    assert outcome.run is not None and len(Watched.fitted) == 4  # one fit per trial, and one for the run
    assert {len(rows) for rows in Watched.fitted} == {sum(one.split == "train" for one in documents)}
    run = runs.load(tmp_path / "runs" / outcome.run)
    assert run.scorecards["validation"].macro_f1.value == pytest.approx(outcome.best.score)
    assert "A trial is scored on the validation split of 20 documents" in outcome.notes[0]
    assert "on the validation split, which makes the validation metrics slightly too high" in run.record.run_notes[-1]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_hard_links_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert run_sweep(tmp_path, most=1).run is not None
    assert list((tmp_path / "runs").rglob(".tmp-*")) == []


def test_the_defaults_are_tried_first_and_the_best_becomes_a_run(tmp_path: Path) -> None:
    result = run_sweep(tmp_path)
    assert len(result.trials) == 8 and result.trials[0].values == SPACE.defaults
    assert result.default_trial == result.trials[0]
    assert (
        result.best.score == max(each.score or 0 for each in result.trials) and result.improvements[-1] == result.best
    )
    run = runs.load(tmp_path / "runs" / str(result.run))
    assert run.record.hyperparameters["C"] == result.best.values["C"] and any(
        "best of 8" in note for note in run.record.notes
    )
    assert [each.name for each in runs.runs_in(tmp_path / "runs")] == [result.run]


def test_the_run_records_the_ranges_that_were_searched(tmp_path: Path) -> None:
    result = run_sweep(tmp_path, 2, replace(SPACE, fixed=frozenset({"kind", "class_weight"})))
    (searched,) = runs.load(tmp_path / "runs" / (result.run or "")).record.search
    search = next(item.search for item in hyperparameters_of(LinearHead) if item.name == "C")
    assert search is not None and (searched["low"], searched["high"]) == (search.low, search.high)
    assert searched["name"] == "C" and searched["value"] == result.best.values["C"]


def test_the_result_has_the_names_for_set(tmp_path: Path) -> None:
    network = SearchSpace(FitPlan(head=make_head("mlp", {}), folds=3))
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"], 40))
    context = SweepContext.of(store, table, network, tmp_path / "runs", "")
    with context.open_study(network) as study:
        result = context.summarize(study)
    assert result.shown_name("training__optimization__lr") == "lr" and result.shown_name("hidden") == "hidden"


def test_every_drawn_value_is_within_what_the_head_declares(tmp_path: Path) -> None:
    for each in run_sweep(tmp_path, 12).trials:
        for name, parameter in SPACE.hyperparameters.items():
            assert parameter.search is not None and each.values[name] in parameter.search
    assert len(set(Watched.settings)) > 6


def test_a_sweep_of_a_cascade_searches_the_hyperparameters_of_its_local_head() -> None:
    space = SearchSpace.of(FitPlan(head=make_head("cascade", {"local": "mlp", "hidden": "64"})), ["local", "hidden"])
    assert {"strategy", "local__dropout"} < space.hyperparameters.keys()
    assert not {"C", "local__hidden", "local__class_weight"} & space.hyperparameters.keys()
    assert space.make_head(space.defaults).get_params()["local__hidden"] == 64


@pytest.mark.parametrize("name", BUILT_IN_HEADS)
def test_every_head_declares_a_space_that_holds_its_defaults_and_that_it_takes(name: str) -> None:
    declared = [each for each in hyperparameters_of(head_class(name)) if each.search is not None]
    assert declared
    for each in declared:
        search = each.search
        assert search is not None and each.default in search
        for end in search.choices or (search.low, search.high):
            each.check(end)
        assert not search.log or (search.low or 0) > 0


@pytest.mark.parametrize("name", [name for name in BUILT_IN_HEADS if name != "lightgbm"])
def test_every_head_is_swept_with_values_it_can_be_fitted_with(tmp_path: Path, name: str) -> None:
    training = {"training": training_of(epochs=2, min_steps=5)} if "training" in head_class(name)().get_params() else {}
    result = run_sweep(tmp_path, 4, SearchSpace(FitPlan(head=head_class(name)(**training), folds=2)))
    assert len(result.trials) == 4 and result.pruned_count == 0 and result.run is not None


def test_fixed_hyperparameters_are_not_searched(tmp_path: Path) -> None:
    space = SearchSpace.of(FitPlan(head=MLPHead(dropout=0.5, training=training_of(lr=0.01))), ["dropout", "lr"])
    assert (
        not {"dropout", "training__optimization__lr"} & set(space.hyperparameters) and "hidden" in space.hyperparameters
    )
    head = space.make_head({"hidden": 99, "training__optimization__batch_size": 17})
    assert (head.get_params()["dropout"], head.get_params()["training__optimization__lr"]) == (0.5, 0.01)
    assert (head.get_params()["hidden"], head.get_params()["training__optimization__batch_size"]) == (99, 17)
    with pytest.raises(CallError, match="no hyperparameter to search"):
        run_sweep(
            tmp_path,
            space=SearchSpace.of(
                FitPlan(head=LinearHead()), list(SearchSpace(FitPlan(head=LinearHead())).hyperparameters)
            ),
        )


def test_the_test_split_is_read_once_for_the_run_and_chooses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = HeldOut.score

    def score(*options: Any, **named: Any) -> Any:
        read.append(len(Watched.fitted))
        return real(*options, **named)

    monkeypatch.setattr(HeldOut, "score", score)
    documents, vectors = blobs(["a", "b", "c"], 160)
    test = np.array([each.split == "test" for each in documents])
    changed_documents = [replace(each, labels=("a",)) if each.split == "test" else each for each in documents]
    moved_vectors = vectors + 50 * test.astype(np.float32)[:, None]
    honest = sweep(*make_store(tmp_path / "one", documents, vectors), SPACE, tmp_path / "runs", max_trials=6)
    made = len(Watched.fitted)
    assert read == [made]  # after the last fit, which is the run's
    seen = {row.tobytes() for rows in Watched.fitted for row in rows}
    assert seen.isdisjoint(row.tobytes() for row in vectors[test])
    changed = sweep(
        *make_store(tmp_path / "two", changed_documents, moved_vectors), SPACE, tmp_path / "runs", max_trials=6
    )
    assert scores(honest) == scores(changed)


def test_no_trial_is_scored_on_documents_that_it_was_fitted_on(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], 160)
    rng = np.random.default_rng(99)  # not the seed that the vectors were drawn by
    noise = [replace(each, labels=("abc"[rng.integers(3)],)) for each in documents]  # nothing can be learned
    result = sweep(
        *make_store(tmp_path / "s", noise, 100 * vectors),
        replace(SPACE, metric=METRICS["accuracy"]),
        tmp_path,
        max_trials=5,
    )
    assert all(each.score is not None and each.score < 0.65 for each in result.trials)


def test_the_score_is_of_the_requested_folds(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    result, reported = load_task(store, table), []
    trials.score_trial(replace(SPACE, scored_folds=2), result, {}, lambda step, metric: reported.append((step, metric)))
    assert [len(rows) for rows in Watched.fitted] == [80, 80] and reported[0][0] == trials.AFTER_EPOCHS
    reported.clear()
    trials.score_trial(
        SearchSpace(FitPlan(head=MLPHead(training=training_of(epochs=3)))),
        result,
        {},
        lambda *now: reported.append(now),
    )
    assert [step for step, _ in reported] == [1, 2, 3] and all(0 <= metric <= 1 for _, metric in reported)


def test_a_trial_with_low_scores_is_pruned(tmp_path: Path) -> None:
    head = MLPHead(class_weight="none", training=training_of(epochs=4, min_steps=10))
    space = SearchSpace.of(FitPlan(head=head, folds=3), ["class_weight", "pooling", "dropout", "batch_size"])
    documents, vectors = blobs([f"l{at}" for at in range(8)], 400)
    result = sweep(*make_store(tmp_path / "s", documents, 0.2 * vectors), space, tmp_path / "runs", max_trials=14)
    assert 0 < result.pruned_count < 10 and result.trials[0].score is not None
    assert set(result.importance) <= set(space.hyperparameters) and sum(result.importance.values()) == pytest.approx(
        1, abs=0.01
    )


def test_a_repeated_sweep_makes_no_trial_again_and_a_longer_one_what_it_adds(tmp_path: Path) -> None:
    first = run_sweep(tmp_path, 5)
    made = len(Watched.fitted)
    assert run_sweep(tmp_path, 5) == first and len(Watched.fitted) == made
    longer = run_sweep(tmp_path, 8)
    assert longer.trials[:5] == first.trials and len(longer.trials) == 8
    assert scores(longer) == scores(run_sweep(tmp_path / "another", 8))


@pytest.mark.parametrize("trial", [0, 3])
def test_an_interrupted_sweep_resumes_with_the_same_trial(tmp_path: Path, trial: int) -> None:
    Watched.interrupt_at = trial
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tmp_path)
    result = run_sweep(tmp_path)
    assert scores(result) == scores(run_sweep(tmp_path / "another"))


@pytest.mark.parametrize(
    "refusal", [CallError("Not like this."), EmbedOnceError("Scores are not numbers."), MemoryError()]
)
def test_values_that_cannot_be_fitted_are_a_pruned_trial_but_the_defaults_are_an_error(
    tmp_path: Path, refusal: Exception
) -> None:
    Watched.refuse_at, Watched.refusal = 2, refusal
    assert [each.score is None for each in run_sweep(tmp_path, 5).trials] == [False, False, True, False, False]
    Watched.fitted.clear()
    Watched.refuse_at = 0
    with pytest.raises(type(refusal)):
        run_sweep(tmp_path / "another", 5)
    result = run_sweep(tmp_path / "another", 5)  # the cause was mended, and the defaults are first again
    assert result.default_trial == result.trials[0] and len(result.trials) == 5


def test_after_an_unexpected_error_other_values_are_drawn(tmp_path: Path) -> None:
    for _ in range(2):  # after the defaults, and in the trial that the next start begins with
        Watched.refuse_at, Watched.refusal = 1, ValueError("of a stranger's head")
        with pytest.raises(ValueError, match="stranger"):
            run_sweep(tmp_path, 5)
    drawn = [each.params["C"] for each in _every_trial(tmp_path) if each.state.name == "FAIL"]
    assert len(drawn) == len(set(drawn)) == 2


def _every_trial(folder: Path) -> list[Any]:
    import optuna

    (path,) = (folder / "runs" / "sweeps").glob("*.db")
    return list(optuna.load_study(study_name=None, storage=f"sqlite:///{path}").trials)


def test_a_sweep_ends_when_its_time_is_over(tmp_path: Path) -> None:
    assert len(run_sweep(tmp_path, 1000, seconds=0.001).trials) == 1


def test_a_small_search_space_ends_the_sweep(tmp_path: Path) -> None:
    space = SearchSpace.of(FitPlan(head=Watched(), folds=3), ["C", "kind"])
    result = run_sweep(tmp_path, 50, space)
    assert space.size == 4 and len(result.trials) == len({str(each.values) for each in result.trials}) == 4


def test_a_trial_is_pruned_after_a_fold_by_the_folds_of_other_trials(tmp_path: Path) -> None:
    run_sweep(tmp_path, 1)
    (path,) = (tmp_path / "runs" / "sweeps").glob("*.db")
    reached: list[int] = []

    def score(metric: float) -> Any:
        def steps(_: Any, reach: Any) -> float:
            for step in (1, 2, trials.AFTER_EPOCHS, trials.AFTER_EPOCHS + 1):
                reached.append(step)
                reach(step, 0.9 if step < trials.AFTER_EPOCHS else metric)
            return metric

        return steps

    with study_file.Study(path.with_name("folds.db"), SPACE) as study:
        for _ in range(6):
            study.run_trial(score(0.8))
        reached.clear()
        study.run_trial(score(0.1))  # whose epochs were as good as any
        assert study.trials[-1].score is None and reached[-1] == trials.AFTER_EPOCHS


def test_a_note_on_the_run_has_the_number_of_trials_even_if_the_run_existed(tmp_path: Path) -> None:
    def notes(result: SweepResult) -> list[str]:
        return [note for note in runs.load(tmp_path / "runs" / str(result.run)).record.notes if "best of" in note]

    space = SearchSpace.of(FitPlan(head=Watched(), folds=3), ["kind", "class_weight", "pooling"])
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    fit_head(store, table, space.plan, tmp_path / "runs")
    for most in (1, 2):  # of one trial, the defaults; and of two
        result = run_sweep(tmp_path, most, space)
        (note,) = notes(result)
        assert f"best of {most} trials" in note


ORDERED = SearchSpace(FitPlan(head=Watched(), folds=3, order=["c", "a", "b"]), metric=METRICS["quadratic-kappa"])


def test_ordinal_labels_are_swept_by_their_own_metric_and_fitted_as_such(tmp_path: Path) -> None:
    result = run_sweep(tmp_path, 3, ORDERED)
    assert result.metric == "quadratic_kappa" and result.best.score is not None and result.best.score > 0.9
    assert runs.load(tmp_path / "runs" / (result.run or "")).record.kind == "ordinal"


@pytest.mark.parametrize("other", [replace(SPACE, metric=METRICS["accuracy"]), replace(SPACE, scored_folds=2), ORDERED])
def test_another_question_is_another_study(tmp_path: Path, other: SearchSpace) -> None:
    assert run_sweep(tmp_path, 2).study != run_sweep(tmp_path, 2, other).study


def test_progress_names_the_trial_and_the_best_score(tmp_path: Path) -> None:
    reported: list[SweepProgress] = []
    result = run_sweep(tmp_path, 3, on_progress=reported.append)
    assert [now.done for now in reported[:3]] == [0, 1, 2] and {now.total for now in reported} == {3}
    assert reported[0].best is None and reported[-1].best == result.best.score and "as a run" in reported[-1].activity


def test_a_file_that_is_no_study_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / Path(run_sweep(tmp_path, 2).study)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageFailed, match="Remove the file and sweep again"):
        run_sweep(tmp_path, 3)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'embedonce\[sweep\]'"):
        run_sweep(tmp_path)


PROCESS = """
import sys
from pathlib import Path
from heads.classifiers.linear import LinearHead
from stages.fitting.plan import FitPlan
from stages.sweep import SearchSpace, study, sweep
from stages.stores import open_corpus, open_store
import time
study.HEARTBEAT, study.GRACE_PERIOD = 1, 3
class Slow(LinearHead):
    def fit(self, *args, **named):
        time.sleep(0.15)
        return super().fit(*args, **named)
folder, most = Path(sys.argv[1]), int(sys.argv[2])
store = open_store(folder / "store", folder)
sweep(store, open_corpus(store, None), SearchSpace(FitPlan(head=Slow(), folds=3)), folder / "runs", max_trials=most)
"""


def process(folder: Path, most: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), str(most)], cwd=ROOT, env=environment)


@pytest.mark.slow
def test_a_killed_sweep_resumes_and_loses_no_finished_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_file, "HEARTBEAT", 1)
    monkeypatch.setattr(study_file, "GRACE_PERIOD", 3)
    make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    space = SearchSpace(FitPlan(head=LinearHead(), folds=3))
    killed = process(tmp_path, 1000)
    before = finished(tmp_path, space, killed, 4)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    result = run_sweep(tmp_path, len(before) + 4, space)
    assert scores(result)[: len(before)] == before
    assert len(result.trials) == len(before) + 4 and len({str(each.values) for each in result.trials}) > len(before)
    assert len({each.process for each in result.trials}) == 2
    assert not list((tmp_path / "runs" / "sweeps").glob(".tmp-*"))


def finished(folder: Path, space: SearchSpace, other: subprocess.Popen[bytes], most: int) -> list[Any]:
    """The finished trials of a running process, once it has enough."""
    store = open_store(folder / "store", folder)
    name = space.identity(store, load_task(store, open_corpus(store, None)))
    path = folder / "runs" / "sweeps" / f"linear-{name}.db"
    while other.poll() is None:
        if path.exists():
            with study_file.Study(path, space) as study:
                if len(study.trials) >= most:
                    return [(each.number, dict(each.values), each.score) for each in study.trials]
        time.sleep(0.05)
    raise AssertionError("the other process ended too early")


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_share_one_study_and_its_trials(tmp_path: Path) -> None:
    make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    both = [process(tmp_path, 30) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    result = run_sweep(tmp_path, 30, SearchSpace(FitPlan(head=LinearHead(), folds=3)))
    assert len(result.trials) <= 31 and len({each.process for each in result.trials}) == 2
    assert (
        len(runs.runs_in(tmp_path / "runs")) == 1 and sum(each.values == result.defaults for each in result.trials) == 1
    )
