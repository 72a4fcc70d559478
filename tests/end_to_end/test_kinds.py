"""Labels of every kind and documents from every place, from a file to a prediction, by the commands alone."""

import csv
import json
import random
from itertools import zip_longest
from pathlib import Path

import pytest

import embedonce as api
from stages.fitting import runs
from tests.conftest import Run
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


@pytest.mark.parametrize("head", [["cascade"], ["supcon", "--set", "steps=20"]], ids=["cascade", "supcon"])
def test_paths_of_labels_make_the_tree_of_heads_that_use_one(
    embedonce: Run, tmp_path: Path, model: Path, head: list[str]
) -> None:
    write(tmp_path / "t.csv", ["text", "label"], [[text, label] for label in WORDS for text in texts(label)])
    assert embedonce("embed", "t.csv", "--model", model).code == 0
    assert embedonce("fit-head", *head, "--folds", "2").code == 0
    run = only_run(tmp_path)
    assert run.record.kind == "path"
    assert list(run.head().get_params()["tree"]["rec/hockey"]) == ["rec"]
    answer = next(csv.DictReader(embedonce("predict", run.name, "t.csv").out.splitlines()))
    (path,) = api.load_run(run.folder).predict_paths([texts("rec/hockey")[0]], progress=False)
    assert answer["path"] == answer["prediction"] == list(path)[-1]
    cells = {level: answer[level] for level in ("level_1", "level_2")}
    assert cells == dict(zip_longest(cells, (node.split("/")[-1] for node in path), fillvalue=""))
    assert [float(answer[f"{level}_probability"]) for level in list(cells)[: len(path)]] == pytest.approx(
        list(path.values()), abs=1e-4
    )


def test_several_labels_in_a_cell_are_several_labels_in_the_answer(embedonce: Run, tmp_path: Path, model: Path) -> None:
    rows = [[text, f"{label}|{label.split('/')[0]}"] for label in WORDS for text in texts(label)]
    write(tmp_path / "t.csv", ["text", "tags"], rows)
    arguments = ["--text", "text", "--label", "tags", "--separator", "|"]
    assert embedonce("embed", "t.csv", "--model", model, *arguments).code == 0
    for head in (["linear"], ["mlp", "--set", "epochs=2"], ["lightgbm", "--set", "rounds=10"]):
        assert embedonce("fit-head", *head, "--folds", "2").code == 0
    refused = embedonce("fit-head", "cascade")
    assert refused.code == 2 and "cascade needs one label per document" in refused.err
    name = next(run.name for run in runs.runs_in(tmp_path / "runs") if run.record.head == "linear")
    answers = [
        json.loads(line) for line in embedonce("predict", name, "t.csv", "--json", "--text", "text").out.splitlines()
    ]
    assert len(answers) == len(rows)
    assert all(set(answer["probabilities"]) == {*WORDS, "rec", "sci"} for answer in answers)
    write(tmp_path / "one.csv", ["text"], [rows[0][:1]])
    (two,) = csv.DictReader(embedonce("predict", name, "one.csv", "--top", "2").out.splitlines())
    assert list(two) == ["id", "prediction", "label_1", "probability_1", "label_2", "probability_2"]
    assert float(two["probability_1"]) >= float(two["probability_2"])
    header = embedonce("predict", name, "one.csv", "--all").out.splitlines()[0]
    assert header.split(",") == ["id", "prediction", "rec", "rec/autos", "rec/hockey", "sci", "sci/space"]
    refused = embedonce("predict", name, "one.csv", "--top", "2", "--all")
    assert refused.code == 2 and "--top and --all exclude each other" in refused.err


