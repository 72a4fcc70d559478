"""`decide --unlabelled`: a file is read and encoded as by predict, and its frequencies of labels shift the decision."""

import csv
import json
import random
from pathlib import Path

import pytest

from stages.fitting import runs
from tests.conftest import Run
from tests.tiny_encoder import make_static


def write(path: Path, labels: list[str], *, labeled: bool) -> None:
    """Texts with more words of their label than of the other one, most of the time."""
    chance = random.Random(len(labels))
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", *(["label", "split"] if labeled else [])])
        for row, label in enumerate(labels):
            other = "cup" if label == "oil" else "oil"
            words = chance.choices([label, other], weights=[0.65, 0.35], k=5)
            split = "test" if row % 10 == 0 else "train"
            table.writerow([f"d{row}", f"{' '.join(words)} {row}", *([label, split] if labeled else [])])


@pytest.fixture
def run(embedonce: Run, tmp_path: Path) -> str:
    chance = random.Random(0)
    write(tmp_path / "t.csv", ["oil" if chance.random() < 0.8 else "cup" for _ in range(400)], labeled=True)
    model = make_static(tmp_path / "model")
    assert embedonce("embed", "t.csv", "--model", model, "--id", "id").code == 0
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    return runs.runs_in(tmp_path / "runs")[0].name


def test_frequencies_are_shown_and_predict_uses_the_shift(embedonce: Run, tmp_path: Path, run: str) -> None:
    write(tmp_path / "new.csv", ["oil" if row % 10 == 0 else "cup" for row in range(300)], labeled=False)
    shown = embedonce("decide", run, "--unlabelled", "new.csv")
    assert shown.code == 0, shown.err
    assert "training" in shown.out and "new documents" in shown.out
    assert "it is used for new documents, not in the metrics of the run." in shown.err, shown.out + shown.err
    result = json.loads(embedonce("decide", run, "--unlabeled", "new.csv", "--json").out)
    assert not result["is_new"] and result["decision"]["label_shift"]["is_used"]
    predicted = [
        [row["prediction"] for row in csv.DictReader(embedonce("predict", name, "new.csv").out.splitlines())]
        for name in (run, result["run"])
    ]
    assert predicted[1].count("cup") > predicted[0].count("cup")


def test_few_documents_are_refused(embedonce: Run, tmp_path: Path, run: str) -> None:
    write(tmp_path / "few.csv", ["oil", "cup"], labeled=False)
    refused = embedonce("decide", run, "--unlabelled", "few.csv")
    message = "few.csv has 2 documents, too few to estimate frequencies of labels. Give at least 50."
    assert refused.code != 0 and refused.err.endswith(f"Error: {message}\n")
    missing = embedonce("decide", run, "--unlabelled", "gone.csv")
    assert missing.code != 0 and "gone.csv" in missing.err
