"""Sample weights: how they are read by document id, and what they change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import BadData, CallError, ColumnMissing
from data.source_spec import SourceSpec
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.sample_weights import read_sample_weights
from tests.small_store import blobs, make_store

PLAN = FitPlan(head=LinearHead(), folds=3)


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[FeatureStore, CorpusTable]:
    return make_store(tmp_path / "store", *blobs(["a", "b"], documents=40))


def written(folder: Path, cell: Callable[[int], Any], documents: int = 40) -> str:
    path = folder / "weights.csv"
    path.write_text("id,trust\n" + "".join(f"d{row},{cell(row)}\n" for row in reversed(range(documents))))
    return str(path)


def test_weights_are_found_by_id_whatever_the_order_of_the_file(dataset: Any, tmp_path: Path) -> None:
    weights = read_sample_weights(dataset[1], "trust", written(tmp_path, lambda row: row / 2))
    assert weights == {f"d{row}": row / 2 for row in range(40)}


def test_the_file_of_the_corpus_is_read_if_no_other_is_named(dataset: Any, tmp_path: Path) -> None:
    table = replace(dataset[1], source=written(tmp_path, lambda row: 1))
    assert set(read_sample_weights(table, "trust").values()) == {1.0}


def test_another_file_is_read_as_the_corpus_was(dataset: Any, tmp_path: Path) -> None:
    spec = SourceSpec(id="ticket", delimiter="|", test_file="test.csv")
    path = tmp_path / "other.csv"
    path.write_text("id|ticket|trust\n" + "".join(f"{row}|d{row}|2\n" for row in range(40)))
    weights = read_sample_weights(replace(dataset[1], spec=spec), "trust", str(path))
    assert weights == {f"d{row}": 2.0 for row in range(40)}


def test_numbered_documents_get_the_weights_of_their_rows(dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_text("id,trust\n" + "".join(f"{40 - row},{row}\n" for row in range(40)))
    numbers = [str(row + 1) for row in range(40)]
    table = replace(dataset[1], source=str(tmp_path / "made.csv"), ids=numbers, spec=SourceSpec(id=""))
    assert read_sample_weights(table, "trust") == {number: int(number) - 1 for number in numbers}
    (tmp_path / "other.csv").write_text((tmp_path / "made.csv").read_text())
    weights = read_sample_weights(table, "trust", str(tmp_path / "other.csv"))  # whose rows are others
    assert weights == {number: 40 - int(number) for number in numbers}


def test_a_document_without_a_weight_is_named(dataset: Any, tmp_path: Path) -> None:
    path = written(tmp_path, lambda row: 1, documents=39)
    with pytest.raises(BadData, match=r"has no weight for 1 of 40 documents of 'made' \(the first is 'd39'\)\. Add"):
        read_sample_weights(dataset[1], "trust", path)


@pytest.mark.parametrize("cell", ["", "much", "-1", "nan", "inf"])
def test_a_cell_that_is_no_weight_is_named(dataset: Any, tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, lambda row: cell if row == 7 else 1)
    with pytest.raises(BadData, match=rf"'trust' of document 'd7' is '{cell}'\. Write a number that is at least 0\.$"):
        read_sample_weights(dataset[1], "trust", path)


def test_a_column_that_is_not_there_is_an_error(dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing):
        read_sample_weights(dataset[1], "truth", written(tmp_path, lambda row: 1))


def test_a_benchmark_has_no_column_of_weights(dataset: Any) -> None:
    with pytest.raises(CallError, match=r"^reuters52 is a benchmark and has no column of weights\. Name a file"):
        read_sample_weights(replace(dataset[1], source="reuters52"), "trust")


def test_documents_of_weight_zero_are_not_learned_from_but_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=120)
    twins = [
        replace(each, id=f"{each.id}!", text=f"{each.text}!", labels=("b" if each.labels == ("a",) else "a",))
        for each in documents
        if each.split == "train"
    ]
    rows = [row for row, each in enumerate(documents) if each.split == "train"]
    store, table = make_store(tmp_path / "store", [*documents, *twins], np.concatenate([vectors, vectors[rows]]))
    weights = {each: float("!" not in each) for each in table.ids}
    lied, _ = fit_head(store, table, PLAN, tmp_path / "runs")
    told, _ = fit_head(store, table, replace(PLAN, weights=weights), tmp_path / "runs")
    assert lied.folder != told.folder
    assert lied.scorecards["test"].accuracy.value < 0.8 < 0.95 < told.scorecards["test"].accuracy.value
    assert told.scorecards["out_of_fold"].accuracy.value == pytest.approx(0.5, abs=0.05)
    assert "sample weights from 0 to 1, 90 of them 0" in " ".join(told.record.notes)


def test_weights_of_one_are_another_run_with_the_same_metrics(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    plain, _ = fit_head(*dataset, PLAN, tmp_path / "runs")
    ones, fresh = fit_head(*dataset, replace(PLAN, weights=dict.fromkeys(dataset[1].ids, 1.0)), tmp_path / "runs")
    assert fresh and ones.scorecards == plain.scorecards
