"""One time budget for several heads."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from data.errors import CallError
from featurestore import Bags
from heads.classifiers.knn import KNNHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.core.head import Examples
from stages.fitting import runs
from stages.fitting.plan import FitPlan
from stages.sweep import SearchSpace, SweepProgress, SweepResult, parse_duration, search, sweep_all
from stages.sweep import successive_halving as halving
from stages.sweep import trial_scoring as trials
from tests.small_store import blobs, make_store


class Guess(LinearHead):
    """A head that learns nothing."""

    name = "guess"

    def _decision_function(self, bags: Bags) -> Any:
        return np.random.default_rng(0).normal(size=(len(bags), len(self.classes_)))


class Clock:
    """A clock that advances by one second per trial only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (halving, search):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(search, "mean_seconds", lambda _: 1.0)
        monkeypatch.setattr(halving, "_run_seconds", lambda *_: 4.0)
        real = trials.score_trial

        def score(*options: Any) -> float:
            self.now += 1
            return real(*options)

        monkeypatch.setattr(trials, "score_trial", score)


class Refused(LinearHead):
    """A head that refuses these labels."""

    name = "refused"

    def _fit(self, examples: Examples) -> None:
        raise CallError("Not for these.")


def run_sweep(folder: Path, heads: Sequence[Any], seconds: float = 60, **options: Any) -> list[SweepResult]:
    store, table = make_store(folder / "store", *blobs(["a", "b", "c"], 160))
    spaces = [SearchSpace(FitPlan(head=head, folds=3)) for head in heads]
    return sweep_all(store, table, spaces, folder / "runs", seconds=seconds, **options)


def test_the_better_heads_get_more_trials_and_are_fitted_as_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, reported = Clock(monkeypatch), list[SweepProgress]()
    heads = [Guess(), KNNHead(), Guess(pooling=("max",)), LinearHead()]
    result = run_sweep(tmp_path, heads, seconds=28, on_progress=reported.append)
    made = [len(each.trials) for each in result]
    assert {result[0].head, result[1].head} == {"knn", "linear"}
    assert made == [9, 9, 3, 3] and clock.now == 24  # 12 seconds a round: for four heads, then for two; 4 for the run
    assert result[0].run is not None and [each.run for each in result[2:]] == [None, None]
    left = {run.name for run in runs.runs_in(tmp_path / "runs")}
    assert left == {each.run for each in result if each.run}
    assert (result[0].best.score or 0) >= (result[1].best.score or 0)
    assert all(0 <= now.done <= now.total == 28 for now in reported)


def test_a_head_is_tried_if_a_trial_and_a_run_fit_into_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    result = run_sweep(tmp_path, [Guess(), KNNHead(), LinearHead(), PrototypeHead()], seconds=5.5)
    assert {each.head for each in result} == {"guess", "knn"}  # after two trials, 3.5 s are left and a run takes 4
    assert [len(each.trials) for each in result] == [1, 1] and clock.now == 2
    assert [each.run is not None for each in result] == [True, False]
    assert all(any(f"{name} is left out" in note for note in result[0].notes) for name in ("linear", "prototype"))


def test_a_short_time_is_exceeded_by_about_one_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(halving, "_predict_trial_seconds", lambda *_: 0.5)  # half of what it takes
    heads = [Guess(), KNNHead(), LinearHead(), PrototypeHead(), Guess(pooling=("max",))]
    for seconds in (4.6, 6, 8, 11, 20):
        clock.now = 0
        result = run_sweep(tmp_path / str(seconds), heads, seconds=seconds)
        assert result[0].run is not None and clock.now + 4 <= seconds + 1  # 4 is for the run


def test_trials_of_an_earlier_sweep_count_also_if_there_is_no_time_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    run_sweep(tmp_path, [KNNHead(), PrototypeHead()], seconds=10)
    clock.now = 0
    result = run_sweep(tmp_path, [KNNHead(), PrototypeHead()], seconds=1)
    assert {each.head for each in result} == {"knn", "prototype"} and clock.now == 0
    assert result[0].run is not None


def test_a_head_that_refuses_or_would_take_too_long_is_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = halving._predict_trial_seconds
    monkeypatch.setattr(
        halving,
        "_predict_trial_seconds",
        lambda *options: 99.0 if options[1].plan.head.name == "knn" else real(*options),
    )
    (result,) = run_sweep(tmp_path, [KNNHead(), PrototypeHead(), Refused()], max_trials=2)
    assert result.head == "prototype" and result.run is not None
    assert any("knn is left out: one trial would take about 1 min 39 s" in note for note in result.notes)
    assert any("refused is left out: Not for these." in note for note in result.notes)
    with pytest.raises(CallError, match="No head can be tried"):
        run_sweep(tmp_path / "another", [KNNHead(), Refused()])


def test_the_only_head_that_is_not_left_out_gets_all_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    (result,) = run_sweep(tmp_path, [KNNHead(), Refused()], seconds=14)
    assert len(result.trials) == 10  # 4 are for the run


def test_a_cap_on_trials_ends_before_the_time(tmp_path: Path) -> None:
    result = run_sweep(tmp_path, [KNNHead(), LinearHead()], seconds=600, max_trials=3)
    assert [len(each.trials) for each in result] == [3, 3] and all(each.run for each in result)


def test_every_fit_has_the_sample_weights_also_those_that_predict_the_time_of_a_trial(tmp_path: Path) -> None:
    weighted: list[bool] = []

    class Weighted(LinearHead):
        def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
            weighted.append(sample_weight is not None and len(sample_weight) == len(y))
            return super().fit(X, y, sample_weight, *others, **named)

    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    plan = FitPlan(head=Weighted(), folds=3, weights=dict.fromkeys(table.ids, 2.0))
    sweep_all(store, table, [SearchSpace(plan)], tmp_path / "runs", seconds=60, max_trials=1)
    assert weighted and all(weighted)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), (" 1.5h ", 5400), ("2 m", 120)])
def test_a_time_is_read_as_it_is_written(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "0s", "10 minutes", "1h30m"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(CallError, match="write a time such as"):
        parse_duration(text)
