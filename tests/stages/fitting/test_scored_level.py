"""Runs that are scored at a level of the taxonomy, taught by the labels below it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import CallError
from data.target import Target
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.stacking import StackingHead
from heads.classifiers.supcon import SupConHead
from heads.core.head import Head
from heads.testing import training_of
from stages.comparing.table import compare
from stages.curve import CurvePlan, fit_curves
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan, configure_head
from stages.fitting.task import load_task
from tests.small_store import blobs, make_store

LABELS = ("rec/autos", "rec/sport", "sci/med", "sci/space", "misc")
TREE = Taxonomy.from_separator(LABELS, "/")
QUICK = training_of(lr=0.02, epochs=2, min_steps=10, device="cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, CorpusTable]:
    folder = tmp_path_factory.mktemp("level") / "store"
    return make_store(folder, *blobs(LABELS, documents=100), kind="path", taxonomy=TREE)


def plan_of(head: Head, level: int | None = 1) -> FitPlan:
    return FitPlan(head=head, folds=2, scored_level=level)


@pytest.mark.parametrize(
    ("head", "note"),
    [
        (MLPHead(hidden=8, training=QUICK), "mlp also learned from 5 detailed labels."),
        (HierarchicalHead(hidden=8, training=QUICK), "hierarchical also learned from 5 detailed labels."),
        (CascadeHead(), "cascade also learned from 5 detailed labels."),
        (SupConHead(hidden=8, steps=5, device="cpu"), "supcon also learned from 5 detailed labels."),
        (LinearHead(), "linear learned the scored labels alone, without the detailed ones."),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_run_scores_a_level_and_says_what_taught_it(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path, head: Head, note: str
) -> None:
    run, _ = fit_head(*dataset, plan_of(head), tmp_path)
    assert tuple(run.record.labels) == ("misc", "rec", "sci")
    assert (run.record.scored_level, run.record.kind) == (1, "single")
    assert "Scored at level 1 of the taxonomy (--scored-level): 3 labels instead of 5." in run.record.corpus_notes
    assert note in run.record.run_notes
    assert run.scorecards["test"].accuracy.value > 0.8
    assert run.predictions().scores.shape == (100, 3)
    assert run.head().classes_.tolist() == ["misc", "rec", "sci"]


def test_the_level_decides_the_run_and_is_shown(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    made = [fit_head(*dataset, plan_of(LinearHead(), level), tmp_path)[0] for level in (None, 1)]
    assert made[0].name != made[1].name
    comparison = compare(made)
    assert {row.marks for row in comparison.rows} == {(), ("level 1",)}
    assert any("scored at different levels of the taxonomy" in note for note in comparison.notes)


def test_a_stacking_ensemble_reads_runs_of_its_own_level(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    made = [fit_head(*dataset, plan_of(LinearHead(C=C)), tmp_path)[0] for C in (0.1, 1.0)]
    stack, _ = fit_head(*dataset, plan_of(StackingHead()), tmp_path)
    assert stack.record.base_runs == [run.name for run in sorted(made, key=lambda run: run.name)]
    with pytest.raises(CallError, match="scored at another level of the taxonomy, so use the same --scored-level"):
        plan = replace(plan_of(StackingHead(), None), base_runs=[run.name for run in made])
        fit_head(*dataset, plan, tmp_path)


def test_curves_are_scored_at_the_level(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    plan = CurvePlan(heads=[CascadeHead()], sizes=(40,), seeds=1, scored_level=1)
    assert fit_curves(*dataset, plan, tmp_path).labels == 3
    assert fit_curves(*dataset, replace(plan, scored_level=None), tmp_path).labels == 5


def test_an_early_stopping_network_is_validated_on_the_level(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    store, table = dataset
    splits = ["validation" if split == "train" and row % 3 == 0 else split for row, split in enumerate(table.splits)]
    plan = replace(plan_of(HierarchicalHead(hidden=8, training=QUICK)), validate_on="split")
    run, _ = fit_head(store, replace(table, splits=splits), plan, tmp_path)
    assert run.scorecards["validation"].accuracy.value > 0.6  # 25 documents


def test_the_first_label_of_a_cascade_is_not_one_of_the_detailed_labels(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    with pytest.raises(CallError, match="first names a scored label, but with --scored-level cascade decides among"):
        fit_head(*dataset, plan_of(CascadeHead(first="rec")), tmp_path)


def test_other_parents_of_the_detailed_labels_are_another_run(dataset: tuple[FeatureStore, CorpusTable]) -> None:
    store, table = dataset
    other = Taxonomy.from_parents({**TREE.parents, "misc": ("rec",)})
    head = MLPHead()
    hashes = [
        load_task(store, replace(table, taxonomy=taxonomy), scored_level=1).input_hashes(head)
        for taxonomy in (TREE, other)
    ]
    assert hashes[0] != hashes[1]


def test_both_splits_have_labels_of_the_level(dataset: tuple[FeatureStore, CorpusTable]) -> None:
    task = load_task(*dataset, scored_level=1)
    assert task.labels == task.test_target.labels == ("misc", "rec", "sci")
    assert task.target.detailed is not None and np.array_equal(task.target.detailed.labels, sorted(LABELS))


def test_a_head_receives_the_tree_of_one_label_and_not_of_multilabel_documents() -> None:
    documents = [("rec/autos",), ("sci/med",), ("misc",)]
    single, multilabel = (Target.from_labels(documents, kind, TREE) for kind in ("path", "multilabel"))
    assert configure_head(SupConHead(), single).get_params()["tree"]["rec/autos"] == ["rec"]
    assert configure_head(SupConHead(), multilabel).get_params()["tree"] is None