def test_columns_of_0_and_1_are_labels_and_blank_ones_are_unlabeled(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
    names = list(WORDS)
    rows = [[text, *(str(int(label == name)) for name in names)] for label in WORDS for text in texts(label)]
    write(tmp_path / "t.csv", ["text", *names], [*rows, ["nothing", "0", "0", "0"], ["unknown", "", "", ""]])
    assert embedonce("embed", "t.csv", "--model", model, "--label", ",".join(names)).code == 0
    refused = embedonce("fit-head", "linear", "--folds", "2")
    assert refused.code == 1 and f"1 of {len(rows) + 2} documents have no label (the first is '74')" in refused.err
    assert embedonce("fit-head", "linear", "--folds", "2", "--skip-unlabeled").code == 0
    record = only_run(tmp_path).record
    assert record.kind == "multilabel" and list(record.labels) == sorted(names)
    assert "unlabeled" in embedonce("explain", only_run(tmp_path).name, "74").out


STARS = {"poor": "awful broken refund", "fair": "okay usual average", "good": "lovely solid great"}


def rated(count: int = 24) -> list[list[str]]:
    """Texts of a grade, and now and then of the next grade."""
    chance, grades = random.Random(0), list(STARS)
    rows = []
    for row in range(count * len(grades)):
        place = row % 3
        written = min(2, max(0, place + chance.choice([0, 0, 0, 1, -1])))
        rows.append([f"{' '.join(chance.choices(STARS[grades[written]].split(), k=9))} number {row}", grades[place]])
    return rows


def test_ordinal_labels_have_their_metrics_from_fit_to_page(embedonce: Run, tmp_path: Path, model: Path) -> None:
    write(tmp_path / "t.csv", ["text", "grade"], rated())
    assert embedonce("embed", "t.csv", "--model", model, "--label", "grade").code == 0
    plain = json.loads(embedonce("fit-head", "linear", "--folds", "2", "--json").out)
    assert plain["ranking_metric"] == "macro-F1" and plain["rows"][0]["absolute_error"] is None
    order = ["--folds", "2", "--order", "poor, fair,good"]
    for head in (["linear"], ["mlp", "--set", "epochs=2"], ["lightgbm", "--set", "rounds=10"]):
        assert embedonce("fit-head", *head, *order).code == 0
    linear, mlp = (
        next(run for run in runs.runs_in(tmp_path / "runs") if run.record.head == head and run.record.kind == "ordinal")
        for head in ("linear", "mlp")
    )
    assert list(linear.record.labels) == ["poor", "fair", "good"] and linear.name != plain["rows"][0]["run"]
    assert linear.decision.evidence.comparisons[0].metric == "mean absolute error"
    assert embedonce("fit-head", "lstm", "--loss", "emd", "--set", "epochs=1", *order).code == 0
    refused = embedonce("fit-head", "lstm", "--loss", "emd")
    assert refused.code == 2 and "The loss emd needs ordinal labels. Name their order with --order" in refused.err
    both = json.loads(embedonce("compare", linear.name, mlp.name, "--json", "--html", "page.html").out)
    assert both["ranking_metric"] == "mean absolute error"
    assert both["rows"][0]["out_of_fold"]["value"] <= both["rows"][1]["out_of_fold"]["value"]
    assert all(0 <= row["absolute_error"]["value"] <= 2 >= row["quadratic_kappa"]["value"] for row in both["rows"])
    assert "Sorted by out-of-fold mean absolute error" in (tmp_path / "page.html").read_text()
    mixed = embedonce("compare").out
    assert "kappa" in mixed and "–" in mixed and "mean absolute" in mixed
    rows = list(csv.DictReader(embedonce("predict", linear.name, "t.csv").out.splitlines()))
    assert list(rows[0]) == ["id", "prediction", "poor", "fair", "good"]
    assert {row["prediction"] for row in rows} <= set(STARS)
    assert embedonce("explain", linear.name, rows[0]["id"]).code == 0
    stacked = embedonce("fit-head", "stack", *order)
    assert stacked.code == 0 and "lightgbm" in stacked.err
    odd = embedonce("fit-head", "stack", "--folds", "2", "--run", linear.name, "--run", mlp.name)
    assert odd.code == 2 and "its labels have another order, so use the same --order for both, or none" in odd.err


def test_an_order_that_cannot_be_is_one_sentence(embedonce: Run, tmp_path: Path, model: Path) -> None:
    write(tmp_path / "t.csv", ["text", "grade"], rated(8))
    assert embedonce("embed", "t.csv", "--model", model, "--label", "grade").code == 0
    for order, message in (
        ("poor,fiar,good", "--order names 'fiar', which is not a label. Did you mean 'fair'?"),
        ("poor,good", "--order lacks 'fair': name every label, the lowest first."),
        ("", "--order names '', which is not a label."),
        ("numbers", "--order numbers: 'fair' is not a number."),
    ):
        refused = embedonce("fit-head", "linear", "--order", order)
        assert refused.code == 2 and message in refused.err, refused.err
    write(tmp_path / "p.csv", ["text", "label"], [[text, label] for label in WORDS for text in texts(label, 8)])
    assert embedonce("embed", "p.csv", "--model", model, "--store", next(tmp_path.glob("stores/*"))).code == 0
    path = embedonce("fit-head", "linear", "--corpus", "p", "--order", "numbers")
    assert path.code == 2 and "these labels are of kind 'path'" in path.err


def test_the_documents_of_a_group_stay_on_one_side(embedonce: Run, tmp_path: Path, model: Path) -> None:
    rows = [[text, label, f"author {row % 8}"] for label in WORDS for row, text in enumerate(texts(label))]
    write(tmp_path / "t.csv", ["text", "label", "who"], rows)
    assert embedonce("embed", "t.csv", "--model", model, "--group", "who").code == 0
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    with next(tmp_path.glob("stores/*/corpora/t.csv")).open(newline="") as file:
        sides = {(row["group"], row["split"]) for row in csv.DictReader(file)}
    assert len(sides) == len({group for group, _ in sides}) == 8


def test_a_folder_with_one_subfolder_per_class_is_read_and_predicted(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
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


def test_the_defaults_of_a_folder_make_the_commands_short(embedonce: Run, tmp_path: Path, model: Path) -> None:
    write(tmp_path / "t.csv", ["body", "queue"], [[text, label] for label in WORDS for text in texts(label)])
    assert embedonce("init", "t.csv", "--text", "body", "--label", "queue").code == 0
    with (tmp_path / "embedonce.toml").open("a") as file:
        file.write(f'model = "{model}"\n[fit-head]\nfolds = 2\n')
    shown = embedonce("embed")
    assert shown.code == 0 and "embedonce.toml" in shown.err.splitlines()[0]
    assert embedonce("fit-head", "linear").code == 0
    run = only_run(tmp_path)
    assert run.record.folds == 2
    (tmp_path / "new.csv").write_text("body\nnice puck ice\n")
    result = embedonce("predict", run.name, "new.csv")
    assert result.code == 0 and "label" not in result.err


def test_new_files_are_read_by_the_columns_of_the_corpus(embedonce: Run, tmp_path: Path, model: Path) -> None:
    rows = [[f"T{row}", "shown nowhere", text, label] for label in WORDS for row, text in enumerate(texts(label))]
    rows = [[f"{label[-1]}{ticket}", *rest, label] for ticket, *rest, label in rows]
    write(tmp_path / "t.csv", ["ticket", "text", "body", "label"], rows)
    assert embedonce("embed", "t.csv", "--model", model, "--text", "body", "--id", "ticket").code == 0
    assert embedonce("fit-head", "linear", "--folds", "2").code == 0
    run = only_run(tmp_path)
    assert (run.record.source, run.record.spec["text"], run.record.spec["id"]) == ("t.csv", ["body"], "ticket")
    new = [[ticket, text, body] for ticket, text, body, _ in rows]
    write(tmp_path / "new.csv", ["ticket", "text", "body"], new)
    done = embedonce("predict", run.name, "new.csv")
    predicted = {row["id"]: row["prediction"] for row in csv.DictReader(done.out.splitlines())}
    assert predicted.keys() == {row[0] for row in rows} and len(set(predicted.values())) == 3
    assert not [line for line in done.err.splitlines() if "column" in line]
    write(tmp_path / "other.csv", ["text"], [[row[2]] for row in new])
    done = embedonce("predict", run.name, "other.csv")
    assert done.code == 0 and [row["prediction"] for row in csv.DictReader(done.out.splitlines())] == [
        *predicted.values()
    ]
    assert "other.csv has no column 'body', from which the texts of the corpus were read." in done.err
    refused = embedonce("predict", run.name, "new.csv", "--text", "subject")
    assert refused.code == 2 and "new.csv has no column 'subject'" in refused.err


def test_weights_are_read_from_the_embedded_file_with_or_without_ids(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
    rows = [[text, label, str(row % 3)] for label in WORDS for row, text in enumerate(texts(label))]
    write(tmp_path / "t.csv", ["text", "label", "trust"], rows)
    assert embedonce("embed", "t.csv", "--model", model).code == 0
    assert embedonce("fit-head", "linear", "--folds", "2", "--weight", "trust").code == 0
    assert any("sample weights from 0 to 2" in note for note in only_run(tmp_path).record.notes)
