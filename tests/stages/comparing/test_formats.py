"""The table of `compare` as CSV, Markdown, LaTeX and JSON, with chosen columns in a chosen order."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import UnknownName
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import METRICS
from stages.comparing.formats import comparison_table, render_table, sort_rows
from stages.comparing.keys import COST_HEADINGS
from stages.comparing.table import Comparison, compare
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on the same documents."""
    path = tmp_path_factory.mktemp("formats")
    documents, vectors = blobs(["a", "b", "c"])
    store = make_store(path / "store", documents, vectors + 3 * np.random.default_rng(0).normal(size=vectors.shape))
    for head in (LinearHead(C=0.5), LinearHead(C=2.0), PrototypeHead()):
        fit_head(*store, FitPlan(head=head, folds=2), path / "runs")
    return path / "runs"


@pytest.fixture(scope="module")
def compared(folder: Path) -> tuple[Comparison, list[runs.Run]]:
    selected = runs.runs_in(folder)
    return compare(selected), selected


Compared = tuple[Comparison, list[runs.Run]]


def test_rows_are_sorted_by_any_value_and_those_without_it_are_last(compared: Compared) -> None:
    comparison, selected = compared
    by_c = [comparison.rows[row].head for row in sort_rows(*compared, "C")]
    assert by_c == ["linear", "linear", "prototype"]
    record = {run.name: run.record for run in selected}
    names = [comparison.rows[row].run for row in sort_rows(*compared, "-C")]
    assert [record[name].hyperparameters.get("C") for name in names] == [2.0, 0.5, None]
    accuracies = [comparison.rows[row].accuracy for row in sort_rows(*compared, "accuracy")]
    values = [each.value for each in accuracies if each is not None]
    assert values == sorted(values, reverse=True) and len(values) == 3
    assert sort_rows(*compared, "-accuracy") == sorted(
        range(3), key=lambda row: values_of(comparison, row), reverse=False
    )


def test_the_best_is_first_also_if_a_lower_ranking_metric_is_better(compared: Compared) -> None:
    by_loss = compare(compared[1], metric=METRICS["log-loss"])
    assert sort_rows(by_loss, compared[1], "out_of_fold") == [0, 1, 2]
    assert sort_rows(by_loss, compared[1], "-out_of_fold") == [2, 1, 0]


def values_of(comparison: Comparison, row: int) -> float:
    accuracy = comparison.rows[row].accuracy
    assert accuracy is not None
    return accuracy.value


def test_a_column_is_known_by_its_heading_in_a_terminal_too(compared: Compared) -> None:
    for heading, key in COST_HEADINGS.items():
        assert comparison_table(*compared, [heading]) == comparison_table(*compared, [key])


def test_a_key_is_known_by_its_last_part_and_an_ambiguous_or_unknown_one_is_refused(compared: Compared) -> None:
    keys, rows = comparison_table(*compared, ["run", "C", "documents.train", "macro_f1.low"])
    assert keys == ["run", "hyperparameters.C", "documents.train", "macro_f1.low"]
    assert [row[2] for row in rows] == [90, 90, 90]
    with pytest.raises(UnknownName, match=r"'low' is the last part of \d+ keys. Write macro_f1.low or|out_of_fold.low"):
        comparison_table(*compared, ["low"])
    with pytest.raises(UnknownName, match=r"No run has a value 'acuracy'. Did you mean 'accuracy'\?"):
        sort_rows(*compared, "acuracy")


VALUES: list[list[Any]] = [
    ["=linear|1", ConfidenceInterval(0.12345, 0.1, 0.2), 12345, None],
    ["b_2%", None, 7, 0.0001234],
]
KEYS = ["run", "macro_f1", "parameters", "fit_seconds"]


def test_csv_has_all_digits_a_column_per_bound_and_no_formula() -> None:
    assert render_table(KEYS, VALUES, "csv").splitlines() == [
        "run,macro_f1,macro_f1.low,macro_f1.high,parameters,fit_seconds",
        "'=linear|1,0.12345,0.1,0.2,12345,",
        "b_2%,,,,7,0.0001234",
    ]


def test_markdown_and_latex_are_rounded_and_escaped() -> None:
    assert render_table(KEYS, VALUES, "markdown").splitlines() == [
        "| run | macro_f1 | parameters | fit_seconds |",
        "| --- | ---: | ---: | ---: |",
        r"| =linear\|1 | 0.123 (0.100 to 0.200) | 12,345 |  |",
        "| b_2% |  | 7 | 0.000123 |",
    ]
    assert render_table(KEYS, VALUES, "latex").splitlines() == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"run & macro\_f1 & parameters & fit\_seconds \\",
        r"\midrule",
        r"=linear|1 & 0.123 (0.100 to 0.200) & 12,345 &  \\",
        r"b\_2\% &  & 7 & 0.000123 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_command_writes_each_format(embedonce: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    rows = list(csv.DictReader(embedonce("compare", "--runs", folder, "--format", "csv").out.splitlines()))
    assert len(rows) == 3 and {"run", "out_of_fold", "out_of_fold.low", "accuracy.high", "parameters"} <= {*rows[0]}
    chosen = embedonce("compare", "--runs", folder, "--columns", "run,C", "--sort", "-C", "--json")
    content = json.loads(chosen.out)
    assert [row["hyperparameters.C"] for row in content["rows"]] == [2.0, 0.5, None] and "checks" in content
    whole = embedonce("compare", "--runs", folder, "--format", "json").out
    assert whole == embedonce("compare", "--runs", folder, "--json").out
    shown = embedonce("compare", "--runs", folder, "--columns", "run, C,seed", "--sort", "C").out
    assert [line.split()[1:] for line in shown.splitlines() if "linear" in line] == [["0.500", "0"], ["2.000", "0"]]
    calibrations = json.loads(whole)["calibrations"]
    assert len(calibrations) == len(json.loads(whole)["rows"])
    for each in calibrations.values():
        assert each["before"].keys() == each["after"].keys() == {"log_loss", "brier", "ece"}
        assert sum(row["size"] for row in each["reliability_after"]) == each["documents"]
    refused = embedonce("compare", "--runs", folder, "--json", "--format", "csv")
    assert refused.code == 2 and "--json is --format json, not --format csv" in refused.err
