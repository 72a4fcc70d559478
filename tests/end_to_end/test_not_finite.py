"""Documents without finite vectors: fitted without them, predicted around them, and named."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import embedonce as library
from data.errors import EmbedOnceError
from stages.fitting import runs
from tests.conftest import Run
from tests.tiny_encoder import make_encoder

WORDS = {"oil": "oil price ministers", "cup": "cup final team"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder whose vectors are not finite for texts with the word "graphics"."""
    folder = make_encoder(tmp_path_factory.mktemp("model") / "tiny")
    token = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]["graphics"]
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][token] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """40 documents, of which two training documents and a test document have that word."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "split"])
        for row in range(40):
            label = ("oil", "cup")[row % 2]
            bad = " graphics" if row in (3, 4, 39) else ""
            writer.writerow([f"d{row}", f"{WORDS[label]} {row}{bad}", label, "test" if row >= 30 else "train"])
    return path


@pytest.mark.usefixtures("table")
def test_documents_without_finite_vectors_are_left_out_and_predicted_empty_and_those_without_text_are_named(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
    embedded = embedonce("embed", "t.csv", "--model", model, "--id", "id")
    assert (
        embedded.code == 1
        and "3 documents skipped, because their vectors are not finite: 'd3', 'd4', 'd39'" in embedded.err
    )
    for head in ("linear", "knn"):
        fitted = embedonce("fit-head", head, "--folds", "2")
        assert fitted.code == 0, fitted.err
        assert "3 documents without finite vectors are left out: 'd3', 'd4', 'd39'." in fitted.err
    run = runs.runs_in(tmp_path / "runs")[1]
    assert dict(run.record.documents) == {"train": 28, "test": 9}
    assert embedonce("fit-head", "stack", "--folds", "2").code == 0
    explained = embedonce("explain", run.name, "d5")
    assert explained.code == 0 and "has changed" not in explained.err
    refused = embedonce("explain", run.name, "d3")
    assert refused.code != 0 and "1 of 1 documents have no finite vectors." in refused.err

    done = embedonce("predict", run.name, "t.csv")
    rows = {row["id"]: row for row in csv.DictReader(done.out.splitlines())}
    assert done.code == 1 and len(rows) == 40
    assert "3 documents without a prediction, because their vectors are not finite: 'd3', 'd4', 'd39'." in done.err
    assert [name for name, row in rows.items() if not row["prediction"]] == ["d3", "d4", "d39"]
    assert [name for name, row in rows.items() if not row["oil"]] == ["d3", "d4", "d39"]
    assert {row["prediction"] for name, row in rows.items() if name not in ("d3", "d4", "d39")} == {"oil", "cup"}
    written = embedonce("predict", run.name, "t.csv", "--output", "labeled.csv")
    assert written.code == 1 and "The predictions of 37 documents are in labeled.csv." in written.err
    assert (tmp_path / "labeled.csv").read_text() == done.out and written.out == "" and "labeled.csv" not in done.err
    answers = [json.loads(line) for line in embedonce("predict", run.name, "t.csv", "--json").out.splitlines()]
    assert answers[3] == {"id": "d3", "labels": None, "probabilities": None}
    (tmp_path / "blank.csv").write_text('id,text\nx,oil price\ny,\nz," "\n')
    blank = embedonce("predict", run.name, "blank.csv")
    assert blank.code == 0 and "2 documents without text have the label of an empty text: 'y', 'z'." in blank.err
    with pytest.raises(EmbedOnceError, match=r"no finite vectors for 1 of 3 texts; the first is number 3\. Remove"):
        library.load_run(run.folder).predict(["oil", "cup", "graphics"], progress=False)


@pytest.mark.usefixtures("table")
def test_documents_that_are_not_encoded_yet_still_stop_the_fit(embedonce: Run, tmp_path: Path, model: Path) -> None:
    assert embedonce("embed", "t.csv", "--model", model, "--part", "1/2", "--store", "store").code in (0, 1)
    refused = embedonce("fit-head", "linear", "--store", "store")
    assert refused.code != 0 and "documents have no features. Run the same `embedonce embed` again" in refused.err
