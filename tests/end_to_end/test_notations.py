"""Odd files from embed to predict, by the commands alone."""

import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from stages.fitting import runs
from tests.conftest import Run
from tests.tiny_encoder import make_encoder

TEXTS = {"glace": "glacé froid hiver café neige", "auto": "moteur roue route piège vitesse"}


@pytest.fixture
def fitted(embedonce: Run, tmp_path: Path) -> str:
    """The name of a run on a compressed file in Latin-1, without a header, with cells between bars."""
    rows = [f"{text} {number}|{label}" for label, text in TEXTS.items() for number in range(20)]
    (tmp_path / "lettres.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode("latin-1")))
    source = (
        "lettres.csv.gz",
        "--model",
        make_encoder(tmp_path / "tiny"),
        "--backend",
        "torch",
        "--batch-tokens",
        "512",
    )
    notation = ("--header", "none", "--text", "1", "--label", "2")
    refused = embedonce("embed", *source, *notation)
    assert refused.code == 1 and "Latin-1 or Windows-1252" in refused.err and "--encoding cp1252" in refused.err
    embedded = embedonce("embed", *source, *notation, "--encoding", "cp1252")
    assert embedded.code == 0 and "cells end at each vertical bar" in embedded.err
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    (run,) = runs.runs_in(tmp_path / "runs")
    return run.name


def pipe(monkeypatch: pytest.MonkeyPatch, content: str, encoding: str = "utf-8", *, terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content.encode(encoding)))
    stdin.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", stdin)


def test_predict_reads_standard_input_as_the_corpus_was_read(
    embedonce: Run, fitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, f"{TEXTS['glace']} 3|?\n{TEXTS['auto']} 4|?\n", "cp1252")
    result = embedonce("predict", fitted, "-")
    assert [row["prediction"] for row in csv.DictReader(result.out.splitlines())] == ["glace", "auto"]
    assert "terminal" not in result.err
    pipe(monkeypatch, f"text\tn\n{TEXTS['auto']} 5\t1\n", terminal=True)
    result = embedonce(
        "predict", fitted, "-", "--text", "text", "--header", "first", "--encoding", "utf-8", "--delimiter", "tab"
    )
    assert [row["prediction"] for row in csv.DictReader(result.out.splitlines())] == ["auto"]
    assert "end it with Ctrl-D" in result.err
    pipe(monkeypatch, json.dumps([{"1": f"{text} 6"} for text in TEXTS.values()]))
    result = embedonce("predict", fitted, "-")
    assert [row["prediction"] for row in csv.DictReader(result.out.splitlines())] == ["glace", "auto"]
    pipe(monkeypatch, "")
    assert embedonce("predict", fitted, "-").err.endswith("standard input is empty.\n")


def test_the_python_interface_reads_the_same_notation(embedonce: Run, fitted: str) -> None:
    import embedonce as library

    corpus = library.embed(
        "lettres.csv.gz",
        header="none",
        encoding="cp1252",
        delimiter="|",
        quoting="none",
        text="1",
        label="2",
        model="tiny",
        backend="torch",
        progress=False,
    )
    assert corpus.table.spec.header == "none"
    assert list(corpus.table.ids) == [str(row) for row in range(1, 41)]
