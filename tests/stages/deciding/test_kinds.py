"""Decided runs of every kind of labels and run: they repeat the parent's decision, and other commands take them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.documents import Document, Kind
from data.errors import CallError
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from heads.evaluation.decisions.label_sets import LabelSetRule
from stages.comparing.repeat_command import repeat_command
from stages.comparing.table import compare
from stages.deciding.decide import DecisionValues, decide
from stages.deciding.new_documents import NewDocuments
from stages.deciding.plan import DecisionPlan
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.fitting.stacking_inputs import build_scorer
from stages.interactive.run import Run as HeldRun
from stages.predict import Prediction
from tests.small_store import blobs, make_store

PATHS = ("rec/a", "rec/b", "sci/a", "sci/b")
LINEAR = FitPlan(head=LinearHead(), folds=2)
UNTUNED = DecisionPlan(tune=False)


def store_of(kind: Kind, folder: Path) -> tuple[FeatureStore, CorpusTable]:
    documents, vectors = blobs(PATHS if kind == "path" else ("1", "2", "3"), documents=80)
    if kind == "multilabel":
        documents = [also(each, "late") if row % 3 else each for row, each in enumerate(documents)]
    taxonomy = Taxonomy.from_separator(PATHS, "/") if kind == "path" else None
    return make_store(folder / "store", documents, vectors / 3, kind=kind, taxonomy=taxonomy)


def also(document: Document, label: str) -> Document:
    return replace(document, labels=(*(document.labels or ()), label))


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("multilabel", LINEAR),
        ("path", LINEAR),
        ("single", replace(LINEAR, order=("1", "2", "3"))),
        ("path", replace(LINEAR, scored_level=1)),
    ],
    ids=["multilabel", "path", "ordinal", "scored level"],
)
def test_a_run_of_any_kind_of_labels_is_decided_and_scored(kind: Kind, plan: FitPlan, tmp_path: Path) -> None:
    parent, _ = fit_head(*store_of(kind, tmp_path), plan, tmp_path / "runs")
    run = decide(parent, DecisionPlan(), final=True).run
    assert run.decision.to_json() == parent.decision.to_json()
    assert run.scorecards == parent.scorecards
    np.testing.assert_array_equal(run.predictions().predicted, parent.predictions().predicted)
    values = DecisionValues.of(run)
    assert values.metric == parent.decision.evidence.metric and values.test is not None
    assert compare([parent, run]).rows[1].parent == parent.name


def test_a_run_that_was_validated_on_the_validation_split_is_decided_on_it(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=90)
    split = [replace(each, split="validation") if row % 3 == 0 else each for row, each in enumerate(documents)]
    store, table = make_store(tmp_path / "store", split, vectors)
    parent, _ = fit_head(store, table, replace(LINEAR, validate_on="split"), tmp_path / "runs")
    run = decide(parent, DecisionPlan(), final=True).run
    assert run.scorecards == parent.scorecards and set(run.scorecards) == {"validation", "test"}


def base_runs(folder: Path) -> tuple[FeatureStore, CorpusTable, list[Run]]:
    store, table = store_of("single", folder)
    plans = [replace(LINEAR, head=head) for head in (LinearHead(), PrototypeHead())]
    return store, table, [fit_head(store, table, plan, folder / "runs")[0] for plan in plans]


def test_an_ensemble_is_decided_and_scores_new_features(tmp_path: Path) -> None:
    store, table, _ = base_runs(tmp_path)
    parent, _ = fit_head(store, table, replace(LINEAR, head=StackingHead()), tmp_path / "runs")
    run = decide(parent, UNTUNED, final=True).run
    assert run.scorecards["test"].accuracy.value > 0.5
    np.testing.assert_array_equal(build_scorer(run)(store.shards()), build_scorer(parent)(store.shards()))


def test_an_ensemble_reads_the_scores_of_the_parent_once(tmp_path: Path) -> None:
    store, table, (linear, prototype) = base_runs(tmp_path)
    decided = decide(linear, UNTUNED).run
    stack = replace(LINEAR, head=StackingHead())
    by_default, _ = fit_head(store, table, stack, tmp_path / "runs")
    names = [decided.name, linear.name, prototype.name]
    named, _ = fit_head(store, table, replace(stack, base_runs=names), tmp_path / "runs")
    assert named.name == by_default.name and named.record.base_runs == sorted([linear.name, prototype.name])


def test_a_comparison_says_how_many_decisions_were_scored_before(tmp_path: Path) -> None:
    (parent, _) = fit_head(*store_of("single", tmp_path), LINEAR, tmp_path / "runs")
    first = decide(parent, DecisionPlan(), final=True).run
    second = decide(parent, UNTUNED).run
    assert {row.run: row.accuracy for row in compare([first, second]).rows}[second.name] is None
    second = decide(parent, UNTUNED, final=True).run
    comparison = compare([parent, first, second])
    rows = {row.run: row for row in comparison.rows}
    assert rows[second.name].decisions_scored_before == 1
    assert rows[second.name].marks == ("1 decision tested before",)
    assert rows[first.name].marks == rows[parent.name].marks == ()
    assert (
        f"2 decisions on the scores of {parent.name} were scored on the test split: the best of their test metrics is "
        "too high."
    ) in comparison.notes


def test_a_python_user_decides_and_scores(tmp_path: Path) -> None:
    parent, _ = fit_head(*store_of("single", tmp_path), LINEAR, tmp_path / "runs")
    decided = HeldRun(parent).decide(tune=False)
    assert decided.stored.record.parent == parent.name
    with pytest.raises(Exception, match=r"was not scored on the test split; decide\(final=True\) does so, once\."):
        _ = decided.test
    final = decided.decide(final=True)
    assert final.name == decided.name and final.test.documents == 20
    assert decided.out_of_fold == final.out_of_fold  # an object from before stays valid


@pytest.mark.parametrize(
    ("option", "message"), [({"sets_per_label": True}, "`label_sets`"), ({"false_alarms": 0.1}, "`other`")]
)
def test_options_that_go_with_another_are_refused_without_it_in_python(
    tmp_path: Path, option: dict[str, Any], message: str
) -> None:
    parent, _ = fit_head(*store_of("single", tmp_path), LINEAR, tmp_path / "runs")
    with pytest.raises(CallError, match=f"Give {message} too"):
        HeldRun(parent).decide(**option)


def test_undecided_documents_and_label_sets_are_values_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, _ = fit_head(*store_of("single", tmp_path), LINEAR, tmp_path / "runs")
    run, shares = HeldRun(parent), np.array([0.2, 0.2, 0.6], dtype=np.float32)
    with pytest.raises(CallError, match="makes no label sets"):
        run.predict_sets(["text"])
    rows = [Prediction("0", "", (), shares, abstained="low confidence", label_set=("1", "3"))]
    rows.append(Prediction("1", "3", ("3",), shares, label_set=()))
    monkeypatch.setattr(HeldRun, "_predicted", lambda *_, **__: rows)
    assert run.predict(["a", "b"]).tolist() == [None, "3"]
    parent.__dict__["decision"] = replace(parent.decision, label_sets=LabelSetRule.__new__(LabelSetRule))
    assert run.predict_sets(["a", "b"]).tolist() == [[True, False, True], [False, False, False]]


def test_the_next_step_of_a_check_repeats_the_fit_of_the_parent(tmp_path: Path) -> None:
    command = "embedonce fit-head linear --folds 2"
    parent, _ = fit_head(*store_of("single", tmp_path), LINEAR, tmp_path / "runs", command=command)
    plan = DecisionPlan(rule=DecisionOptions(objective="mcc"))
    run = decide(parent, plan, command="embedonce decide linear --objective mcc").run
    assert "--objective" not in repeat_command(run, "fit-head") and "--folds 2" in repeat_command(run, "fit-head")


def test_a_label_shift_in_python_leaves_the_test_value_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, vectors = blobs(["1", "2"], documents=400)
    noisy = vectors + np.random.default_rng(1).normal(scale=3, size=vectors.shape)
    parent, _ = fit_head(*make_store(tmp_path / "store", documents, noisy), LINEAR, tmp_path / "runs")
    rows = parent.predictions().of("train")
    mostly_one = np.concatenate([np.flatnonzero(rows.truth == 0), np.flatnonzero(rows.truth == 1)[:5]])
    monkeypatch.setattr(HeldRun, "_encoders", ())
    scored = NewDocuments("unlabelled", np.asarray(rows.scores[mostly_one]))
    monkeypatch.setattr("stages.predict.score_new_documents", lambda *_: scored)
    texts = ["text"] * 50
    shifted = HeldRun(parent).decide(tune=False, unlabelled=texts, final=True)
    shift = shifted.stored.decision.label_shift
    assert shift is not None and shift.frequencies[0] > 0.8 > shift.training[0]
    scores = parent.predictions().of("test").scores
    assert not np.array_equal(
        shifted.stored.decision.decide(scores), shifted.stored.decision.without_shift.decide(scores)
    )
    plain = HeldRun(parent).decide(tune=False, final=True)
    assert DecisionValues.of(shifted.stored).test == DecisionValues.of(plain.stored).test
    assert shifted.test.accuracy == plain.test.accuracy
