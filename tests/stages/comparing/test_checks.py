"""Each automatic check fires on what it is for, and stays silent otherwise."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from commandline.comparison_tables import show_comparison, show_sentences
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import MACRO_F1, METRICS, LabelMetrics, Scorecard
from heads.evaluation.paired_counts import PairedCounts
from heads.evaluation.probability_table import ProbabilityTable
from stages.comparing.checks import Check, check_runs
from stages.comparing.data_checks import (
    Advice,
    check_baseline,
    check_calibration,
    check_duplicates,
    check_groups,
    check_rare_labels,
    find_baseline,
)
from stages.comparing.fit_checks import check_edges, check_fit, check_folds, check_views
from stages.comparing.table import compare
from stages.fitting import runs
from stages.fitting.diagnostics import FitDiagnostics, ViewUse
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.predictions import Predictions
from stages.fitting.searched_range import SearchedRange
from tests.conftest import Run
from tests.small_store import blobs, make_store
from tests.suggested_commands import suggested

LABELS = ("a", "b", "c")


@dataclass(frozen=True)
class Made(runs.Run):
    """A run with planted predictions, folds and metrics."""

    planted: Predictions
    planted_folds: NDArray[np.int32] | None
    cards: Any
    planted_groups: NDArray[np.int64] | None = None

    def predictions(self) -> Predictions:
        return self.planted

    def folds(self) -> NDArray[np.int32] | None:
        return self.planted_folds

    def groups(self) -> NDArray[np.int64]:
        return np.arange(len(self.planted.ids)) if self.planted_groups is None else self.planted_groups

    @cached_property
    def scorecards(self) -> dict[str, Scorecard]:
        return dict(self.cards)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """A run on 120 documents."""
    path = tmp_path_factory.mktemp("checks")
    return fit_head(*make_store(path / "store", *blobs(LABELS)), FitPlan(head=PrototypeHead(), folds=2), path / "runs")[
        0
    ]


def make_run(
    fitted: runs.Run,
    truth: Sequence[int] | NDArray[Any] = (0, 1, 2),
    predicted: Sequence[int] | NDArray[Any] | None = None,
    *,
    name: str = "made-1",
    folds: NDArray[np.int32] | None = None,
    cards: Any = None,
    **record: Any,
) -> Made:
    codes = np.asarray(truth)
    decided = codes if predicted is None else np.asarray(predicted)
    scores = 9 * np.eye(3, dtype=np.float32)[decided]
    planted = Predictions([f"d{row}" for row in range(len(codes))], ["train"] * len(codes), codes, decided, scores)
    known = {"out_of_fold": card(len(codes))} if cards is None else cards
    return Made(fitted.folder.parent / name, replace(fitted.record, **record), fitted.files, planted, folds, known)


def documents_of(run: runs.Run) -> str:
    """The options that name the documents of a run."""
    return f"--store store --corpus made --folds 2 --runs {run.folder.parent}"


def found(advice: Advice | None) -> tuple[str, str]:
    assert advice is not None
    assert advice.sentence.endswith(".") and advice.next_step.endswith(".")
    suggested(advice.next_step)
    return advice.sentence, advice.next_step


def diagnostics(training: PairedCounts | None = None, views: ViewUse | None = None) -> dict[str, Any]:
    return FitDiagnostics(training, views or ViewUse()).to_json()


CLOSE = diagnostics(PairedCounts(850, 50, 0, 100))  # 90 % of training documents, 85 % out of fold
WORSE, EQUAL = ConfidenceInterval(-0.05, -0.07, -0.03), ConfidenceInterval(-0.01, -0.03, 0.01)


def test_a_worse_run_with_a_larger_gap_overfits(fitted: runs.Run) -> None:
    best = make_run(fitted, name="best-1", diagnostics=CLOSE)
    run = make_run(fitted, diagnostics=diagnostics(PairedCounts(800, 200, 0, 0)))
    sentence, step = found(check_fit(run, best, WORSE))
    assert sentence == (
        "It overfits: it gets 100.0% of its training documents and 80.0% out of fold right, best-1, which is better, "
        "90.0% and 85.0%."
    )
    assert f"`embedonce sweep prototype {documents_of(run)}`" in step
    assert check_fit(run, best, EQUAL) is None and check_fit(run, best, None) is None


def test_a_run_that_fits_few_documents_and_loses_some_of_them_underfits(fitted: runs.Run) -> None:
    best = make_run(fitted, name="best-1", diagnostics=CLOSE)
    run = make_run(fitted, diagnostics=diagnostics(PairedCounts(300, 145, 0, 555)))
    assert found(check_fit(run, best, WORSE))[0].startswith("It underfits: it gets 44.5%")


def test_a_run_that_a_sweep_chose_is_not_to_be_swept_again(fitted: runs.Run) -> None:
    best = make_run(fitted, name="best-1", diagnostics=CLOSE)
    search = [SearchedRange("k", 5, 1, 50, False, None, 62).to_json()]
    run = make_run(fitted, diagnostics=diagnostics(PairedCounts(800, 200, 0, 0)), search=search)
    assert found(check_fit(run, best, WORSE))[1] == "Take best-1."
    assert found(compared_with_baseline(fitted, 0.7, 0.01, search=search))[1] == "Take tfidf-1."
    cards = {"out_of_fold": card(1_000, kappa=EQUAL)}
    by_chance = make_run(fitted, diagnostics=diagnostics(PairedCounts(300, 700, 0, 0)), cards=cards, search=search)
    assert not suggested(found(check_fit(by_chance, best, WORSE))[1])


def test_a_worse_run_that_fits_training_documents_worse_underfits(fitted: runs.Run) -> None:
    best = make_run(fitted, name="best-1", diagnostics=CLOSE)
    run = make_run(fitted, diagnostics=diagnostics(PairedCounts(780, 20, 5, 195)))
    assert "It underfits: it gets 80.0% of its training documents" in found(check_fit(run, best, WORSE))[0]
    similar = make_run(fitted, diagnostics=diagnostics(PairedCounts(840, 52, 2, 106)))
    assert check_fit(similar, best, WORSE) is None
    assert check_fit(make_run(fitted), make_run(fitted), WORSE) is None  # nothing was recorded


def simulate(
    random: np.random.Generator, accuracy: NDArray[Any], folds: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    truth = random.integers(3, size=len(folds))
    return truth, np.where(random.random(len(folds)) < accuracy[folds], truth, (truth + 1) % 3)


def test_a_fold_that_is_harder_than_chance_makes_a_run_unstable(fitted: runs.Run) -> None:
    random, folds = np.random.default_rng(0), np.repeat(np.arange(5, dtype=np.int32), 200)
    truth, predicted = simulate(random, np.array([0.9, 0.9, 0.6, 0.9, 0.9]), folds)
    run = make_run(fitted, truth, predicted, folds=folds, seed=4)
    sentence, step = found(check_folds(run, run.planted, MACRO_F1, 1))
    assert sentence.startswith("It is unstable: macro-F1 is 0.") and "on its 5 folds" in sentence
    assert suggested(step)[0]["seed"] == 5
    assert check_folds(make_run(fitted, truth, truth, folds=folds), run.planted[:10], MACRO_F1, 1) is None


def test_equal_folds_are_called_unstable_in_five_of_a_hundred_runs(fitted: runs.Run) -> None:
    random, folds, alarms = np.random.default_rng(0), np.repeat(np.arange(5, dtype=np.int32), 60), 0
    for _ in range(300):
        run = make_run(fitted, *simulate(random, np.full(5, 0.8), folds), folds=folds)
        alarms += check_folds(run, run.planted, MACRO_F1, 1) is not None
    assert 4 <= alarms <= 28  # 15 expected; binomial, 99.9 %


def test_a_value_at_the_edge_of_its_search_is_reported_with_one_beyond_it(fitted: runs.Run) -> None:
    ranges = [
        SearchedRange("temperature", 10.0, 0.1, 10.0, True, 0.032, 32.0),
        SearchedRange("k", 5, 1, 50, False, None, 62),
    ]
    run = make_run(fitted, search=[each.to_json() for each in ranges], hyperparameters={"temperature": 10.0, "seed": 0})
    sentence, step = found(check_edges(run))
    assert "(temperature = 10 of 0.1 to 10)" in sentence
    assert step.startswith("Try one beyond: `embedonce fit-head prototype --store store --corpus made ")
    assert suggested(step)[0]["settings"] == ("temperature=32",)
    inside = make_run(fitted, search=[replace(ranges[0], value=1.0).to_json(), ranges[1].to_json()])
    assert check_edges(inside) is None and check_edges(fitted) is None


ALL, NOTHING = PairedCounts(900, 0, 0, 100), PairedCounts(400, 500, 0, 100)


def test_one_view_that_accounts_for_all_of_the_score_is_named(fitted: runs.Run) -> None:
    views = ViewUse({"cls": ALL, "tabular columns": NOTHING}, NOTHING)
    sentence, step = found(check_views(make_run(fitted, diagnostics=diagnostics(views=views), source="news.csv")))
    assert sentence.startswith("cls alone accounts for the score: without tabular columns, it gets 90.0% of 1,000")
    assert suggested(step)[0]["settings"] == ("pooling=cls",)
    mlp = make_run(fitted, diagnostics=diagnostics(views=views), source="news.csv", hyperparameters={"pooling": "mean"})
    assert found(check_views(mlp))[1].endswith("embed with --keep cls.")
    leak = ViewUse({"cls": NOTHING, "tabular columns": ALL}, NOTHING)
    tokens = ViewUse({"token_ids": ALL, "cls": NOTHING}, NOTHING)
    step = found(check_views(make_run(fitted, diagnostics=diagnostics(views=tokens))))[1]
    assert step.startswith("Fit a head that reads tokens alone: `embedonce fit-head tfidf ")
    step = found(check_views(make_run(fitted, diagnostics=diagnostics(views=leak))))[1]
    assert suggested(step)[0]["no_tabular"] and "known before the label" in step


@pytest.mark.parametrize(
    "views",
    [
        ViewUse({"cls": PairedCounts(880, 20, 0, 100), "mean": NOTHING}, NOTHING),  # cls alone loses two points
        ViewUse({"cls": PairedCounts(90, 0, 0, 10), "mean": NOTHING}, NOTHING),  # too few documents to tell
        ViewUse({"cls": ALL, "mean": ALL}, ALL),  # a head that learned nothing
        ViewUse(),
    ],
)
def test_a_view_that_does_not_account_for_the_score_is_not_named(fitted: runs.Run, views: ViewUse) -> None:
    assert check_views(make_run(fitted, diagnostics=diagnostics(views=views))) is None


def card(
    documents: int, accuracy: tuple[float, float] = (0.9, 0.92), support: Sequence[int] = (), **more: Any
) -> Scorecard:
    interval = ConfidenceInterval(sum(accuracy) / 2, *accuracy)
    labels = (LabelMetrics(f"label {row}", 0.5, 0.5, 0.5, count, count) for row, count in enumerate(support))
    return Scorecard(documents, interval, interval, interval, tuple(labels), **more)


def test_a_view_of_one_of_several_stores_is_named_by_its_store(fitted: runs.Run) -> None:
    views = ViewUse({"cls@1": NOTHING, "cls@2": ALL}, NOTHING)
    record: dict[str, Any] = {"store": "one + two", "hyperparameters": {}, "head": "gated"}
    run = make_run(fitted, diagnostics=diagnostics(views=views), further_recipes=({},), **record)
    assert found(check_views(run))[1] == "Fit a head on the store two alone."


def test_labels_with_five_documents_or_fewer_are_rare(fitted: runs.Run) -> None:
    run = make_run(fitted, cards={"out_of_fold": card(100, support=(90, 5, 1, 0))})
    sentence, step = found(check_rare_labels(run, MACRO_F1))
    assert sentence.startswith("2 of 3 labels have at most 5 documents that were scored ('label 1', 'label 2')")
    assert "but are 67% of macro-F1" in sentence and suggested(step)[0]["metric"] == "weighted-f1"
    assert "of macro-F1" not in found(check_rare_labels(run, METRICS["accuracy"]))[0]
    assert check_rare_labels(make_run(fitted, cards={"out_of_fold": card(100, support=(94, 6, 0))}), MACRO_F1) is None


def test_duplicates_are_reported_if_they_may_change_the_accuracy_by_more_than_chance(fitted: runs.Run) -> None:
    cards = {"test": card(10_000)}
    run = make_run(fitted, duplicates={"test": 1_100}, cards=cards, spec={"split": "part"})
    sentence, step = found(check_duplicates(run))
    assert "1,100 documents of the test split have the text of a training document, 11.0% of 10,000" in sentence
    assert step.endswith("embed with --split ''.")
    for spec in ({"split": "part", "group": "author"}, {"split": "", "test_file": "test.csv"}):
        assert "Remove these texts" in found(check_duplicates(replace(run, record=replace(run.record, spec=spec))))[1]
    few = make_run(fitted, duplicates={"test": 1, "validation": 1_100}, cards=cards)
    assert check_duplicates(few) is None and check_duplicates(make_run(fitted, cards=cards)) is None


def test_documents_that_are_right_or_wrong_with_their_group_are_reported(fitted: runs.Run) -> None:
    random = np.random.default_rng(0)
    truth, groups = np.zeros(600, dtype=np.int64), np.arange(600) // 6

    def advice(wrong: NDArray[np.bool_], groups: NDArray[np.int64] = groups) -> Advice | None:
        run = replace(make_run(fitted, truth, wrong.astype(np.int64)), planted_groups=groups)
        return check_groups(run, run.predictions())

    wrong_groups = np.repeat(random.random(100) < 0.3, 6)  # the standard error of 100 documents, not of 600
    sentence, _ = found(advice(wrong_groups))
    assert "these 600 documents in 100 groups is 2.4 times that of independent documents" in sentence
    assert advice(wrong_groups, np.arange(600)) is None
    assert advice(np.zeros(600, dtype=bool)) is None
    assert sum(advice(random.random(600) < 0.3) is not None for _ in range(100)) <= 6


def with_probabilities(fitted: runs.Run, random: np.random.Generator, power: float) -> Made:
    """A run whose labels are drawn from probabilities, of which it states a power."""
    true = random.dirichlet(np.ones(3), size=2_000)
    truth = (random.random(2_000)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    run = make_run(fitted, truth)
    planted = replace(run.planted, scores=(power * np.log(true)).astype(np.float32))
    error = ProbabilityTable.of(truth, planted.probabilities, ["ece"]).values["ece"]
    confident = planted.probabilities.argmax(axis=1) == truth
    half = 1.96 * float(confident.std()) / np.sqrt(len(truth))  # at least as wide as that of the ECE
    ece = ConfidenceInterval(error, error - half, error + half)
    return replace(run, planted=planted, cards={"out_of_fold": card(2_000, ece=ece)})


def test_overconfident_probabilities_are_reported_and_calibrated_ones_are_not(fitted: runs.Run) -> None:
    random = np.random.default_rng(0)
    run = with_probabilities(fitted, random, 2.0)
    sentence, step = found(check_calibration(run, run.planted))
    assert "badly calibrated" in sentence and suggested(step)[0]["run"] == run.name
    assert check_calibration(run, run.planted, margin=0.2) is None
    calibrated = [with_probabilities(fitted, random, 1.0) for _ in range(40)]
    assert not any(check_calibration(run, run.planted) for run in calibrated)
    assert check_calibration(make_run(fitted, cards={"out_of_fold": card(3)}), run.planted) is None  # no ECE is known


def compared_with_baseline(fitted: runs.Run, right: float, milliseconds: float, **record: Any) -> Advice | None:
    random, folds = np.random.default_rng(0), np.zeros(2_000, dtype=np.int64)
    truth, predicted = simulate(random, np.array([0.8]), folds)
    _, other = simulate(np.random.default_rng(1), np.array([right]), folds)
    shift = (other - simulate(np.random.default_rng(1), np.array([1.0]), folds)[0]) % 3
    baseline = make_run(fitted, truth, predicted, name="tfidf-1", head="tfidf", predict_milliseconds=0.1)
    run = make_run(fitted, truth, (truth + shift) % 3, predict_milliseconds=milliseconds, **record)
    return check_baseline(run, baseline, (run.planted, baseline.planted), MACRO_F1)


def test_a_run_worse_than_the_baseline_and_one_that_is_only_slower_are_reported(fitted: runs.Run) -> None:
    sentence, step = found(compared_with_baseline(fitted, 0.7, 0.01))
    assert sentence.startswith("It is worse than the baseline tfidf-1, a linear SVM on tf-idf (macro-F1 0.0")
    assert step.startswith("Take tfidf-1, or search the head: `embedonce sweep prototype")
    sentence, step = found(compared_with_baseline(fitted, 0.8, 0.2))
    assert "It is not better than the baseline tfidf-1" in sentence and "0.200 against 0.100 ms" in sentence
    assert suggested(step)[0]["heads"] == ("prototype", "tfidf")
    for of_head in ({"head": "tfidf"}, {"head": "mlp", "hyperparameters": {"hidden": 7}}):
        _, step = found(compared_with_baseline(fitted, 0.8, 0.2, **of_head))
        assert suggested(step)[0]["heads"] == (of_head["head"],)  # --set is for one head


@pytest.mark.parametrize("head", ["stack", "finetuned"])
def test_what_cannot_be_fitted_alone_is_not_searched_or_fitted_with_another_seed(fitted: runs.Run, head: str) -> None:
    base_runs = ["a", "b"] if head == "stack" else []
    record: dict[str, Any] = {"head": head, "base_runs": base_runs, "predict_milliseconds": 0.2}
    folds = np.repeat(np.arange(5, dtype=np.int32), 200)
    truth, predicted = simulate(np.random.default_rng(0), np.array([0.9, 0.9, 0.6, 0.9, 0.9]), folds)
    baseline = make_run(fitted, truth, name="tfidf-1", head="tfidf", predict_milliseconds=0.1)
    known = diagnostics(PairedCounts(300, 700, 0, 0))
    cards = {"out_of_fold": card(1_000, kappa=EQUAL)}
    run = make_run(fitted, truth, predicted, folds=folds, diagnostics=known, cards=cards, **record)
    worse = check_baseline(run, baseline, (run.planted, baseline.planted), MACRO_F1, WORSE)
    slower = check_baseline(run, baseline, (run.planted, baseline.planted), MACRO_F1, EQUAL)
    findings = [check_fit(run, baseline, WORSE), check_folds(run, run.planted, MACRO_F1, 1), worse, slower]
    steps = [found(finding)[1] for finding in findings]
    assert not any(map(suggested, steps))
    assert "another --seed" in steps[1] and steps[2] == steps[3] == "Take tfidf-1."


def test_a_run_better_than_the_baseline_and_one_that_is_as_good_and_faster_are_not(fitted: runs.Run) -> None:
    assert compared_with_baseline(fitted, 0.9, 5.0) is None
    assert compared_with_baseline(fitted, 0.8, 0.05) is None


def check_all(selected: Sequence[runs.Run]) -> list[Check]:
    return list(check_runs(selected, {run.name: run.predictions() for run in selected}, {}, MACRO_F1))


def test_a_baseline_that_is_missing_comes_with_the_command_that_fits_it(fitted: runs.Run, tmp_path: Path) -> None:
    (check,) = [check for check in check_all([fitted]) if check.name == "baseline"]
    assert check.run == "" and check.next_step == f"Fit it: `embedonce fit-head tfidf {documents_of(fitted)}`."
    svm = replace(fitted.record, head="tfidf", hyperparameters={"kind": "svm"})
    assert find_baseline([fitted], MACRO_F1) is None
    assert find_baseline([fitted, replace(fitted, record=svm)], MACRO_F1) is not None
    assert find_baseline([fitted, replace(fitted, record=replace(svm, documents_hash="other"))], MACRO_F1) is None
    assert find_baseline([fitted, replace(fitted, record=replace(svm, parent="other"))], MACRO_F1) is None


def test_the_baseline_is_the_best_by_the_ranking_metric_that_can_be_read(fitted: runs.Run, tmp_path: Path) -> None:
    folder = shutil.copytree(fitted.folder, tmp_path / fitted.name)
    damaged = shutil.copytree(fitted.folder, tmp_path / "tfidf-damaged")
    content = json.loads((damaged / "run.json").read_text())
    content |= {"head": "tfidf", "hyperparameters": {"kind": "svm"}}
    (damaged / "run.json").write_text(json.dumps(content))
    run = runs.load(folder)
    assert found_name(find_baseline([run], MACRO_F1)) == damaged.name
    (damaged / "predictions.csv").write_text("")
    assert find_baseline([run], MACRO_F1) is None
    losses = {"one": 0.5, "other": 0.1}
    svms = [
        make_run(
            fitted,
            name=name,
            head="tfidf",
            hyperparameters={"kind": "svm"},
            cards={"out_of_fold": card(3, log_loss=ConfidenceInterval(loss, loss, loss))},
        )
        for name, loss in losses.items()
    ]
    assert found_name(find_baseline(svms, METRICS["log-loss"])) == "other"


def found_name(run: runs.Run | None) -> str:
    assert run is not None
    return run.name


def test_the_baseline_is_compared_by_the_metric_that_ranks(fitted: runs.Run) -> None:
    truth = np.random.default_rng(0).integers(3, size=300)
    cards = {"out_of_fold": card(300, log_loss=EQUAL)}
    svm: dict[str, Any] = {"head": "tfidf", "hyperparameters": {"kind": "svm"}}
    baseline = make_run(fitted, truth, name="tfidf-1", cards=cards, **svm)
    run = make_run(fitted, truth, np.where(np.arange(300) < 150, truth, (truth + 1) % 3), cards=cards)
    predictions, differences = {each.name: each.planted for each in (baseline, run)}, {run.name: WORSE}
    for metric, value in ((METRICS["log-loss"], "log loss 0.050 worse"), (MACRO_F1, "macro-F1 0.050 worse")):
        checks = check_runs([baseline, run], predictions, differences, metric)
        (check,) = [check for check in checks if check.name == "baseline"]
        assert check.sentence.startswith("It is worse than the baseline") and value in check.sentence
    assert "confidence interval 0.070 worse to 0.030 worse" in check.sentence


def test_what_is_about_a_head_is_reported_once_for_all_decisions_on_its_scores(fitted: runs.Run) -> None:
    search = [SearchedRange("temperature", 10.0, 0.1, 10.0, True, 0.032, 32.0).to_json()]
    parent = make_run(fitted, name=fitted.name, search=search)
    of_parent: dict[str, Any] = {"parent": fitted.name, "parent_scores": fitted.files["scores.npy"]}
    decided = make_run(fitted, name="decided-1", search=search, **of_parent)
    other = make_run(fitted, name="other-1", search=search)
    selected = [decided, parent, other]
    checks = check_runs(selected, {run.name: run.planted for run in selected}, {}, MACRO_F1)
    assert [check.run for check in checks if check.name == "search"] == ["decided-1", "other-1"]


def test_undecided_documents_do_not_make_a_run_unstable(fitted: runs.Run) -> None:
    rows, folds = np.arange(1000), np.repeat(np.arange(5, dtype=np.int32), 200)
    truth = rows % 3
    predicted = np.where(rows % 10 == 0, (truth + 1) % 3, truth)
    predicted[(folds == 2) & (rows // 10 % 2 == 0)] = -1
    run = make_run(fitted, truth, predicted, folds=folds)
    assert check_folds(run, run.planted, MACRO_F1, 1) is None
    undecided = make_run(fitted, truth, np.full(1000, -1), folds=folds)
    assert check_folds(undecided, undecided.planted, MACRO_F1, 1) is None


def test_a_comparison_has_its_checks_in_json_and_in_the_terminal(
    fitted: runs.Run, embedonce: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [check.name for check in compare([fitted]).checks] == ["baseline"]
    monkeypatch.setenv("COLUMNS", "120")
    content = json.loads(embedonce("compare", "--runs", fitted.folder.parent, "--json").out)
    assert content["checks"][0]["next_step"].startswith("Fit it: `embedonce fit-head tfidf")
    shown = embedonce("compare", "--runs", fitted.folder.parent)
    assert "There is no baseline" in " ".join((shown.out + shown.err).split())


def test_the_baseline_is_compared_by_the_metric_of_probabilities_that_ranks(fitted: runs.Run) -> None:
    random, folds = np.random.default_rng(0), np.zeros(300, dtype=np.int64)
    truth, predicted = simulate(random, np.array([0.8]), folds)
    unsure = make_run(fitted, truth, predicted, predict_milliseconds=5.0)
    scores = (unsure.planted.scores / 9).astype(np.float32)
    unsure = replace(unsure, planted=replace(unsure.planted, scores=scores))
    sure = make_run(fitted, truth, predicted, name="tfidf-1", head="tfidf", predict_milliseconds=0.1)
    assert check_baseline(unsure, sure, (unsure.planted, sure.planted), METRICS["log-loss"]) is None  # it is better
    sentence, _ = found(check_baseline(unsure, sure, (sure.planted, unsure.planted), METRICS["log-loss"]))
    assert sentence.startswith("It is worse than the baseline")


def test_runs_with_the_same_fault_share_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check(f"mlp-{row}", "fit", "It overfits", f"It overfits: it gets {row}% right.", "Search.") for row in range(3)
    ]
    checks.append(Check("mlp-0", "views", "It does not need cls", "It does not need cls (0.1).", "Leave it out."))
    show_sentences(cast(Any, SimpleNamespace(notes=(), checks=checks)))
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("  - ") for line in lines[1:]] == [
        "mlp-0: It overfits: it gets 0% right. Search.",
        "mlp-1 and mlp-2: The same; `embedonce compare --json` has the numbers.",
        "mlp-0: It does not need cls (0.1). Leave it out.",
    ]


def test_long_marks_of_a_run_leave_room_for_its_metrics_in_80_columns(
    fitted: runs.Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    comparison = compare([fitted])
    mark = "84.6% decided, 93.1% of these correctly"
    (row,) = comparison.rows
    micro_f1 = ConfidenceInterval(0.5, 0.4, 0.6)  # as if another run left documents undecided
    marked = replace(comparison, rows=(replace(row, run="linear-2e1320e8-7cb4dbc7", marks=(mark,), micro_f1=micro_f1),))
    show_comparison(marked, as_json=False)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
