"""Decided runs with undecided documents and label sets: what they store, what is scored, and what new text gets."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import BadData, CallError, RecipeMismatch, RunDamaged
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from heads.evaluation.decisions import ABSTAINED, OTHER
from heads.evaluation.decisions.abstention import AbstentionOptions
from heads.evaluation.decisions.label_sets import LabelSetOptions
from stages.comparing.table import compare
from stages.deciding.decide import check_request, decide
from stages.deciding.features import RunFeatures, compared_vectors
from stages.deciding.plan import DecisionPlan
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.predictions import ProbabilityColumns
from stages.fitting.runs import Run
from stages.predict import Prediction, write_predictions
from tests.small_store import blobs, make_store

COVERAGE = DecisionPlan(abstention=AbstentionOptions(coverage=0.8))
OTHERS = DecisionPlan(abstention=AbstentionOptions(other=True, false_alarms=0.1))
SETS = DecisionPlan(label_sets=LabelSetOptions(level=0.95, score="aps"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and a run of labels that overlap."""
    folder = tmp_path_factory.mktemp("undecided")
    documents, vectors = blobs(["a", "b", "c", "d"], documents=240)
    store, table = make_store(folder / "store", documents, vectors / 3)
    fit_head(store, table, FitPlan(head=LinearHead(), folds=2), folder / "runs")
    return folder


