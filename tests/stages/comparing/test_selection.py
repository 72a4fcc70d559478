"""Which runs `compare` selects: by filters, and on the same documents."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedonce as api
from data.documents import Document
from data.errors import CallError, RunDamaged, UnknownName
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.evaluation.metrics import scorecard
from stages.comparing.keys import RunFilter, flatten
from stages.comparing.selection import on_same_documents, select_runs
from stages.comparing.table import compare
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run
from tests.small_store import blobs, make_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on 120 documents; the newest is on the first 80 in reverse order, of which two have another label."""
    path = tmp_path_factory.mktemp("selection")
    documents, vectors = blobs(["a", "b", "c"])
    vectors += 4 * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    first = make_store(path / "first", documents, vectors)
    for head in (LinearHead(C=0.5), PrototypeHead()):
        fit_head(*first, FitPlan(head=head, folds=2, seed=3), path / "runs")
    changed = [_relabeled(one) if row < 2 else one for row, one in enumerate(documents[:80])]
    store, table = make_store(path / "second", changed[::-1], vectors[79::-1])
    newer, _ = fit_head(store, replace(table, name="second"), FitPlan(head=LinearHead(), folds=2), path / "runs")
    text = (newer.folder / "run.json").read_text()
    (newer.folder / "run.json").write_text(text.replace(newer.record.created, "2100-01-01T00:00:00+00:00"))
    return path / "runs"


def _relabeled(document: Document) -> Document:
    assert document.labels is not None
    return replace(document, labels=({"a": "b", "b": "c", "c": "a"}[document.labels[0]],))


@pytest.fixture
def by_name(folder: Path) -> Mapping[str, runs.Run]:
    return {f"{run.record.head} {run.record.corpus}": run for run in runs.runs_in(folder)}


def folds_by_id(run: runs.Run) -> dict[str, int]:
    folds = run.folds()
    assert folds is not None
    return dict(zip(run.predictions().of("train").ids, folds.tolist(), strict=True))


def filtered(folder: Path, *filters: str) -> set[str]:
    selected = select_runs((), folder, filters=[RunFilter.parse(text) for text in filters])
    return {f"{run.record.head} {run.record.corpus}" for run in selected}


def test_filters_are_on_keys_of_the_record_and_a_repeated_key_takes_either_value(folder: Path) -> None:
    assert filtered(folder, "corpus=made") == {"linear made", "prototype made"}
    assert filtered(folder, "corpus=made", "head=linear") == {"linear made"}
    assert filtered(folder, "corpus=made", "head=linear", "head=prototype") == {"linear made", "prototype made"}
    assert filtered(folder, "seed=3", "C=0.50") == {"linear made"}  # hyperparameters.C, as a number
    assert filtered(folder, "documents.train=90", "run=proto*") == {"prototype made"}
    assert filtered(folder, "labels=b", "corpus=sec*") == {"linear second"}


def test_files_of_runs_that_a_filter_leaves_out_are_not_read(folder: Path, tmp_path: Path) -> None:
    runs_folder, said = shutil.copytree(folder, tmp_path / "runs"), list[str]()
    (damaged,) = runs_folder.glob("prototype-*")
    (damaged / "scores.npy").write_bytes(b"")
    select_runs((), runs_folder, said.append, filters=[RunFilter.parse("head=linear")], common=True)
    assert not any("is left out" in sentence for sentence in said)
    with pytest.raises(RunDamaged, match=f"holds no run that can be read. The run {damaged.name} is left out"):
        select_runs((), runs_folder, filters=[RunFilter.parse("head=prototype")])


def test_hyperparameters_inside_others_have_keys_with_their_names() -> None:
    nested = {"pooling": {"tuple": ["cls", "max"]}, "training": {"nested": {"optimization": {"nested": {"lr": 0.002}}}}}
    assert flatten({"hyperparameters": nested}) == {
        "hyperparameters.pooling": ["cls", "max"],
        "hyperparameters.training.optimization.lr": 0.002,
    }


