"""Costs from a CSV file: labels in any order, and one sentence for each mistake in it."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import CallError, EmbedOnceError, FileMissing, UnknownName
from data.target import Target
from stages.fitting.cost_matrix import CostMatrix
from stages.fitting.decision_options import DecisionOptions

GOOD = ',b,a,"c, d"\na,2,0,1\n"c, d",1,3.5,0\nb,0,7,1\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "costs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_and_columns_are_those_of_their_labels(tmp_path: Path) -> None:
    costs = CostMatrix.read(write(tmp_path, "\ufeff" + GOOD))
    np.testing.assert_array_equal(costs.of(["a", "b", "c, d"]), [[0, 2, 1], [7, 0, 1], [3.5, 1, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no costs. Its first line has the predicted labels"),
        (",a,b\na,0,1\n", "has no row for the label 'b'. Add one per label."),
        (",a\na,0\nb,1\n", "has no column for the label 'b'"),
        (",a,b\na,0,1\nb,1\n", "line 3 has 2 cells, where the first line has 3."),
        (",a,b\na,0,-1\nb,1,0\n", "line 2, column 'b': '-1' is no cost. Use a number of at least 0."),
        (",a,b\n\n\na,0,-1\nb,1,0\n", "line 4, column 'b': '-1' is no cost"),
        (",a,b\na,0,much\nb,1,0\n", "line 2, column 'b': 'much' is no cost"),
        (",a,b\na,0,nan\nb,1,0\n", "'nan' is no cost"),
        (",a,b\na,0,1\nb,1,0\nbb,1,1\n", "has a row 'bb', which is no label."),
        (",a,b,x\na,0,1,1\nb,1,0,1\n", "has a column 'x', which is no label. Known: a, b."),
        (",a,a\na,0,1\nb,1,0\n", "has the label 'a' twice. Remove one of them."),
    ],
)
def test_a_file_that_is_no_cost_matrix_of_the_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EmbedOnceError, match=r"costs\.csv") as error:
        CostMatrix.read(write(tmp_path, text)).of(["a", "b"])
    assert message in str(error.value)


def test_a_missing_file_and_a_file_in_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="There is no file"):
        CostMatrix.read(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(",ä\nä,0\n".encode("latin-1"))
    with pytest.raises(EmbedOnceError, match="cannot be read as UTF-8 text"):
        CostMatrix.read(tmp_path / "latin.csv")


def test_the_identity_of_a_run_depends_on_what_a_rule_is_chosen_for(tmp_path: Path) -> None:
    target = Target.from_labels([("a",), ("b",)], "single")
    costs = CostMatrix.read(write(tmp_path, ",a,b\na,0,1\nb,1,0\n"))
    other = CostMatrix.read(write(tmp_path, ",b,a\na,1,0\nb,0,2\n"))
    options = [
        DecisionOptions(),
        DecisionOptions(objective="macro-f1"),
        DecisionOptions(objective="accuracy"),
        DecisionOptions(objective="macro-fbeta", beta=2.0),
        DecisionOptions(objective="macro-fbeta", beta=3.0),
        DecisionOptions(objective="cost", costs=costs),
        DecisionOptions(objective="cost", costs=other),
        DecisionOptions(objective="recall-at-precision", at=0.9, label="a"),
        DecisionOptions(objective="recall-at-precision", at=0.9, label="b"),
        DecisionOptions(objective="recall-at-precision", at=0.8, label="b"),
    ]
    identities = [repr(one.identity(target)) for one in options]
    assert identities[0] == identities[1] == "{}"
    assert len(set(identities)) == len(options) - 1


def test_a_label_that_does_not_exist_is_refused() -> None:
    target = Target.from_labels([("acq",), ("earn",)], "single")
    options = DecisionOptions(objective="recall-at-precision", at=0.9, label="aqc")
    with pytest.raises(UnknownName, match=r"--for-label aqc: there is no such label\. Did you mean 'acq'"):
        options.for_target(target)


def test_a_name_may_have_a_line_break(tmp_path: Path) -> None:
    costs = CostMatrix.read(write(tmp_path, ',a,"b\nc"\na,0,1\n"b\nc",2,0\n'))
    np.testing.assert_array_equal(costs.of(["a", "b\nc"]), [[0, 1], [2, 0]])


@pytest.mark.parametrize("objective", [None, "accuracy"])
def test_labels_only_is_refused_without_an_objective_of_a_taxonomy(objective: str | None) -> None:
    target = Target.from_labels([("acq",), ("earn",)], "single")
    with pytest.raises(CallError, match="--labels-only is for one label per document and an objective of a taxonomy"):
        DecisionOptions(objective=objective, labels_only=True).for_target(target)
