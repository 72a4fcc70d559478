"""Which run is taken and why, what it costs, and several seeds as one row."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from commandline.compare import COSTS as NAMED_COSTS
from commandline.compare import MARGIN as NAMED_MARGIN
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.decisions import ABSTAINED
from heads.evaluation.decisions.abstention import Abstention
from heads.evaluation.metrics import METRICS, scorecard
from stages.comparing.choice import COSTS, MARGIN, _two_digits, choose_run
from stages.comparing.entries import group_seeds
from stages.comparing.significance import compare_with_best
from stages.comparing.table import compare
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.fitting.saving import save
from tests.conftest import Run as Command
from tests.small_store import blobs, make_store

ACCURACY = METRICS["accuracy"]


class Folder:
    """A folder of runs whose predictions and records are made up."""

    def __init__(self, folder: Path) -> None:
        documents, vectors = blobs(["a", "b", "c"], documents=400)
        self.folder = folder
        self.made, _ = fit_head(
            *make_store(folder / "store", documents, vectors), FitPlan(head=PrototypeHead(), folds=2), folder / "made"
        )

    def add(self, name: str, wrong: int, *, first: int = 0, undecided: int = 0, **record: Any) -> Run:
        """A run that is wrong for some training documents, from the one at `first` on; and what its record has.

        undecided: the number of documents after these that it leaves undecided.
        """
        predictions = self.made.predictions()
        start = first + predictions.splits.index("train")
        predicted: NDArray[np.int64] = predictions.truth.copy()
        predicted[start : start + wrong] = (predicted[start : start + wrong] + 1) % 3
        predicted[start + wrong : start + wrong + undecided] = ABSTAINED
        decision = replace(self.made.decision, abstention=Abstention(0.5) if undecided else None)
        predictions = replace(predictions, predicted=predicted, decision=decision)
        of = predictions.of("train")
        cards = {"out_of_fold": scorecard(of.truth, of.predicted, self.made.record.labels, resamples=20)}
        changed = replace(self.made.record, **{"hyperparameters": {"name": name}, **record})
        path = self.folder / "runs" / name
        made = self.made
        return save(path, changed, made.head(), decision, predictions, cards, made.groups(), made.folds())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("made"))


def test_the_cheapest_run_within_the_margin_is_taken(folder: Folder) -> None:
    best = folder.add("best", 10, predict_milliseconds=2.0)
    close = folder.add("close", 11, predict_milliseconds=0.5)
    far = folder.add("far", 40, predict_milliseconds=0.1)
    choice = compare([far, close, best], metric=ACCURACY, margin=0.01).choice
    assert choice is not None and (choice.run, choice.best, choice.candidates) == ("close", "best", ("close", "best"))
    assert choice.sentence == (
        "Take close: its out-of-fold accuracy (0.963) is within 0.01 of that of the best run, best (0.967), on other "
        f"documents with a probability of {100 * choice.not_worse:.0f} %, and it predicts a document in 0.50 ms "
        "instead of 2.0 ms."
    )
    assert 0.5 < choice.not_worse <= 1 and choice.difference is not None
    assert choice.difference.value == pytest.approx(-1 / 300)
    strict = compare([far, close, best], metric=ACCURACY, margin=0.001).choice
    assert strict is not None and strict.sentence == (
        "Take best: it has the best out-of-fold accuracy of 3 runs (0.967), and none of those that predict faster is "
        "likely to be within 0.001 of it."
    )


def test_the_best_run_is_taken_if_it_is_the_cheapest(folder: Folder) -> None:
    runs = [folder.add("fast", 3, predict_milliseconds=0.01), folder.add("slow", 3, first=50, predict_milliseconds=1.0)]
    choice = compare(runs, metric=ACCURACY).choice
    assert choice is not None and choice.sentence == (
        "Take fast: it has the best out-of-fold accuracy of 2 runs (0.990), and predicts fastest, in 0.010 ms per "
        "document."
    )
    assert compare(runs[:1], metric=ACCURACY).choice is None


def test_a_run_that_is_rather_worse_than_the_margin_on_other_documents_is_not_taken(folder: Folder) -> None:
    best = folder.add("accurate", 3, predict_milliseconds=2.0)
    cheap = folder.add("cheap", 4, predict_milliseconds=0.2)
    entries = group_seeds([best, cheap], ACCURACY)
    predictions = {run.name: run.predictions() for run in (best, cheap)}
    found = compare_with_best(entries, predictions, ACCURACY, 0.005).comparisons
    for probability, taken in ((0.51, "cheap"), (0.49, "accurate")):
        compared = {"cheap": replace(found["cheap"], not_worse=probability)}
        choice = choose_run(entries, compared, ACCURACY, 0.005)
        assert choice is not None and choice.run == taken


def test_a_time_that_is_lower_by_chance_is_worth_no_quality(folder: Folder) -> None:
    best = folder.add("better", 2, predict_milliseconds=0.079, parameter_count=20)
    near = folder.add("nearly", 3, predict_milliseconds=0.076, parameter_count=19)
    choice = compare([near, best], metric=ACCURACY).choice
    assert choice is not None and choice.run == "better"
    assert choice.sentence.endswith(", and predicts as fast as any, in 0.079 ms per document.")
    smaller = compare([near, best], metric=ACCURACY, cost="size").choice
    assert smaller is not None and smaller.run == "nearly"  # a number of parameters is exact


def test_a_run_that_needs_no_encoder_is_compared_without_encoding(folder: Folder) -> None:
    best = folder.add("encoded", 2, predict_milliseconds=2.0)
    words = folder.add("words", 3, predict_milliseconds=0.2, inputs=["token_ids"])
    choice = compare([words, best], metric=ACCURACY).choice
    assert choice is not None and choice.sentence.endswith("in 0.20 ms instead of 2.0 ms (encoding not counted).")


def test_of_equally_good_runs_the_one_that_predicts_fastest_is_first_in_whatever_order_they_are_named(
    folder: Folder,
) -> None:
    slow, fast = (folder.add(f"{each}-ms", 4, predict_milliseconds=each) for each in (3.0, 1.0))
    for runs in ([slow, fast], [fast, slow]):
        assert [row.run for row in compare(runs, metric=ACCURACY).rows] == [fast.name, slow.name]


def test_leaving_documents_undecided_does_not_win_by_a_metric_of_the_others(folder: Folder) -> None:
    whole = [folder.add(f"wrong-{wrong}", wrong, predict_milliseconds=0.5) for wrong in (21, 30)]
    sure = folder.add("sure", 1, undecided=250, predict_milliseconds=0.1)
    table = compare([sure, *whole], metric=METRICS["macro-precision"])
    assert [row.run for row in table.rows] == ["wrong-21", "wrong-30", "sure"]
    assert table.rows[2].out_of_fold is not None and table.rows[2].out_of_fold.value > 0.97  # of 50 documents
    assert table.choice is not None and table.choice.best == "wrong-21" and "sure" not in table.choice.candidates
    assert "macro precision of sure is of the documents that it decides" in " ".join(table.notes)
    assert compare([sure, *whole], metric=ACCURACY).rows[2].difference is not None  # undecided is wrong here
    assert compare([sure, folder.add("surer", 0, undecided=280)], metric=METRICS["macro-precision"]).choice is None


def test_a_difference_that_is_the_margin_but_for_rounding_is_within_it(folder: Folder) -> None:
    best = folder.add("right", 0, predict_milliseconds=2.0)
    for wrong in range(1, 20):
        other = folder.add(f"wrong-{wrong}", wrong, predict_milliseconds=0.5)
        choice = compare([best, other], metric=ACCURACY, margin=wrong / 300).choice
        assert choice is not None and choice.run == other.name


def test_a_stacking_ensemble_costs_what_its_base_runs_cost_too(folder: Folder) -> None:
    base = [folder.add(f"base-{each}", 12, parameter_count=1000, seconds={"fit": 9.0}) for each in range(2)]
    stack = folder.add("stack", 12, first=60, parameter_count=5, seconds={"fit": 1.0}, base_runs=["base-0", "base-1"])
    fit, size = (compare([stack, *base], metric=ACCURACY, cost=cost).choice for cost in ("fit", "size"))
    assert fit is not None and fit.run == "base-0" and fit.run_cost == 9
    assert size is not None and size.run == "base-0" and size.run_cost == 1000
    assert compare([stack, base[0]], metric=ACCURACY, cost="size").choice.best_cost == 2005  # type: ignore[union-attr]


def accuracies_of_folds(run: Run) -> list[float]:
    predictions, folds = run.predictions().of("train"), run.folds()
    assert folds is not None
    right = predictions.truth == predictions.predicted
    return [float(np.mean(right[folds == fold])) for fold in np.unique(folds).tolist()]


def test_runs_that_differ_in_their_seed_only_are_one_row_with_their_spread(folder: Folder) -> None:
    seeds = [
        folder.add(f"seed-{seed}", wrong, seed=seed, hyperparameters={"seed": seed}, predict_milliseconds=1.0 + seed)
        for seed, wrong in ((2, 12), (0, 6), (1, 9))
    ]
    other = folder.add("other", 30, seed=0)
    first, second = compare([*seeds, other], metric=ACCURACY).rows
    assert first.seeds is not None and second.seeds is None and second.run == "other"
    assert first.run == "seed-0" and first.seeds.seeds == (0, 1, 2)
    assert first.seeds.runs == ("seed-0", "seed-1", "seed-2")
    assert first.seeds.values == pytest.approx((0.98, 0.97, 0.96))
    assert first.seeds.standard_deviation == pytest.approx(0.01)
    folds = np.concatenate([accuracies_of_folds(run) for run in seeds])
    # Student's t with five degrees of freedom, variance times 1/6 + 1: a fold scores as many documents as are fitted on
    assert first.seeds.interval.high == pytest.approx(0.97 + 2.570582 * folds.std(ddof=1) * np.sqrt(1 / 6 + 1))
    assert first.out_of_fold is not None and first.out_of_fold.value == pytest.approx(0.97)
    assert first.predict_milliseconds == pytest.approx(2)
    assert first.marks == ("mean of 3 seeds, standard deviation 0.010",)
    assert second.difference is not None and second.difference.value == pytest.approx(0.9 - 0.97)
    assert second.p_value is not None and second.p_value < 0.01 and second.mcnemar_p_value is None


def test_runs_of_one_seed_and_decided_runs_are_rows_of_their_own(folder: Folder) -> None:
    twins = [folder.add(f"twin-{each}", 5, hyperparameters={}, seed=7) for each in range(2)]
    assert len(group_seeds(twins, ACCURACY)) == 2
    weighted = [
        folder.add(f"weighted-{each}", 5, hyperparameters={}, seed=each, weights=str(each)) for each in range(2)
    ]
    assert len(group_seeds(weighted, ACCURACY)) == 2


def test_runs_with_the_same_predictions_count_once(folder: Folder) -> None:
    runs = [folder.add(f"distinct-{wrong}", wrong, hyperparameters={"of": wrong}) for wrong in (4, 20, 40)]
    same = [folder.add(f"same-{wrong}", wrong, hyperparameters={"as": wrong}) for wrong in (4, 20)]
    before = {row.run: row.adjusted_p_value for row in compare(runs, metric=ACCURACY).rows}
    rows = {row.run: row.adjusted_p_value for row in compare([*runs, *same], metric=ACCURACY).rows}
    best, equal = ("distinct-4", "same-4") if rows["distinct-4"] is None else ("same-4", "distinct-4")
    assert rows[best] is None and rows[equal] == 1.0
    assert rows["same-20"] == rows["distinct-20"] == before["distinct-20"]
    assert rows["distinct-40"] == before["distinct-40"]


def test_every_p_value_is_adjusted_for_all_pairs(folder: Folder) -> None:
    runs = [folder.add(f"run-{wrong}", wrong) for wrong in (4, 20, 40)]
    comparison = compare(runs, metric=ACCURACY)
    first, second, third = comparison.rows
    assert first.p_value is first.adjusted_p_value is first.equivalence is None
    assert second.p_value is not None and second.adjusted_p_value is not None
    assert third.p_value is not None and third.adjusted_p_value == pytest.approx(3 * third.p_value)
    assert second.mcnemar_p_value == pytest.approx(2 / 2**16) and second.equivalence == second.not_worse == 0
    assert comparison.optimism is not None and comparison.optimism.candidates == 3
    (note,) = [each for each in comparison.notes if "BBC-CV" in each]
    assert note.startswith("run-4 is the best of 3 by its out-of-fold accuracy of 0.987; corrected for this choice")


def test_the_last_line_is_the_choice(folder: Folder, embedonce: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (10, 11):
        folder.add(f"last-{wrong}", wrong)
    monkeypatch.setenv("COLUMNS", "200")
    command = ("compare", "last-10", "last-11", "--runs", str(folder.folder / "runs"), "--metric", "accuracy")
    page = str(folder.folder / "report.html")
    assert embedonce(*command, "--html", page).out.splitlines()[-1].startswith("Take last-")
    printed = embedonce(*command, "--format", "csv")
    assert "Take last-" not in printed.out and printed.err.splitlines()[-1].startswith("Take last-")
    content = json.loads(embedonce(*command, "--margin", "0", "--cost", "size", "--json").out)
    assert content["choice"]["run"] == "last-10" and content["choice"]["cost"] == "size"
    assert (NAMED_MARGIN, NAMED_COSTS) == (MARGIN, COSTS)


@pytest.mark.parametrize(("value", "written"), [(0.101, "0.10"), (0.0037, "0.0037"), (9.96, "10"), (123.4, "123")])
def test_a_cost_has_two_digits_and_no_exponent(value: float, written: str) -> None:
    assert _two_digits(value) == written
