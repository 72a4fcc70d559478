"""`embedonce compare --group-by`: metrics for each value of a column, wherever the column is kept."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.documents import blank_group, similar_group
from data.source_spec import SourceSpec
from data.tabular import Tabular, TabularColumn
from featurestore import FeatureStore
from stages.comparing.column_values import read_column_values
from stages.comparing.grouped_metrics import MOST_GROUPS, group_metrics
from stages.comparing.selection import select_runs
from stages.comparing.table import choose_metric
from stages.fitting.runs import runs_in
from tests.conftest import Run
from tests.small_store import blobs, make_store

DOCUMENTS, YEARS = 80, (1999.0, 2004.0)


@pytest.fixture
def store(tmp_path: Path, embedonce: Run) -> Path:
    """A store with tabular columns and groups, next to its source with one column more, and a run."""
    documents, vectors = blobs(["a", "b"], documents=DOCUMENTS)
    documents = [replace(document, group=f"g{row % 3}") for row, document in enumerate(documents)]
    vectors[::2] = vectors[::2].mean(axis=0)  # documents of 1999 cannot be told apart
    folder = tmp_path / "stores" / "made"
    store, table = make_store(folder, documents, vectors)
    rows = np.arange(DOCUMENTS)
    columns = (
        TabularColumn("year", "number", np.where(rows % 2, YEARS[1], YEARS[0])),
        TabularColumn("day", "date", np.where(rows < 40, 0.0, 400.0)),
        TabularColumn("price", "number", rows.astype(np.float64)),
        TabularColumn("country", "category", np.where(rows == 3, -1, rows % 2).astype(np.int32), ("de", "fr")),
    )
    store.save_corpus(replace(table, tabular=Tabular(columns), spec=SourceSpec(id="id", group="author")))
    with Path("made.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "language"])
        writer.writerows(
            [each.id, each.text, (each.labels or ("",))[0], "de" if row % 4 else "en"]
            for row, each in enumerate(documents)
        )
    assert embedonce("fit-head", "linear", "--folds", 2, "--store", folder, "--no-tabular").code == 0
    return folder


def answer(embedonce: Run, *arguments: Any) -> Any:
    result = embedonce("compare", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_each_value_has_its_documents_and_metrics_with_intervals(embedonce: Run, store: Path) -> None:
    grouped = answer(embedonce, "--group-by", "year")
    assert [grouped[key] for key in ("column", "split", "metric")] == ["year", "train", "macro_f1"]
    by_year = {group["value"]: group for group in grouped["groups"]}
    (run,) = by_year["1999"]["runs"]
    training = [row for row in range(DOCUMENTS) if row % 4 != 3]
    assert by_year["2004"]["documents"] == sum(row % 2 for row in training)
    assert by_year["1999"]["documents"] == sum(row % 2 == 0 for row in training)
    old, new = (by_year[year]["runs"][run]["accuracy"] for year in ("1999", "2004"))
    assert old["value"] < 0.8 < new["value"] and old["low"] < old["value"] < old["high"]
    everything = answer(embedonce)["rows"][0]["out_of_fold"]["value"]
    assert old["value"] < everything < new["value"]
    shown = embedonce("compare", "--group-by", "year")
    assert "year" in shown.out and "2004" in shown.out and "macro-F1 of linear" in shown.err
    assert "1 group has fewer than 30 documents" in " ".join(shown.err.split())
    table = embedonce("compare", "--group-by", "year", "--split", "test", "--format", "csv").out
    assert (
        table.splitlines()[0]
        == "year,documents,macro_f1,macro_f1.low,macro_f1.high,accuracy,accuracy.low,accuracy.high"
    )


def test_kept_columns_and_those_of_the_source_are_found(store: Path) -> None:
    (run,) = runs_in(Path("runs"))
    stores = store.parent
    values = {
        name: read_column_values(run, name, stores)
        for name in ("day", "price", "country", "author", "group", "language")
    }
    assert set(values["day"].values.values()) == {"1970", "1971"} and "by year" in values["day"].notes[0]
    assert set(values["price"].values.values()) == {"0 to 19.75", "19.75 to 39.5", "39.5 to 59.25", "59.25 to 79"}
    assert "d3" not in values["country"].values and values["country"].values["d4"] == "de"
    assert values["author"].values == values["group"].values and values["group"].values["d4"] == "g1"
    assert values["language"].values["d4"] == "en" and "as it is now" in values["language"].notes[0]


def test_documents_without_a_value_are_the_last_group_and_rare_values_are_one(store: Path) -> None:
    runs = select_runs((), Path("runs"))
    metric = choose_metric(runs)
    grouped = group_metrics(runs, "country", metric, store.parent, "test")
    assert [group.value for group in grouped.groups] == ["fr", "(no value)"]
    with Path("made.csv").open("w") as file:
        file.write("id,text,label,each\n" + "".join(f"d{row},t,a,v{row}\n" for row in range(DOCUMENTS)))
    every = group_metrics(runs, "each", metric, store.parent)
    assert len(every.groups) == MOST_GROUPS and every.groups[0].value == f"({60 - MOST_GROUPS + 1} other values)"
    assert sum(group.documents for group in every.groups) == 60


def test_several_runs_have_a_column_each_and_metrics_of_probabilities_too(embedonce: Run, store: Path) -> None:
    assert embedonce("fit-head", "prototype", "--folds", 2, "--store", store).code == 0
    for metric in ("macro-f1", "brier"):
        table = embedonce("compare", "--group-by", "country", "--metric", metric, "--format", "markdown").out
        heading = table.splitlines()[0]
        assert heading.startswith("| country | documents |") and "linear-" in heading and "prototype-" in heading


def test_a_column_that_is_not_kept_is_refused_with_what_to_do(embedonce: Run, store: Path) -> None:
    refused = embedonce("compare", "--group-by", "langage")
    assert refused.code == 2
    error = " ".join(refused.err.split())
    assert "The corpus made does not keep a column 'langage' (it keeps 'year', 'day', 'price'" in error
    assert "made.csv has no column 'langage'" in error and "Did you mean 'language'?" in error
    Path("made.csv").unlink()
    gone = " ".join(embedonce("compare", "--group-by", "language").err.split())
    assert "made.csv does not exist" in gone and "--tabular language, which encodes no text" in gone
    for arguments in (["--sort", "head"], ["--html", "x.html"], ["--differences"]):
        assert embedonce("compare", "--group-by", "year", *arguments).code == 2


def test_rows_of_several_files_are_grouped_by_file(tmp_path: Path, embedonce: Run) -> None:
    documents, vectors = blobs(["a", "b"], documents=80)
    documents = [
        replace(document, id=f"{'old' if row < 30 else 'new'}-{row}") for row, document in enumerate(documents)
    ]
    make_store(tmp_path / "stores" / "made", documents, vectors)
    assert embedonce("fit-head", "linear", "--folds", 2).code == 0
    grouped = answer(embedonce, "--group-by", "file")
    assert {group["value"] for group in grouped["groups"]} == {"old", "new"}


def test_groups_of_equal_and_blank_texts_are_no_column(embedonce: Run, store: Path) -> None:
    opened = FeatureStore.open(store)
    table = opened.corpus("made")
    groups: list[str | None] = [blank_group("d0"), *[similar_group("d1")] * 2, *[None] * (DOCUMENTS - 3)]
    opened.save_corpus(replace(table, spec=SourceSpec(id="id"), groups=groups))
    assert "it keeps 'group'" not in embedonce("compare", "--group-by", "group").err
    assert embedonce("compare", "--group-by", "group").code == 2
    opened.save_corpus(replace(table, groups=[*groups[:3], *table.groups[3:]]))
    (run,) = runs_in(Path("runs"))
    assert set(read_column_values(run, "author", store.parent).values.values()) == {"g0", "g1", "g2"}
