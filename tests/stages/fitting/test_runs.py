"""A run is complete or absent, and no file of it is read unless its hash is right."""

import csv
import errno
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.atomic_write import hash_file
from data.errors import BadData, FileMissing, RunDamaged, StorageFailed
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from stages.fitting import fit_head as module
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.predictions import CsvWriter, probability_columns
from stages.fitting.runs import Run
from tests.conftest import Run as EmbedOnce
from tests.faults.failing import fail_below
from tests.small_store import blobs, make_store


def fitted(folder: Path) -> Run:
    store, table = make_store(folder / "store", *blobs(["a", 'b, "quoted"', "ç\n"]))
    return fit_head(store, table, FitPlan(head=LinearHead(), folds=2), folder / "runs")[0]


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = fitted(tmp_path)
    predictions = run.predictions().of("test")
    head = run.head()
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    assert list(head.classes_) == list(run.record.labels)
    right = (predictions.truth == predictions.predicted).mean()
    assert run.scorecards["test"].accuracy.value == pytest.approx(right)


def test_a_label_named_like_another_column_gives_no_second_column_of_that_name(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["id", "prediction", "probability:id"]))
    plan = FitPlan(head=LinearHead(), folds=2, calibration="none")
    run, _ = fit_head(store, table, plan, tmp_path / "runs")
    header, *_ = (run.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert header == ("id,split,truth,prediction,probability:id,probability:prediction,probability:probability:id")
    assert run.predictions().probabilities.shape[1] == 3


def test_probabilities_have_the_names_of_their_labels_if_no_other_column_has() -> None:
    assert probability_columns(["earn", "ship"], ("id", "prediction")) == ["earn", "ship"]


def test_csv_has_one_line_end_and_cells_with_any_line_end_are_read_back() -> None:
    out, rows = io.StringIO(), [["id", "a,b"], ["one\r", 'two "x"'], ["three\n", "four\r\n"], ["", " "]]
    table = CsvWriter(out)
    for row in rows:
        table.writerow(row)
    assert out.getvalue().startswith('id,"a,b"\n"one\r",')
    assert list(csv.reader(io.StringIO(out.getvalue(), newline=""))) == rows


@pytest.mark.parametrize("file", ["decision.json", "scorecard.json", "predictions.csv", "scores.npy", "head/head.json"])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, file: str) -> None:
    run = fitted(tmp_path)
    path = run.folder / file
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    again = runs.load(run.folder)
    with pytest.raises(RunDamaged, match=f"{file} is missing or was changed"):
        (again.head(), again.predictions(), again.decision, again.scorecards)


def test_each_file_is_hashed_and_predictions_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, hashed = runs.load(fitted(tmp_path).folder), list[Path]()

    def count(path: Path) -> str:
        hashed.append(path)
        return hash_file(path)

    monkeypatch.setattr(runs, "hash_file", count)
    run.check("")
    assert run.predictions() is run.predictions()
    (run.head(), run.head(), run.decision, run.scorecards, run.groups(), run.folds())
    assert sorted(hashed) == sorted(run.folder / file for file in run.files)


def test_a_record_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    run = fitted(tmp_path)
    path = run.folder / "run.json"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunDamaged, match=r"run\.json cannot be read"):
        runs.load(run.folder)


@pytest.mark.parametrize(("number", "message"), [(99, "newer embedonce"), (1, "older embedonce")])
def test_a_run_of_another_format_is_refused(tmp_path: Path, number: int, message: str) -> None:
    run = fitted(tmp_path)
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))
    with pytest.raises(BadData, match=message):
        runs.load(run.folder)