@pytest.fixture
def parent(template: Path, tmp_path: Path) -> Run:
    """The run, in a folder of the test's own."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return runs.runs_in(tmp_path / "runs")[0]


def features_of(run: Run) -> RunFeatures:
    store = FeatureStore.open(run.folder.parent.parent / "store")
    return RunFeatures.of(run, store, store.corpus(run.record.corpus))


def test_a_requested_coverage_leaves_documents_undecided_out_of_fold_and_in_the_test_split(parent: Run) -> None:
    run = decide(parent, COVERAGE, final=True).run
    for split in ("train", "test"):
        rows, card = run.predictions().of(split), run.scorecards["out_of_fold" if split == "train" else "test"]
        decided = rows.predicted != ABSTAINED
        assert card.decided_share is not None and card.decided_share.value == pytest.approx(decided.mean())
        assert card.selective_accuracy is not None
        assert card.selective_accuracy.value == pytest.approx((rows.predicted == rows.truth)[decided].mean())
        assert card.accuracy.value < card.selective_accuracy.value
    assert run.predictions().of("train").predicted.tolist().count(ABSTAINED) == pytest.approx(0.2 * 168, abs=6)
    # the same decision is read back, and makes the stored test predictions again
    test, scores = run.predictions().of("test"), parent.predictions().of("test").scores
    np.testing.assert_array_equal(runs.load(run.folder).decision.decide(scores), test.predicted)


def test_out_of_fold_label_sets_are_those_that_were_measured(parent: Run) -> None:
    run = decide(parent, SETS, final=True).run
    rule = run.decision.label_sets
    assert rule is not None and rule.evidence is not None
    rows, test = run.predictions().of("train"), run.predictions().of("test")
    assert rows.label_sets is not None and test.label_sets is not None
    assert rows.label_sets[np.arange(len(rows.truth)), rows.truth].mean() == pytest.approx(rule.evidence.coverage.value)
    np.testing.assert_array_equal(test.label_sets, run.decision.sets(test.scores, test.ids))
    for split, sets in (("out_of_fold", rows), ("test", test)):
        metrics = run.scorecards[split].label_sets
        assert metrics is not None and sets.label_sets is not None
        assert metrics.mean_size.value == pytest.approx(sets.label_sets.sum(axis=1).mean())


def test_documents_unlike_training_are_found_by_the_features_of_the_run(parent: Run) -> None:
    run = decide(parent, OTHERS, final=True, open_features=features_of).run
    rows, rule = run.predictions(), run.decision.abstention
    assert rule is not None and rule.other is not None and rule.other.view == "segments"
    others = rows.predicted == OTHER
    assert 0 < others[np.array(rows.splits) == "train"].mean() < 0.2
    read, features = runs.load(run.folder).decision, features_of(run)
    vectors = features.vectors(rows.of("test").ids, "segments")
    np.testing.assert_array_equal(read.decide(rows.of("test").scores, vectors), rows.of("test").predicted)
    shard = features.store.shards()[0]
    assert compared_vectors(parent, shard) is None
    assert compared_vectors(run, shard) is not None
    assert (read.decide(rows.of("test").scores, -5 * vectors) == OTHER).any()
    (run.folder / "training_distance.safetensors").write_bytes(b"nonsense")
    with pytest.raises(RunDamaged, match="was changed"):
        _ = runs.load(run.folder).decision


def test_features_of_other_documents_are_refused(parent: Run, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="--other needs the features of"):
        decide(parent, OTHERS)
    features = features_of(parent)
    changed = replace(features.table, labels=[("a",), *features.table.labels[1:]])
    with pytest.raises(BadData, match="have changed since"):
        RunFeatures.of(parent, features.store, changed)
    documents, vectors = blobs(["a", "b"], documents=10)
    other: tuple[FeatureStore, CorpusTable] = make_store(tmp_path / "other", documents, vectors, weights="0" * 64)
    with pytest.raises(RecipeMismatch, match="Name its store with --store"):
        RunFeatures.of(parent, *other)
    several = replace(parent, record=replace(parent.record, further_recipes=[parent.record.recipe]))
    with pytest.raises(CallError, match="reads several stores"):
        RunFeatures.of(several, features.store, features.table)


def test_a_comparison_says_what_is_left_undecided(parent: Run) -> None:
    run = decide(parent, replace(SETS, abstention=COVERAGE.abstention)).run
    marks = {row.run: row.marks for row in compare([parent, run]).rows}
    card = run.scorecards["out_of_fold"]
    assert marks[parent.name] == () and card.decided_share is not None and card.label_sets is not None
    decided, sets = marks[run.name]
    assert decided.startswith(f"{card.decided_share.value:.1%} decided, ")
    assert sets == f"sets of {card.label_sets.mean_size.value:.2f} labels cover {card.label_sets.coverage.value:.1%}"


def test_each_request_is_a_run_of_its_own(parent: Run) -> None:
    plans = (DecisionPlan(), COVERAGE, SETS, replace(SETS, abstention=COVERAGE.abstention))
    names = [decide(parent, plan).run.name for plan in plans]
    assert len(set(names)) == 4
    assert not decide(parent, SETS).is_new


def test_new_text_has_a_reason_and_a_set(parent: Run) -> None:
    run, out = decide(parent, replace(SETS, abstention=COVERAGE.abstention)).run, io.StringIO()
    probabilities: NDArray[np.float32] = np.full(4, 0.25, dtype=np.float32)
    rows = [
        Prediction("1", "a", ("a",), probabilities, label_set=("a", "b")),
        Prediction("2", "", (), probabilities, abstained="low confidence", label_set=()),
        Prediction("3"),
    ]
    columns = ProbabilityColumns(run.record.labels)
    write_predictions(rows, columns, out, as_json=False, decision=run.decision)
    table = list(csv.reader(io.StringIO(out.getvalue())))
    assert table[0][:5] == ["id", "prediction", "abstained", "label_set", "set_size"]
    assert [row[:5] for row in table[1:3]] == [
        ["1", "a", "", '["a", "b"]', "2"],
        ["2", "", "low confidence", "[]", "0"],
    ]
    assert len({len(row) for row in table}) == 1
    write_predictions(rows[:1], columns, out := io.StringIO(), as_json=True, decision=run.decision)
    assert json.loads(out.getvalue()) | {"probabilities": None} == {
        "id": "1",
        "labels": ["a"],
        "abstained": "",
        "label_set": ["a", "b"],
        "set_size": 2,
        "probabilities": None,
    }


def test_multilabel_runs_refuse_both(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], documents=60)
    store, table = make_store(tmp_path / "store", documents, vectors, kind="multilabel")
    run, _ = fit_head(store, table, FitPlan(head=LinearHead(), folds=2, tune=False), tmp_path / "runs")
    with pytest.raises(CallError, match="cannot be left undecided"):
        decide(run, replace(OTHERS, tune=False))
    for plan in (OTHERS, SETS):  # before new documents are encoded
        with pytest.raises(CallError, match="any number of labels"):
            check_request(run, plan, final=False, has_shift=False)
    with pytest.raises(CallError, match="Label sets are for documents with one label"):
        decide(run, replace(SETS, tune=False))
    assert len(runs.runs_in(tmp_path / "runs")) == 1


ALL = DecisionPlan(
    abstention=AbstentionOptions(coverage=0.8, other=True, false_alarms=0.1), label_sets=LabelSetOptions(level=0.9)
)


@pytest.mark.parametrize("kind", ["path", "ordinal", "validation split"])
def test_runs_of_other_kinds_have_both(kind: str, tmp_path: Path) -> None:
    names = ("rec/a", "rec/b", "sci/a", "sci/b") if kind == "path" else ("1", "2", "3", "4")
    documents, vectors = blobs(names, documents=160)
    if kind == "validation split":
        documents = [replace(each, split="validation") if row % 3 == 0 else each for row, each in enumerate(documents)]
    taxonomy = Taxonomy.from_separator(names, "/") if kind == "path" else None
    store, table = make_store(
        tmp_path / "store", documents, vectors / 4, kind="path" if kind == "path" else "single", taxonomy=taxonomy
    )
    plan = FitPlan(
        head=LinearHead(),
        folds=2,
        order=names if kind == "ordinal" else (),
        validate_on="split" if kind == "validation split" else "folds",
    )
    parent, _ = fit_head(store, table, plan, tmp_path / "runs")
    run = decide(parent, ALL, final=True, open_features=lambda run: RunFeatures.of(run, store, table)).run
    assert len(run.scorecards) == 2
    for card in run.scorecards.values():
        assert card.decided_share is not None and 0.5 < card.decided_share.value < 1
        assert card.label_sets is not None and card.label_sets.coverage.value > 0.8
    assert (runs.load(run.folder).predictions().predicted < 0).any()


def test_an_ensemble_compares_the_features_of_its_base_runs(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], documents=120)
    store, table = make_store(tmp_path / "store", documents, vectors / 4)
    for head in (LinearHead(), PrototypeHead()):
        fit_head(store, table, FitPlan(head=head, folds=2), tmp_path / "runs")
    parent, _ = fit_head(store, table, FitPlan(head=StackingHead(), folds=2), tmp_path / "runs")
    run = decide(parent, ALL, open_features=lambda run: RunFeatures.of(run, store, table)).run
    assert run.decision.training_distance is not None
    assert compared_vectors(run, store.shards()[0]) is not None
