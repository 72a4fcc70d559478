"""Decisions on the probabilities of another system."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import BadData
from stages.deciding.plan import DecisionPlan
from stages.fitting.decision_options import DecisionOptions
from stages.score_table import ScoreTable, decide_table
from tests.conftest import Run

LABELS = ("common", "rare")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 documents, one in twenty is rare; the last 400 are of the test split, and 10 more have no label."""
    rng = np.random.default_rng(0)
    is_rare = rng.random(2010) < 0.05
    logit = rng.normal(size=2010) + 2 * is_rare - 3
    probability = 1 / (1 + np.exp(-logit))
    rows: list[list[Any]] = [["id", "split", "label", *LABELS]]
    for row, (rare, share) in enumerate(zip(is_rare, probability, strict=True)):
        split = "test" if 1600 <= row < 2000 else "train"
        rows.append([f"d{row}", split, LABELS[int(rare)] if row < 2000 else "", f"{1 - share:.6f}", f"{share:.6f}"])
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_rule_is_chosen_on_training_documents_alone(scores: Path) -> None:
    decided = decide_table(ScoreTable.read(str(scores)), DecisionPlan())
    assert decided.decision.evidence.documents == 1600
    assert decided.values.cross_fitted > decided.values.untuned
    assert decided.values.test is None
    assert [*decided.scorecards] == ["out_of_fold"]
    assert [row.id for row in decided.predictions] == [f"d{row}" for row in (*range(1600), *range(2000, 2010))]


def test_the_test_split_is_scored_when_it_is_requested(scores: Path) -> None:
    decided = decide_table(ScoreTable.read(str(scores)), DecisionPlan(), final=True)
    assert decided.scorecards["test"].documents == 400
    assert decided.values.test == pytest.approx(decided.scorecards["test"].macro_f1.value)
    assert len(decided.predictions) == 2010


def test_the_command_prints_the_values_and_writes_predictions(embedonce: Run, scores: Path, tmp_path: Path) -> None:
    output = tmp_path / "decided.csv"
    result = embedonce("decide", scores, "--coverage", 0.9, "--label-sets", 0.9, "--output", output)
    assert "cross-fitted" in result.out
    assert "documents decided" in result.out
    left_out = f"400 documents of the test split are left out of {output}: --final adds them."
    assert left_out in result.err
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert len(rows) == 1610
    assert {row["abstained"] for row in rows} == {"", "low confidence"}
    assert {row["set_size"] for row in rows} <= {"1", "2"}
    content = json.loads(embedonce("decide", scores, "--json").out)
    in_json = json.loads(embedonce("decide", scores, "--json", "--output", tmp_path / "again.csv").out)
    assert in_json["notes"] == [*content["notes"], left_out.replace("decided", "again")]
    assert f"No record is kept of the decisions on {scores}" in embedonce("decide", scores, "--final").err
    assert "No record is kept" not in result.err
    assert content["metric"] == "macro-F1"
    assert content["scorecards"]["out_of_fold"]["documents"] == 1600


def test_documents_may_have_any_number_of_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for row in range(300):
            truth = [name for name in ("a", "b") if rng.random() < 0.3]
            shares = {f"probability:{name}": 0.5 * rng.random() + 0.3 * (name in truth) for name in ("a", "b")}
            file.write(json.dumps({"id": str(row), "label": truth, **shares}) + "\n")
    decided = decide_table(ScoreTable.read(str(path)), DecisionPlan(rule=DecisionOptions(objective="micro-f1")))
    assert decided.labels == ("a", "b")
    assert decided.decision.rule.is_multilabel
    assert decided.predictions[0].label.startswith("[")


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,a,b\na,0.5,0.5\nc,0.1,0.9\n", "has documents of .c., but no column of probabilities of that name"),
        ("label,a,b\na,0.5,oops\n", r"line 2 has 'oops' in column 'b', which is no probability between 0 and 1"),
        ("label,a,b\na,0.5,\n", "line 2 has None in column 'b'"),
        ("label,a\na,0.5\n", "has 1 column of probabilities"),
        ("id,a,b\n1,0.5,0.5\n", "has no true labels"),
        ("label,split,a,b\na,test,0.5,0.5\n", "has true labels of the test split alone"),
        ("label,1,1.0,2\n1,0.2,0.3,0.5\n", "has the columns '1' and '1.0' for one label"),
        ("label,split,a,b\na,train,0.5,0.5\nb,fold 2,0.5,0.5\n", "has 'fold 2' as a split"),
    ],
)
def test_a_table_that_is_none_of_probabilities_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=message):
        ScoreTable.read(write(tmp_path / "scores.csv", text))


def test_splits_and_labels_are_read_as_those_of_a_corpus(tmp_path: Path) -> None:
    rows = "1.0,Training,0.9,0.1\n2.0,dev,0.2,0.8\n1.0,Testing,0.7,0.3\n2.0,,0.4,0.6\n,testing,0.5,0.5\n"
    table = ScoreTable.read(write(tmp_path / "scores.csv", f"label,split,1.0,2.0\n{rows}"))
    assert table.labels == ("1", "2") and table.split.tolist() == ["train", "train", "test", "train", "new"]
    assert table.target_of(table.rows("test")).y.tolist() == [0]


def test_sums_that_are_not_1_are_reported(tmp_path: Path) -> None:
    table = ScoreTable.read(write(tmp_path / "scores.csv", "label,a,b\na,0.5,0.9\nb,0.5,0.5\n"))
    assert "The probabilities of 1 document do not sum to 1; they are divided by their sum." in table.notes


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ("label,id", "labels are read from column 'label' and ids from 'id' (guessed)"),
        ("label,fold", "column 'fold' is not read as the split: it holds '1', not train and test"),
        ("label,author", "has 2 groups, the largest of 50%"),
        ("label,doc_id,document_id", "ids are not read: 'doc_id', 'document_id' could all be their column"),
    ],
)
def test_notes_on_columns_name_no_option(header: str, note: str, tmp_path: Path) -> None:
    others = header.count(",")
    rows = "".join(f"{label}{f',{row}' * others},0.5,0.5\n" for row, label in enumerate(("x/a", "x/b"), start=1))
    table = ScoreTable.read(write(tmp_path / "scores.csv", f"{header},probability:x/a,probability:x/b\n{rows}"))
    assert any(sentence.endswith(note) for sentence in table.notes)
    assert not [sentence for sentence in table.notes if "--" in sentence]


def test_what_needs_a_head_and_a_file_that_is_missing_are_refused(embedonce: Run, scores: Path) -> None:
    assert "--other needs the features of a run" in embedonce("decide", scores, "--other").err
    assert "--unlabelled is for a run" in embedonce("decide", scores, "--unlabelled", "new.csv").err
    assert "--device, --store are for a run" in embedonce("decide", scores, "--store", "x", "--device", "cpu").err
    assert "--stores is for a run" in embedonce("decide", scores, "--stores", "x").err
    assert "missing.csv does not exist" in embedonce("decide", "missing.csv").err


def test_columns_may_be_in_any_order(scores: Path, tmp_path: Path) -> None:
    with scores.open(newline="") as file:
        rows = list(csv.reader(file))
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as file:
        csv.writer(file).writerows([[*row[:3], row[4], row[3]] for row in rows])
    first, second = (decide_table(ScoreTable.read(str(path)), DecisionPlan()) for path in (scores, other))
    assert second.labels == first.labels
    assert second.values == first.values
    assert [row.label for row in second.predictions] == [row.label for row in first.predictions]
