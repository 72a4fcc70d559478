"""Where two runs differ: the counts, the labels won and lost, the documents, and the ways to write them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from data.errors import CallError
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from stages.comparing.disagreement import Disagreement, add_texts, find_differences
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store

LABELS = ["a", "=b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the store that they were fitted on and the source of its texts."""
    path = tmp_path_factory.mktemp("differences")
    documents, vectors = blobs(LABELS)
    vectors += 4 * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    store, table = make_store(path / "stores" / "one", documents, vectors)
    source = path / "made.csv"
    lines = ["text,label", *(f'"{one.text}",{(one.labels or ("",))[0]}' for one in documents)]
    source.write_text("\n".join(lines) + "\n")
    store.save_corpus(replace(table, source=str(source)))
    for head in (LinearHead(), PrototypeHead()):
        fit_head(store, table, FitPlan(head=head, folds=2), path / "runs")
    return path


@pytest.fixture(scope="module")
def pair(folder: Path) -> tuple[runs.Run, runs.Run]:
    first, second = runs.runs_in(folder / "runs")
    return first, second


Pair = tuple[runs.Run, runs.Run]


@pytest.fixture(scope="module")
def found(pair: Pair) -> Disagreement:
    return find_differences(*pair)


def test_counts_documents_and_kappa_are_those_of_both_predictions(pair: Pair, found: Disagreement) -> None:
    one, other = (run.predictions().of("train") for run in pair)
    right = [each.predicted == each.truth for each in (one, other)]
    assert found.split == "train" and found.scored == 90
    assert (found.both, found.only_first) == (int((right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum()))
    assert found.accuracy_difference.value == pytest.approx(right[0].mean() - right[1].mean())
    assert found.agreement == pytest.approx(float((one.predicted == other.predicted).mean()))
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score(one.predicted, other.predicted))
    assert len(found.documents) == found.only_first + found.only_second > 0
    for document in found.documents:
        row = list(one.ids).index(document.id)
        right_run = pair[0] if right[0][row] else pair[1]
        assert document.right == right_run.name and right[0][row] != right[1][row]
        assert document.truth == [*sorted(LABELS)][one.truth[row]]


def test_labels_are_ordered_from_won_to_lost_with_their_f1(pair: Pair, found: Disagreement) -> None:
    balances = [label.only_first - label.only_second for label in found.labels]
    assert balances == sorted(balances, reverse=True) and balances
    names, predictions = [*sorted(LABELS)], pair[0].predictions().of("train")
    by_label = dict(zip(names, f1_score(predictions.truth, predictions.predicted, average=None), strict=True))
    for label in found.labels:
        assert label.first_f1 == pytest.approx(by_label[label.label]) and 0 < label.p_value <= 1


def test_a_label_that_one_run_always_gets_right_is_won_clearly(pair: Pair) -> None:
    class Perfect(runs.Run):
        def predictions(self):  # type: ignore[no-untyped-def]
            known = super().predictions()
            return replace(known, predicted=known.truth)

    run = pair[1]
    found = find_differences(Perfect(run.folder, run.record, run.files), run)
    assert found.only_second == 0 and found.p_value < 0.01
    assert any(label.is_clear for label in found.labels) and not any(label.is_clear for label in same(run).labels)


def same(run: runs.Run) -> Disagreement:
    return find_differences(run, run)


def test_a_run_does_not_differ_from_itself(pair: Pair) -> None:
    found = same(pair[0])
    assert not found.documents and not found.labels and found.agreement == 1 and found.p_value == 1
    assert found.kappa is not None and found.kappa.value == 1


def test_other_labels_and_splits_that_were_not_scored_are_refused(pair: Pair, tmp_path: Path) -> None:
    other, _ = fit_head(
        *make_store(tmp_path / "store", *blobs(["a", "x"])), FitPlan(head=LinearHead(), folds=2), tmp_path
    )
    with pytest.raises(CallError, match="have different labels"):
        find_differences(pair[0], other)
    with pytest.raises(CallError, match=r"was not scored on the split validation. Choose --split train or test"):
        find_differences(*pair, split="validation")
    assert find_differences(*pair, split="test").scored == 30


def test_texts_come_from_the_source_and_a_note_says_if_they_cannot(
    found: Disagreement, pair: Pair, folder: Path, tmp_path: Path
) -> None:
    with_texts = add_texts(found, pair[0], folder / "stores")
    assert [each.text for each in with_texts.documents] == [f"text {each.id[1:]}" for each in found.documents]
    without = add_texts(found, pair[0], tmp_path)
    assert without.documents == found.documents
    assert without.notes[0].startswith("The texts are not available: ")


def test_the_command_shows_them_in_the_terminal_as_json_and_as_csv(
    embedonce: Run, folder: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    names = [run.name for run in pair]
    call = ["compare", *names, "--differences", "--runs", folder / "runs", "--stores", folder / "stores"]
    shown = embedonce(*call)
    assert shown.code == 0 and f"only {names[0]} on" in shown.out and "kappa" in shown.out and "text " in shown.out
    content = json.loads(embedonce(*call, "--json").out)
    rows = list(csv.DictReader(embedonce(*call, "--format", "csv").out.splitlines()))
    assert [row["id"] for row in rows] == [each["id"] for each in content["documents"]]
    assert {row["truth"] for row in rows} <= {"a", "'=b", "c"} and {each["truth"] for each in content["documents"]} <= {
        *LABELS
    }
    assert rows[0]["text"].startswith("text ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--differences", "--filter", "head=linear"], "--differences is for two runs, and 1 is selected"),
        (["--differences", "--format", "latex"], "is written with --format csv or json"),
        (["--split", "test"], "--split is for --differences"),
        (["--differences", "--cost", "size", "--metric", "mcc"], "--metric, --cost are for the table of runs, not for"),
        (["--group-by", "year", "--margin", "0.1"], "--margin is for the table of runs, not for --group-by"),
    ],
)
def test_options_that_do_not_fit_are_refused(embedonce: Run, folder: Path, options: list[str], message: str) -> None:
    refused = embedonce("compare", "--runs", folder / "runs", *options)
    assert refused.code == 2 and message in " ".join(refused.err.split())
