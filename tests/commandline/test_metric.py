"""`--metric` of compare, curve and sweep with labels that are paths; a metric that labels lack is one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.taxonomy import Taxonomy
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.metrics import METRICS
from stages.fitting.plan import FitPlan, load_planned_task
from stages.stores import open_store
from stages.sweep.space import SearchSpace
from stages.sweep.trial_scoring import score_trial
from tests.conftest import Run
from tests.small_store import blobs, make_store

PATHS = ["art/film", "art/music", "sport/golf", "sport/hockey"]
HIERARCHICAL = {"hf1", "macro_hf1", "lca_f1", "wu_palmer"}


@pytest.fixture
def paths(tmp_path: Path) -> Path:
    taxonomy = Taxonomy.from_separator(PATHS, "/")
    make_store(tmp_path / "stores" / "paths", *blobs(PATHS, documents=80), kind="path", taxonomy=taxonomy)
    return tmp_path / "stores" / "paths"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    make_store(tmp_path / "stores" / "flat", *blobs(["a", "b"], documents=40))
    return tmp_path / "stores" / "flat"


def answer(embedonce: Run, *arguments: Any) -> Any:
    result = embedonce(*arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_compare_ranks_by_the_metric_and_has_leaves_levels_and_paths(embedonce: Run, paths: Path) -> None:
    for head in ("linear", "prototype"):
        assert embedonce("fit-head", head, "--folds", 2, "--store", paths).code == 0
    by_distance = answer(embedonce, "compare", "--metric", "tree-distance")
    assert by_distance["ranking_metric"] == "tree distance"
    first, second = by_distance["rows"]
    assert first["out_of_fold"]["value"] <= second["out_of_fold"]["value"]  # lower is better
    for row in (first, second):
        for part in ("validated", "tested"):
            assert 0 < row[part]["accuracy"]["value"] <= row[part]["hf1"]["value"] <= 1
            assert [len(row[part][each]) for each in ("level_accuracy", "level_documents")] == [2, 2]
            assert row[part]["consistency"]["value"] == 1
        assert row["out_of_fold"] == row["validated"]["tree_distance"]
    by_hf1 = answer(embedonce, "compare", "--metric", "hf1")
    assert by_hf1["ranking_metric"] == "hF1"
    assert by_hf1["rows"][0]["out_of_fold"] == by_hf1["rows"][0]["validated"]["hf1"]
    assert embedonce("compare", "--metric", "hf1", "--html", "page.html").code == 0
    assert "out-of-fold hF1" in Path("page.html").read_text()


def test_runs_without_a_taxonomy_have_no_hierarchical_metric(embedonce: Run, flat: Path) -> None:
    (row,) = answer(embedonce, "fit-head", "linear", "--folds", 2, "--store", flat)["rows"]
    assert row["validated"] is row["tested"] is None
    refused = embedonce("compare", "--metric", "hf1")
    assert refused.code == 2
    assert f"--metric hf1 needs a taxonomy, and the labels of the run {row['run']} have none." in refused.err
    for command in (["curve", "linear"], ["sweep", "linear", "--trials", 2]):
        refused = embedonce(*command, "--metric", "hf1", "--store", flat)
        assert refused.code == 2 and "--metric hf1 needs a taxonomy, and the labels of made have none." in refused.err


def test_a_curve_of_paths_shows_hf1_and_draws_the_metric(embedonce: Run, paths: Path) -> None:
    fits = ("curve", "linear", "--sizes", "20,all", "--seeds", 1, "--store", paths)
    curves = answer(embedonce, *fits, "--metric", "wu-palmer", "--svg", "w.svg")
    assert all(point["accuracy"] <= point["hf1"] <= 1 for point in curves["points"])
    assert set(curves["summaries"][0]) >= HIERARCHICAL
    assert "Wu-Palmer similarity" in Path("w.svg").read_text()
    shown = embedonce(*fits, "--svg", "d.svg", "--html", "d.html").out
    assert "hF1" in shown and "Wu-Palmer" not in shown
    assert "hF1 over training documents" in Path("d.svg").read_text()
    assert "The hF1 on" in Path("d.html").read_text()


def test_a_sweep_of_paths_maximizes_hf1(embedonce: Run, paths: Path) -> None:
    (result,) = answer(embedonce, "sweep", "prototype", "--trials", 2, "--folds", 2, "--store", paths)["sweeps"]
    assert result["metric"] == "hf1" and 0 < result["best"]["score"] <= 1


def test_another_metric_of_a_sweep_scores_other_trials(paths: Path) -> None:
    store = open_store(paths, paths)
    table, plan = store.corpus("made"), FitPlan(head=PrototypeHead(), folds=2)
    task = load_planned_task(store, table, plan)
    spaces = [SearchSpace.of(plan.for_task(task), metric=METRICS[name]) for name in ("hf1", "accuracy")]
    by_paths, by_labels = (score_trial(space, task, space.defaults, lambda *_: None) for space in spaces)
    assert 0 < by_labels < by_paths < 1
    assert spaces[0].identity(store, task) != spaces[1].identity(store, task)


def test_a_curve_and_a_sweep_take_metrics_of_rankings_and_of_one_label(embedonce: Run, flat: Path) -> None:
    fits = ("curve", "linear", "--sizes", "all", "--seeds", 1, "--store", flat)
    (point,) = answer(embedonce, *fits, "--metric", "auroc")["points"]
    assert point["auroc"] == pytest.approx(1, abs=0.2) and -1 <= point["mcc"] <= 1 and point["samples_f1"] is None
    shown = embedonce(*fits, "--metric", "mcc").out
    assert "MCC" in shown and "AUROC" not in shown
    store = open_store(flat, flat)
    table, plan = store.corpus("made"), FitPlan(head=PrototypeHead(), folds=2)
    task = load_planned_task(store, table, plan)
    space = SearchSpace.of(plan.for_task(task), metric=METRICS["average-precision"])
    assert 0.5 < score_trial(space, task, space.defaults, lambda *_: None) <= 1
    refused = embedonce("sweep", "prototype", "--store", flat, "--metric", "samples-f1")
    assert refused.code == 2 and "--metric samples-f1 is for multi-label runs, and made has one label" in refused.err
    assert embedonce("sweep", "prototype", "--store", flat, "--metric", "log-loss").code == 2  # lower is better
