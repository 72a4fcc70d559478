"""A run keeps its scores bit for bit, and its table names the most probable labels."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from data.target import TargetKind
from heads.classifiers.linear import LinearHead
from heads.evaluation.decisions import ABSTAINED, OTHER, Decision, Evidence, RuleComparison
from heads.evaluation.decisions.abstention import Abstention
from heads.evaluation.decisions.label_sets import LabelSetOptions, LabelSetRule
from heads.evaluation.decisions.rules import Argmax
from heads.evaluation.score_matrix import BLOCK_CELLS, scores_to_probabilities
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.predictions import Predictions, ProbabilityColumns, read_predictions, write_predictions
from tests.small_store import blobs, make_store

RANDOM = np.random.default_rng(0)


def many_predictions(documents: int, labels: int, *, multilabel: bool) -> Predictions:
    scores = RANDOM.normal(scale=9, size=(documents, labels)).astype(np.float32)
    codes = scores > 12 if multilabel else scores.argmax(axis=1)
    splits = ["test"] * (documents // 3) + ["train"] * (documents - documents // 3)
    return Predictions([f"d{row}" for row in range(documents)], splits, codes, codes, scores)


@pytest.mark.parametrize("kind", ["single", "multilabel"])
def test_scores_and_decisions_are_equal_before_and_after_saving(tmp_path: Path, kind: TargetKind) -> None:
    labels = [f"label {column}" for column in range(300)]
    written = many_predictions(30, 300, multilabel=kind == "multilabel")
    write_predictions(tmp_path, written, labels)
    predictions = read_predictions([tmp_path / "predictions.csv"], written.scores, labels, kind)
    np.testing.assert_array_equal(predictions.scores, written.scores)
    np.testing.assert_array_equal(predictions.predicted, written.predicted)
    np.testing.assert_array_equal(predictions.probabilities, written.probabilities)
    assert predictions.of("train").ids == written.ids[10:]
    assert predictions.of("test").scores.base is not None


def test_predicted_nodes_that_are_no_labels_survive_the_table(tmp_path: Path) -> None:
    labels, names = ["art/film", "art/music"], ["art/film", "art/music", "art"]
    truth, predicted = np.array([0, 1, 1]), np.array([2, 1, 2])
    written = Predictions(["1", "2", "3"], ["train"] * 3, truth, predicted, np.zeros((3, 2), dtype=np.float32))
    write_predictions(tmp_path, written, labels, names)
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1] == "1,train,art/film,art,0.5,0.5"
    read = read_predictions([tmp_path / "predictions.csv"], written.scores, labels, "path", names)
    np.testing.assert_array_equal(read.predicted, predicted)
    np.testing.assert_array_equal(read.truth, truth)


def test_the_rule_of_a_run_decides_its_saved_scores_as_before(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    run, _ = fit_head(store, table, FitPlan(head=LinearHead(), folds=2), tmp_path / "runs")
    test = run.predictions().of("test")
    np.testing.assert_array_equal(run.decision.rule.decide(test.scores), test.predicted)


def test_a_table_of_many_labels_has_the_five_most_probable_ones(tmp_path: Path) -> None:
    labels, written = [f"label {column}" for column in range(40)], many_predictions(6, 40, multilabel=False)
    write_predictions(tmp_path, written, labels)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    ranked = np.argsort(-written.scores[0])[:5]
    assert header == ["id", "split", "truth", "prediction", *ProbabilityColumns(labels, 5).header(())]
    assert first[4::2] == [labels[column] for column in ranked]
    np.testing.assert_allclose(np.array(first[5::2], dtype=float), written.probabilities[0, ranked], rtol=1e-5)


def test_among_equal_probabilities_the_first_labels_are_written() -> None:
    columns = ProbabilityColumns(["a", "b", "c", "d"], 3)
    assert columns.cells(np.array([0.25, 1.0, 0.25, 0.25], dtype=np.float32))[::2] == ["b", "a", "c"]


def test_up_to_twenty_labels_have_a_column_each_and_top_never_exceeds_the_labels() -> None:
    names = [f"l{column}" for column in range(21)]
    assert ProbabilityColumns.choose(names[:20]).header(()) == names[:20]
    assert len(ProbabilityColumns.choose(names).header(())) == 10
    assert ProbabilityColumns(["a", "b"], 5).header(()) == ["label_1", "probability_1", "label_2", "probability_2"]
    assert list(ProbabilityColumns(["a", "b"], 5).select(np.array([0.2, 0.8], dtype=np.float32))) == ["b", "a"]


@pytest.mark.parametrize("multilabel", [False, True])
def test_probabilities_of_blocks_are_those_of_each_row(multilabel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = RANDOM.normal(size=(9, 50)).astype(np.float32)
    whole = scores_to_probabilities(scores, multilabel=multilabel)
    assert scores.size < BLOCK_CELLS
    monkeypatch.setattr("heads.evaluation.score_matrix.BLOCK_CELLS", 120)
    np.testing.assert_array_equal(scores_to_probabilities(scores, multilabel=multilabel), whole)


def test_json_lists_of_labels_survive_the_table(tmp_path: Path) -> None:
    codes = np.array([[True, True], [False, False]])
    written = Predictions(["1", "2"], ["test", "train"], codes, ~codes, np.zeros((2, 2), dtype=np.float32))
    write_predictions(tmp_path, written, ['a, "b"', "ç\n"])
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert json.loads(rows[1][2]) == ['a, "b"', "ç\n"] and rows[1][3] == "[]"
    read = read_predictions([tmp_path / "predictions.csv"], written.scores, ['a, "b"', "ç\n"], "multilabel")
    np.testing.assert_array_equal(read.truth, codes)


def test_undecided_documents_and_label_sets_survive_the_table(tmp_path: Path) -> None:
    labels, scores = ["low confidence", "b"], np.zeros((3, 2), dtype=np.float32)
    evidence = Evidence(3, 0, 0, 0, (RuleComparison("argmax", None, 0.5, 0.5, 0.0, 0.0, 0.0, selected=True),))
    decision = Decision(
        Argmax(),
        evidence,
        abstention=Abstention(0.5),
        label_sets=LabelSetRule(LabelSetOptions(level=0.5), (-0.5, -0.5)),
    )
    predicted, sets = np.array([0, ABSTAINED, OTHER]), np.array([[True, False], [True, True], [False, False]])
    written = Predictions(["1", "2", "3"], ["train"] * 3, np.array([0, 1, 1]), predicted, scores, decision, sets)
    write_predictions(tmp_path, written, labels)
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert rows[0] == "id,split,truth,prediction,abstained,label_set,set_size,low confidence,b"
    assert rows[1] == '1,train,low confidence,low confidence,,"[""low confidence""]",1,0.5,0.5'
    assert rows[3] == "3,train,b,,unlike training,[],0,0.5,0.5"
    read = read_predictions([tmp_path / "predictions.csv"], scores, labels, "single", None, decision)
    np.testing.assert_array_equal(read.predicted, predicted)
    assert read.label_sets is not None
    np.testing.assert_array_equal(read.label_sets, sets)


def test_no_cell_of_the_table_is_a_formula_and_all_are_read_back(tmp_path: Path) -> None:
    labels, ids = ["=1+1", "'@x", "safe"], ["-1+1", "'=2", "-7"]
    codes = np.array([0, 1, 2])
    write_predictions(tmp_path, Predictions(ids, ["test"] * 3, codes, codes, np.zeros((3, 3), np.float32)), labels)
    rows = list(csv.reader((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0][4:] == ["'=1+1", "''@x", "safe"]
    assert [row[:4] for row in rows[1:]] == [
        ["'-1+1", "test", "'=1+1", "'=1+1"],
        ["''=2", "test", "''@x", "''@x"],
        ["-7", "test", "safe", "safe"],
    ]
    read = read_predictions([tmp_path / "predictions.csv"], np.zeros((3, 3), np.float32), labels, "single")
    assert list(read.ids) == ids and read.truth.tolist() == read.predicted.tolist() == [0, 1, 2]
