"""`curve` shows learning curves as a table, JSON and charts; a wrong call is one sentence."""

import json
import sys
from pathlib import Path

import pytest

from stages.curve import METRICS
from tests.conftest import Run
from tests.small_store import blobs, make_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b", "c"], documents=160))
    return tmp_path / "stores" / "made-up"


def test_a_row_a_head_and_size_and_the_same_as_json(embedonce: Run, store: Path) -> None:
    shown = embedonce("curve", "linear", "prototype", "--sizes", "10,all", "--seeds", 2)
    assert shown.code == 0
    rows = [line.split()[:2] for line in shown.out.splitlines() if "±" in line]
    assert rows == [["linear", "10"], ["linear", "96"], ["prototype", "10"], ["prototype", "96"]]
    assert "the test split was not read" in shown.err
    curves = json.loads(embedonce("curve", "linear", "prototype", "--sizes", "10,all", "--seeds", 2, "--json").out)
    assert [level["size"] for level in curves["summaries"]] == [10, 96, 10, 96] and len(curves["points"]) == 8
    assert set(METRICS) < set(curves["summaries"][0]) and curves["validation_documents"] == 24


def test_ordinal_labels_have_a_further_metric(embedonce: Run, store: Path, tmp_path: Path) -> None:
    arguments = (
        "curve",
        "linear",
        "--sizes",
        "10,all",
        "--seeds",
        2,
        "--order",
        "a,b,c",
        "--metric",
        "quadratic-kappa",
    )
    shown = embedonce(*arguments, "--html", "c.html")
    assert shown.code == 0 and "quadratic kappa" in shown.out
    assert "quadratic kappa" in (tmp_path / "c.html").read_text()
    assert "quadratic kappa" not in embedonce("curve", "linear", "--sizes", "10", "--seeds", 2).out


def test_weights_are_read_from_a_column(embedonce: Run, store: Path, tmp_path: Path) -> None:
    ids = [document.id for document in blobs(["a", "b", "c"], documents=160)[0]]
    (tmp_path / "w.csv").write_text("id,text,trust\n" + "".join(f"{name},x,0.5\n" for name in ids))
    arguments = ("curve", "linear", "--sizes", "10", "--seeds", 1, "--weight", "trust", "--weight-from", "w.csv")
    assert embedonce(*arguments).code == 0
    assert embedonce("sweep", "linear", "--trials", 1, *arguments[6:]).code == 0


def test_the_chart_is_written_in_every_format(embedonce: Run, store: Path, tmp_path: Path) -> None:
    arguments = ("curve", "linear", "--sizes", "10,20", "--seeds", 1, "--metric", "accuracy")
    assert embedonce(*arguments, "--html", "c.html", "--svg", "c.svg", "--png", "c.png", "--pdf", "c.pdf").code == 0
    assert (tmp_path / "c.svg").read_text().startswith("<svg") and "accuracy" in (tmp_path / "c.svg").read_text()
    assert "<table" in (tmp_path / "c.html").read_text()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_nothing_is_fitted_and_the_extra_is_named(
    embedonce: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for command in ("curve", "sweep"):
        shown = embedonce(command, "linear", "--pdf", "c.pdf")
        assert shown.code == 2 and 'missing: pip install "embedonce[plots]"' in shown.err
    assert not (tmp_path / "runs").exists()


def test_runs_and_curves_share_a_folder(embedonce: Run, store: Path) -> None:
    embedonce("curve", "linear", "--sizes", "10", "--seeds", 1)
    assert embedonce("compare").code == 2  # no run is there yet
    embedonce("fit-head", "linear", "--folds", 2)
    assert len(json.loads(embedonce("compare", "--json").out)["rows"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "HEAD..."),
        (["liner"], "Did you mean 'linear'"),
        (["all"], "name the heads"),
        (["linear", "--sizes", "ten"], "whole numbers of at least 2"),
        (["linear", "--sizes", "1000"], "there are 96 to fit on"),
        (["linear", "mlp", "--set", "C=1"], "for one head: fit it alone"),
        (["linear", "--metric", "f1"], "macro-f1"),
        (["linear", "--metric", "quadratic-kappa"], "Fit with --order"),
        (["linear", "--order", "a,b"], "'c'"),
        (["linear", "--weight-from", "w.csv"], "need --weight"),
        (["linear", "--seeds", "0"], "seeds"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(
    embedonce: Run, store: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    result = embedonce("curve", *arguments)
    (error,) = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert result.code == 2 and sentence in error and result.out == ""
    assert not (tmp_path / "runs").exists()
