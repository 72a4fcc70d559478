"""Labels of every kind and documents from every place, from a file to a prediction, by the commands alone."""

import csv
import json
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stages import runs
from tests.conftest import ROOT, Run
from tests.tiny_encoder import make_encoder

WORDS = {"rec/hockey": "ice puck goal", "rec/autos": "car motor wheel", "sci/space": "orbit moon rocket"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("model") / "tiny")


def texts(label: str, count: int = 24) -> list[str]:
    chance = random.Random(label)
    return [f"{' '.join(chance.choices(WORDS[label].split(), k=9))} number {row}" for row in range(count)]


def write(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def only_run(folder: Path) -> runs.Run:
    (run,) = runs.runs_in(folder / "runs")
    return run


@pytest.mark.parametrize("head", ["cascade", "contrast"])
def test_paths_of_labels_make_the_tree_of_heads_that_use_one(
    embedonce: Run, tmp_path: Path, model: Path, head: str
) -> None:
    write(tmp_path / "t.csv", ["text", "label"], [[text, label] for label in WORDS for text in texts(label)])
    assert embedonce("embed", "t.csv", "--model", model).code == 0
    assert embedonce("fit-head", head, "--folds", "2").code == 0
    run = only_run(tmp_path)
    assert run.record.kind == "path"
    assert dict(run.head().get_params()["tree"])["rec/hockey"] == ("rec", "rec/hockey")


def test_several_labels_in_a_cell_are_several_labels_in_the_answer(embedonce: Run, tmp_path: Path, model: Path) -> None:
    rows = [[text, f"{label}|{label.split('/')[0]}"] for label in WORDS for text in texts(label)]
    write(tmp_path / "t.csv", ["text", "tags"], rows)
    arguments = ["--text", "text", "--label", "tags", "--separator", "|"]
    assert embedonce("embed", "t.csv", "--model", model, *arguments).code == 0
    for head in ("linear", "mlp", "lightgbm"):
        assert embedonce("fit-head", head, "--folds", "2").code == 0
    refused = embedonce("fit-head", "cascade")
    assert refused.code == 2 and "cascade takes one label a document" in refused.err
    name = next(run.name for run in runs.runs_in(tmp_path / "runs") if run.record.head == "linear")
    answers = [json.loads(line) for line in embedonce("predict", name, "t.csv", "--json", *arguments).out.splitlines()]
    assert len(answers) == len(rows)
    assert all(set(answer["probabilities"]) == {*WORDS, "rec", "sci"} for answer in answers)


def test_the_documents_of_a_group_stay_on_one_side(embedonce: Run, tmp_path: Path, model: Path) -> None:
    rows = [[text, label, f"author {row % 8}"] for label in WORDS for row, text in enumerate(texts(label))]
    write(tmp_path / "t.csv", ["text", "label", "who"], rows)
    assert embedonce("embed", "t.csv", "--model", model, "--group", "who").code == 0
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    with next(tmp_path.glob("features/*/corpora/t.csv")).open(newline="") as file:
        sides = {(row["group"], row["split"]) for row in csv.DictReader(file)}
    assert len(sides) == len({group for group, _ in sides}) == 8


def test_a_folder_a_class_is_read_and_predicted(embedonce: Run, tmp_path: Path, model: Path) -> None:
    for label in WORDS:
        folder = tmp_path / "letters" / label.split("/")[1]
        folder.mkdir(parents=True)
        for row, text in enumerate(texts(label, 10)):
            (folder / f"{row}.txt").write_text(text)
    assert embedonce("embed", "letters", "--model", model).code == 0
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    (tmp_path / "new.csv").write_text("text\nice puck ice\n\n日本語のテキスト\n")
    out = embedonce("predict", only_run(tmp_path).name, "new.csv").out
    assert [row["prediction"] in {"hockey", "autos", "space"} for row in csv.DictReader(out.splitlines())]


def test_settings_of_a_folder_make_the_commands_short(embedonce: Run, tmp_path: Path, model: Path) -> None:
    write(tmp_path / "t.csv", ["body", "queue"], [[text, label] for label in WORDS for text in texts(label)])
    assert embedonce("init", "t.csv", "--text", "body", "--label", "queue").code == 0
    with (tmp_path / "embedonce.toml").open("a") as file:
        file.write(f'model = "{model}"\n[fit-head]\nfolds = 2\n')
    shown = embedonce("embed")
    assert shown.code == 0 and "embedonce.toml" in shown.err.splitlines()[0]
    assert embedonce("fit-head", "linear").code == 0
    assert only_run(tmp_path).record.folds == 2


def test_a_full_disk_is_one_sentence_and_embed_goes_on_when_there_is_room(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
    write(tmp_path / "t.csv", ["text", "label"], [[text, label] for label in WORDS for text in texts(label)])
    done = subprocess.run(
        [sys.executable, ROOT / "cli.py", "embed", "t.csv", "--model", model],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)),
    )
    assert done.returncode == 1, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("Error:")] == [done.stderr.splitlines()[-1]]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("features/*/shards/*")) == []
    again = embedonce("embed", "t.csv", "--model", model, "--json")
    assert again.code == 0 and json.loads(again.out)["encoded"] == 72