def test_a_full_disk_leaves_no_run_and_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(module, "check_writable", lambda *_: None)  # the disk fills up later
    with pytest.raises(StorageFailed, match=r"No space left on device\. Make room and fit again\."):
        fit_head(store, table, FitPlan(head=LinearHead(), folds=2), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_disk_that_refuses_is_noticed_before_the_first_fit_and_stops_all_heads(
    embedonce: EmbedOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b"]))
    monkeypatch.setattr(LinearHead, "fit", None)  # calling it would raise TypeError
    monkeypatch.setattr(PrototypeHead, "fit", None)
    runs_folder = tmp_path / "runs"
    runs_folder.mkdir()
    fail_below(runs_folder, monkeypatch, "open", 1, for_good=True)
    commands = (
        ("fit-head", "linear", "prototype"),
        ("curve", "linear"),
        ("sweep", "linear", "--trials", "1"),
        ("curve", "linear", "--svg", runs_folder / "curve.svg"),
    )
    for command in commands:
        result = embedonce(*command, "--runs", runs_folder)
        assert result.code == 1 and result.err.count("runs cannot be written: No space left on device.") == 1
    assert list(runs_folder.iterdir()) == []


def test_a_run_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    run = fitted(tmp_path)
    (run.folder.parent / ".tmp-lstm-1234-1").mkdir()
    (run.folder.parent / ".tmp-lstm-1234-1" / "run.json").write_text("{}")
    assert [each.name for each in runs.runs_in(run.folder.parent)] == [run.name]


def _cut_short(run: Path) -> None:
    (run / "run.json").write_bytes((run / "run.json").read_bytes()[:100])


def _make_newer(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({**json.loads((run / "run.json").read_text()), "format": 99}))


def _replace_by_list(run: Path) -> None:
    (run / "run.json").write_text("[1]")


def _change_scorecard(run: Path) -> None:
    (run / "scorecard.json").write_text("{}")


def _change_predictions(run: Path) -> None:
    (run / "predictions.csv").write_text("")


HARMS = {
    "cut": _cut_short,
    "newer": _make_newer,
    "list": _replace_by_list,
    "scorecard": _change_scorecard,
    "predictions": _change_predictions,
}


def test_runs_that_cannot_be_read_are_left_out_with_their_names_and_the_reasons(
    embedonce: EmbedOnce, tmp_path: Path
) -> None:
    store, table = make_store(tmp_path / "stores" / "made-up", *blobs(["a", "b", "c"]))
    for head in (LinearHead(), PrototypeHead()):
        fit_head(store, table, FitPlan(head=head, folds=2), tmp_path / "runs")
    (linear,) = (tmp_path / "runs").glob("linear-*")
    for name, harm in HARMS.items():
        shutil.copytree(linear, tmp_path / "runs" / name)
        harm(tmp_path / "runs" / name)
    compared = embedonce("compare", "--html", "report.html")
    stacked = embedonce("fit-head", "stack", "--folds", "2", "--jobs", "1")
    for result, left_out in ((compared, HARMS), (stacked, HARMS.keys() - {"scorecard"})):  # which a stack does not read
        assert result.code == 0, result.err
        notes = [line for line in result.err.splitlines() if " is left out: runs/" in line]
        assert len(notes) == len(left_out) and all(f"The run {name} is left out: " in result.err for name in left_out)
    assert linear.name in compared.out and not any(f" {name} " in compared.out for name in HARMS)
    assert f"Known: cut, {linear.name}" in embedonce("predict", "nothing", "new.csv").err


def test_a_folder_whose_only_run_cannot_be_read_names_it(embedonce: EmbedOnce, tmp_path: Path) -> None:
    _make_newer(fitted(tmp_path).folder)
    result = embedonce("compare")
    assert result.code == 1 and "holds no run that can be read. The run linear-" in result.err
    assert "was made by a newer embedonce" in result.err


def test_a_misspelt_run_names_the_nearest(tmp_path: Path) -> None:
    run = fitted(tmp_path)
    with pytest.raises(FileMissing, match=f"Did you mean '{run.name}'"):
        runs.load(run.folder.with_name(run.name.replace("linear", "liner")))
