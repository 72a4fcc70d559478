"""Runs whose decision rule is chosen for an objective of the taxonomy."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.evaluation.decisions.hierarchical import BestExpectedDistance
from stages.comparing.table import compare
from stages.curve import CurvePlan, fit_curves
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import load
from tests.conftest import Run
from tests.small_store import blobs, make_store

LABELS = tuple(f"{parent}/{leaf}" for parent in ("rec", "sci") for leaf in "abcd")
TREE = Taxonomy.from_separator(LABELS, "/")
PLAN = FitPlan(head=LinearHead(), folds=2)


class Unfittable(LinearHead):
    """A head whose fit must never start."""

    def fit(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("fitted")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, CorpusTable]:
    documents, vectors = blobs(LABELS, documents=96)
    random = np.random.default_rng(0)
    for row in range(0, len(documents), 2):  # every other document has a random label below the same node
        (label,) = documents[row].labels or ("",)
        documents[row] = replace(documents[row], labels=(f"{label[:4]}{random.choice(list('abcd'))}",))
    folder = tmp_path_factory.mktemp("objective") / "store"
    return make_store(folder, documents, vectors, kind="path", taxonomy=TREE)


def plan_for(objective: str | None, *, labels_only: bool = False, tune: bool = True) -> FitPlan:
    return replace(PLAN, tune=tune, decision=DecisionOptions(objective=objective, labels_only=labels_only))


def test_each_objective_makes_a_run_of_its_own_and_hf1_is_that_of_paths(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    chosen: list[str | None] = [None, "hf1", "distance", "macro-f1"]
    names = [fit_head(*dataset, plan_for(objective), tmp_path)[0].name for objective in chosen]
    assert names[0] == names[1] and len(set(names)) == 3
    records = [load(tmp_path / name).record for name in names]
    assert [record.objective for record in records] == ["hf1", "hf1", "distance", "macro-f1"]


def test_a_prediction_at_an_inner_node_is_kept_and_compared(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    run, _ = fit_head(*dataset, plan_for("distance", tune=False), tmp_path)
    assert isinstance(run.decision.rule, BestExpectedDistance)
    loaded = load(run.folder)
    predicted = loaded.predictions().predicted
    assert (predicted >= len(LABELS)).any()
    assert {loaded.record.node_names[code] for code in predicted[predicted >= len(LABELS)]} <= {"rec", "sci"}
    np.testing.assert_array_equal(loaded.decision.rule.decide(loaded.predictions().scores), predicted)
    assert compare([loaded]).rows[0].rule == "lowest expected distance"


def test_labels_only_keeps_predictions_at_labels(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    run, _ = fit_head(*dataset, plan_for("distance", labels_only=True, tune=False), tmp_path)
    assert run.record.labels_only and (run.predictions().predicted < len(LABELS)).all()


@pytest.mark.parametrize("kind", ["fit", "curve"])
def test_an_objective_that_does_not_fit_is_refused_before_anything_is_fitted(tmp_path: Path, kind: str) -> None:
    flat = make_store(tmp_path / "store", *blobs(["a", "b"], documents=20))
    head, decision = Unfittable(), DecisionOptions(objective="hf1")
    with pytest.raises(CallError, match="--objective hf1 needs a taxonomy, and these labels have none"):
        if kind == "fit":
            fit_head(*flat, FitPlan(head=head, folds=2, decision=decision), tmp_path / "runs")
        else:
            fit_curves(*flat, CurvePlan(heads=[head], decision=decision), tmp_path / "runs")


def test_flat_labels_keep_their_runs_whatever_names_macro_f1(tmp_path: Path) -> None:
    flat = make_store(tmp_path / "store", *blobs(["a", "b"], documents=20))
    first, _ = fit_head(*flat, PLAN, tmp_path / "runs")
    same, is_new = fit_head(*flat, plan_for("macro-f1"), tmp_path / "runs")
    assert (same.name, is_new) == (first.name, False)


def test_a_curve_is_scored_with_the_objective(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    plan = CurvePlan(heads=[LinearHead()], sizes=(40,), seeds=1)
    points = [
        fit_curves(*dataset, replace(plan, decision=DecisionOptions(objective=objective)), tmp_path).points[0]
        for objective in ("macro-f1", "distance")
    ]
    assert points[0].metrics["micro_f1"] != points[1].metrics["micro_f1"]


def test_commands_take_the_objective(embedonce: Run, dataset: tuple[FeatureStore, CorpusTable]) -> None:
    at = ("--store", dataset[0].folder, "--folds", 2, "--no-test")
    fitted = embedonce("fit-head", "linear", "--objective", "wu-palmer", "--labels-only", *at)
    assert fitted.code == 0, fitted.err
    searched = embedonce("sweep", "prototype", "--trials", 1, "--objective", "distance", *at)
    assert searched.code == 0, searched.err
    records = [load(folder).record for folder in Path("runs").glob("*-*") if (folder / "decision.json").exists()]
    assert {(one.head, one.objective, one.labels_only) for one in records} == {
        ("linear", "wu-palmer", True),
        ("prototype", "distance", False),
    }
    refused = embedonce("fit-head", "linear", "--objective", "hf2", *at)
    assert refused.code == 2 and "there is no 'hf2'. Did you mean 'hf1'?" in refused.err


def test_the_python_interface_takes_the_objective(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    import embedonce as package

    corpus = package.load_corpus(dataset[0].folder)
    run = package.fit_head("linear", corpus, folds=2, objective="distance", runs=tmp_path, progress=False)
    assert load(Path(run.folder)).record.objective == "distance"


def test_explain_shows_the_most_probable_label_below_a_predicted_node(
    embedonce: Run, dataset: tuple[FeatureStore, CorpusTable]
) -> None:
    run, _ = fit_head(*dataset, plan_for("distance", tune=False), Path("runs"))
    predictions = run.predictions()
    row = int(np.flatnonzero(predictions.predicted >= len(LABELS))[0])
    node = run.record.node_names[predictions.predicted[row]]
    shown = embedonce(
        "explain", run.name, predictions.ids[row], "--store", dataset[0].folder, "--runs", "runs", "--json"
    )
    assert shown.code == 0, shown.err
    (document,) = json.loads(shown.out)["documents"]
    below = {label: probability for label, probability in document["probabilities"].items() if label.startswith(node)}
    assert document["predicted_labels"] == [node] and document["label"] == max(below, key=below.__getitem__)
    assert f"The prediction '{node}' is above labels and no label itself" in document["notes"][0]