def test_an_unknown_key_and_a_value_of_no_run_are_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownName, match=r"No run has a value 'haed'. Did you mean 'head'\?"):
        filtered(folder, "haed=linear")
    with pytest.raises(CallError, match=r"No run has head=linera. Did you mean 'linear'\?"):
        filtered(folder, "head=linera")
    with pytest.raises(CallError, match=r"--filter head has no value. Write KEY=VALUE"):
        RunFilter.parse("head")


def test_of_a_folder_the_documents_of_the_newest_run_are_compared_and_a_sentence_names_the_others(folder: Path) -> None:
    said: list[str] = []
    (run,) = select_runs((), folder, said.append)
    assert run.record.corpus == "second"
    assert said == [
        "2 runs on other documents (made) are left out, because the newest run is on second: see them with --filter "
        "corpus=made, or add --common to compare all on the documents that they share."
    ]


def test_named_runs_on_different_documents_are_refused(folder: Path, by_name: Mapping[str, runs.Run]) -> None:
    names = [run.name for run in by_name.values()]
    with pytest.raises(CallError, match="scored on 2 different sets of documents") as raised:
        select_runs(names, folder)
    assert all(name in str(raised.value) for name in names) and "--common" in str(raised.value)
    with pytest.raises(CallError, match="cannot be compared"):
        api.compare([run.folder for run in by_name.values()])


def test_common_compares_on_the_documents_that_all_scored_with_the_same_label(
    folder: Path, by_name: Mapping[str, runs.Run]
) -> None:
    said: list[str] = []
    selected = select_runs((), folder, said.append, common=True)
    assert said == [
        "Compared on the 58 training and 20 test documents that all runs scored (--common), matched by id; 2 documents "
        "with another label in some run left out: all metrics are of these alone."
    ]
    for run in selected:
        predictions, folds = run.predictions().of("train"), run.folds()
        assert sorted(predictions.ids) == sorted(f"d{row}" for row in range(2, 80) if row % 4 != 3)
        assert predictions.ids == selected[0].predictions().of("train").ids  # also if their corpora are in other orders
        assert folds is not None and len(folds) == len(run.predictions().scores) - 20 == 58
        assert dict(zip(predictions.ids, folds, strict=True)).items() <= folds_by_id(runs.load(run.folder)).items()
        expected = scorecard(predictions.truth, predictions.predicted, ["a", "b", "c"], run.record.seed)
        assert run.scorecards["out_of_fold"].macro_f1 == expected.macro_f1
    comparison = compare(selected)
    assert len(comparison.rows) == 3 and comparison.rows[1].difference is not None
    assert comparison.optimism is not None and comparison.optimism.candidates == 3
    assert not any("different sets" in note for note in comparison.notes)
    assert select_runs([by_name["linear made"].name], folder, common=True) == [by_name["linear made"]]


def test_common_refuses_other_labels_and_runs_without_a_common_document(
    tmp_path: Path, by_name: Mapping[str, runs.Run]
) -> None:
    documents, vectors = blobs(["a", "b", "x"])
    other, _ = fit_head(
        *make_store(tmp_path / "x", documents, vectors), FitPlan(head=PrototypeHead(), folds=2), tmp_path
    )
    with pytest.raises(CallError, match=r"have different labels \('c', 'x' only in one of them\)"):
        on_same_documents([by_name["linear made"], other], lambda _: None, common=True)
    renamed = [replace(one, id=f"new {one.id}") for one in blobs(["a", "b", "c"])[0]]
    store = make_store(tmp_path / "y", renamed, vectors)
    other, _ = fit_head(*store, FitPlan(head=PrototypeHead(), folds=2), tmp_path)
    with pytest.raises(CallError, match="no documents in common that have the same id, split and label"):
        on_same_documents([by_name["linear made"], other], lambda _: None, common=True)


def test_the_command_prints_the_sentence_and_the_error(embedonce: Run, folder: Path) -> None:
    shown = embedonce("compare", "--runs", folder)
    assert shown.code == 0 and "2 runs on other documents (made) are left out" in " ".join(shown.err.split())
    refused = embedonce("compare", "--runs", folder, "--filter", "sead=3")
    assert refused.code == 2 and "Did you mean 'seed'?" in refused.err
