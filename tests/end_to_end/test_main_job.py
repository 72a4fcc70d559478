"""The main job with the packaged encoder on real text: embed, fit, compare, predict."""

import csv
import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from featurestore import FeatureStore, Shard
from heads.registry import HEADS, head_class
from stages.embed.pipeline.feature_blocks import iter_feature_blocks
from stages.fitting import runs
from stages.fitting.predictions import format_labels
from stages.fitting.stacking_inputs import build_scorer
from stages.predict import open_encoders
from tests.conftest import Run, started, write_csv
from tests.tiny_encoder import SENTENCES, make_encoder

HEADS_OF_ONE_LAYER = [name for name in HEADS if not head_class(name).every_layer]
QUICK_HEADS = ("linear", "cascade", "tfidf")  # the others take minutes: make test-long fits them too
EACH_HEAD = [
    pytest.param(head, marks=() if head in QUICK_HEADS else (pytest.mark.slow, pytest.mark.long))
    for head in HEADS_OF_ONE_LAYER
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, reuters_sample: list[Document]) -> Path:
    """A folder with the sample as a table, embedded once, for the tests of this file."""
    folder = tmp_path_factory.mktemp("desk")
    write_csv(folder / "sample.csv", reuters_sample)
    assert_done(started("embed", "sample.csv", cwd=folder))
    return folder


def assert_done(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=1800)  # against a hang: a slow machine needs ten minutes for all heads
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def fitted(desk: Path, request: pytest.FixtureRequest) -> dict[str, runs.Run]:
    """The heads that the selected tests need, fitted by one command."""
    selected = [item.name for item in request.session.items if item.path == request.path]
    heads = [
        head
        for head in HEADS_OF_ONE_LAYER
        if head in QUICK_HEADS or any(name.endswith(f"[{head}]") for name in selected)
    ]
    assert_done(started("fit-head", *heads, "--folds", "2", cwd=desk))
    return {run.record.head: run for run in runs.runs_in(desk / "runs")}


@pytest.fixture
def at_desk(desk: Path, embedonce: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call `embedonce` in the folder of the desk."""
    monkeypatch.chdir(desk)
    return embedonce


@pytest.mark.parametrize("head", EACH_HEAD)
def test_a_head_learns_the_labels(fitted: dict[str, runs.Run], head: str) -> None:
    assert fitted[head].scorecards["test"].accuracy.value > 0.7  # by chance 0.17


def test_a_second_embed_encodes_nothing(desk: Path, at_desk: Run) -> None:
    shards = {path: path.stat().st_mtime_ns for path in desk.glob("stores/*/shards/*")}
    report = json.loads(at_desk("embed", "sample.csv", "--json").out)
    assert report["encoded"] == 0
    assert {path: path.stat().st_mtime_ns for path in desk.glob("stores/*/shards/*")} == shards


def test_fitting_again_finds_the_run_that_it_made(at_desk: Run, fitted: dict[str, runs.Run]) -> None:
    before = (fitted["linear"].folder / "run.json").stat().st_mtime_ns
    assert at_desk("fit-head", "linear", "--folds", 2).code == 0
    assert (fitted["linear"].folder / "run.json").stat().st_mtime_ns == before


def test_compare_sorts_by_out_of_fold_metrics_and_writes_one_page(
    desk: Path, at_desk: Run, fitted: dict[str, runs.Run]
) -> None:
    shown = json.loads(at_desk("compare", "--json", "--html", "page.html").out)
    metrics = [row["out_of_fold"]["value"] for row in shown["rows"]]
    assert len(metrics) == len(fitted) and metrics == sorted(metrics, reverse=True)
    page = (desk / "page.html").read_text(encoding="utf-8")
    assert all(run.name in page for run in fitted.values()) and "http://" not in page.replace("http://www.w3.org", "")


@pytest.fixture(scope="module")
def raw(desk: Path, fitted: dict[str, runs.Run]) -> tuple[list[dict[str, str]], Shard]:
    """The documents of the test split, from their text, as `predict` encodes them: once for all heads."""
    with (desk / "sample.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    (encoder,) = open_encoders(fitted["linear"])
    (block,) = iter_feature_blocks([row["text"] for row in rows], [encoder])
    return rows, block.shards[0]


@pytest.mark.parametrize("head", EACH_HEAD)
def test_raw_text_gets_the_predictions_of_its_stored_features(
    fitted: dict[str, runs.Run], raw: tuple[list[dict[str, str]], Shard], head: str
) -> None:
    run, (rows, shard) = fitted[head], raw
    predictions = run.predictions().of("test")
    scores = build_scorer(run)([shard])[[[row["id"] for row in rows].index(name) for name in predictions.ids]]
    # another batch rounds the float32 sums, and so the kept float16, otherwise
    np.testing.assert_allclose(run.decision.probabilities(scores), predictions.probabilities, atol=5e-3)
    np.testing.assert_array_equal(run.decision.rule.decide(scores), predictions.predicted)


def test_predict_writes_that(
    desk: Path, at_desk: Run, fitted: dict[str, runs.Run], raw: tuple[list[dict[str, str]], Shard]
) -> None:
    run, (rows, _) = fitted["linear"], raw
    (desk / "new.jsonl").write_text(
        "".join(json.dumps({key: row[key] for key in ("id", "text")}) + "\n" for row in rows)
    )
    out = at_desk("predict", run.name, "new.jsonl", "--json").out
    answers = {answer["id"]: answer for answer in map(json.loads, out.splitlines())}
    predictions = run.predictions().of("test")
    shares = np.array(
        [[answers[name]["probabilities"][label] for label in run.record.labels] for name in predictions.ids]
    )
    np.testing.assert_allclose(shares, predictions.probabilities, atol=5e-3)
    named = [format_labels(codes, run.record.labels) for codes in predictions.predicted]
    assert [answers[name]["labels"][0] for name in predictions.ids] == named


def test_the_test_split_holds_no_training_document(fitted: dict[str, runs.Run], reuters_sample: list[Document]) -> None:
    sides = {document.id: document.split for document in reuters_sample}
    predictions = fitted["linear"].predictions()
    assert {sides[name] for name in predictions.of("test").ids} == {"test"}
    assert {sides[name] for name in predictions.of("train").ids} == {"train"}


def test_an_interrupted_embed_resumes(tmp_path: Path, embedonce: Run) -> None:
    make_encoder(tmp_path / "tiny")
    texts = [f"{number} {SENTENCES[number % len(SENTENCES)]}" for number in range(4000)]
    write_csv(tmp_path / "many.csv", [Document(str(row), text, ("some",)) for row, text in enumerate(texts)])
    process = started("embed", "many.csv", "--model", "./tiny", cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("stores/*/recipe.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted" in err and "Traceback" not in err
    report = json.loads(embedonce("embed", "many.csv", "--model", "./tiny", "--json").out)
    (folder,) = tmp_path.glob("stores/*")
    assert FeatureStore.open(folder).verify() == []
    assert report["encoded"] + report["already_stored"] == report["documents"] == 4000 and report["encoded"] > 0


@pytest.mark.long
def test_two_embeds_at_once_double_no_document(tmp_path: Path, reuters_sample: list[Document]) -> None:
    write_csv(tmp_path / "sample.csv", reuters_sample[:120])
    for process in [started("embed", "sample.csv", cwd=tmp_path) for _ in range(2)]:
        assert_done(process)
    (folder,) = tmp_path.glob("stores/*")
    store = FeatureStore.open(folder)
    table = store.corpus("sample")
    assert store.verify() == [] and len(store.bags(table.keys)) == len(table.ids) == 120
    assert store.documents == len(set(table.keys))
