"""Stacking ensembles: which runs match, that no label leaks, and that new text gets the same predictions."""

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError, FileMissing
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from heads.core.head import Head
from stages.comparing.table import compare
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.stacking_inputs import build_scorer
from tests.conftest import Run
from tests.small_store import blobs, make_store
from tests.tiny_encoder import make_encoder

BASES: tuple[Head, ...] = (LinearHead(), PrototypeHead())
STACK = FitPlan(head=StackingHead(), folds=3)


def fitted(
    folder: Path, store: FeatureStore, table: CorpusTable, heads: Sequence[Head] = BASES, **plan: Any
) -> list[str]:
    return [fit_head(store, table, FitPlan(head=head, folds=3, **plan), folder / "runs")[0].name for head in heads]


def make_overlapping_store(folder: Path) -> tuple[FeatureStore, CorpusTable]:
    documents, vectors = blobs(["a", "b", "c"], documents=200)
    return make_store(folder / "store", documents, vectors / 4 + np.random.default_rng(5).normal(size=vectors.shape))


def test_it_uses_all_matching_runs_and_a_note_names_them(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    names = fitted(tmp_path, store, table)
    fitted(tmp_path, store, table, [LinearHead(C=3)], seed=4)  # other folds
    run, fresh = fit_head(store, table, STACK, tmp_path / "runs")
    assert fresh and run.record.base_runs == sorted(names) == run.record.inputs
    assert any(f"This run depends on {', '.join(sorted(names))}" in note for note in run.record.notes)
    assert any("slightly too high" in note for note in run.record.notes)
    assert not compare([run]).notes
    assert (
        f"The out-of-fold metrics of {run.name} are slightly too high compared with runs that are no stacking "
        "ensemble; see the notes on the run."
    ) in compare([run, runs.load(tmp_path / "runs" / names[0])]).notes
    assert [row.inputs for row in compare([run]).rows] == ["scores of 2 runs"]
    base = [runs.load(tmp_path / "runs" / name).record.predict_milliseconds for name in names]
    assert run.record.predict_milliseconds > sum(base)
    again, fresh = fit_head(store, table, STACK, tmp_path / "runs")
    assert not fresh and again.folder == run.folder  # and a stack stands on no stack


def test_other_base_runs_are_another_run(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    names = fitted(tmp_path, store, table, [*BASES, LinearHead(C=3)])
    three, _ = fit_head(store, table, STACK, tmp_path / "runs")
    two, fresh = fit_head(
        store, table, replace(STACK, base_runs=[f"runs/{name}/" for name in names[:2]]), tmp_path / "runs"
    )
    assert fresh and three.name != two.name and two.record.base_runs == sorted(names[:2])


def test_out_of_fold_it_saw_neither_the_document_nor_its_group(tmp_path: Path) -> None:
    # labels dealt out at random: whoever had seen them would know them
    documents, vectors = blobs(["a", "b", "c", "d"], documents=400)
    shuffled = np.random.default_rng(1).permutation(len(documents))
    mixed = [replace(each, labels=documents[other].labels) for each, other in zip(documents, shuffled, strict=True)]
    store, table = make_store(tmp_path / "store", mixed, vectors)
    fitted(tmp_path, store, table)
    run, _ = fit_head(store, table, STACK, tmp_path / "runs")
    for card in run.scorecards.values():
        assert card.accuracy.value < 0.40


def test_the_labels_of_the_test_split_change_only_its_metrics(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    lied = [replace(each, labels=("a",)) if each.split == "test" else each for each in documents]
    predictions = []
    for name, reported in (("honest", documents), ("fooled", lied)):
        store, table = make_store(tmp_path / name / "store", reported, vectors)
        fitted(tmp_path / name, store, table)
        predictions.append(fit_head(store, table, STACK, tmp_path / name / "runs")[0].predictions())
    np.testing.assert_array_equal(predictions[0].probabilities, predictions[1].probabilities)
    np.testing.assert_array_equal(predictions[0].predicted, predictions[1].predicted)


def test_it_predicts_the_same_from_features_as_on_the_test_split(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    fitted(tmp_path, store, table)
    run, _ = fit_head(store, table, STACK, tmp_path / "runs")
    predictions = run.predictions().of("test")
    (shard,) = store.shards()
    rows = [list(table.ids).index(each) for each in predictions.ids]  # `make_store` keeps the order
    shares = run.decision.probabilities(build_scorer(run)([shard])[rows])
    np.testing.assert_allclose(shares, predictions.probabilities, atol=1e-4)


def test_multilabel_runs_are_stacked(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], documents=160)
    both = [
        replace(each, labels=(*(each.labels or ()), "late")) if row > 80 else each for row, each in enumerate(documents)
    ]
    vectors[81:, 7] += 5
    store, table = make_store(tmp_path / "store", both, vectors, kind="multilabel")
    fitted(tmp_path, store, table)
    run, _ = fit_head(store, table, STACK, tmp_path / "runs")
    assert run.scorecards["test"].micro_f1.value > 0.9 and run.predictions().truth.dtype == bool


def test_a_label_that_no_fold_or_only_the_test_split_has_is_no_obstacle(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "d"], documents=120)
    documents[3] = replace(documents[3], labels=("c only here",))
    documents[4] = replace(documents[4], labels=("rare",))
    store, table = make_store(tmp_path / "store", documents, vectors)
    fitted(tmp_path, store, table)
    run, _ = fit_head(store, table, STACK, tmp_path / "runs")
    assert run.scorecards["test"].accuracy.value > 0.9 and "rare" in run.head().classes_


def test_fewer_than_two_are_refused(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    (name,) = fitted(tmp_path, store, table, BASES[:1])
    for plan in (STACK, replace(STACK, base_runs=[name])):
        with pytest.raises(CallError, match=r"at least two runs .* folds \(3\) and seed \(0\), .* has 1\. Fit more"):
            fit_head(store, table, plan, tmp_path / "runs")
    with pytest.raises(FileMissing, match=f"Did you mean '{name}'"):
        fit_head(store, table, replace(STACK, base_runs=[name.replace("linear", "liner"), name]), tmp_path / "runs")


def test_a_run_that_does_not_match_is_named_with_the_difference(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    names = fitted(tmp_path, store, table)
    stack, _ = fit_head(store, table, STACK, tmp_path / "runs")
    (seeded,) = fitted(tmp_path, store, table, BASES[:1], seed=4)
    for odd, sentence in (
        (stack.name, "it is a stacking ensemble itself"),
        (seeded, "has 3 folds and seed 4 instead of 3 and 0"),
    ):
        with pytest.raises(CallError, match=f"{odd} cannot be stacked here: .*{sentence}"):
            fit_head(store, table, replace(STACK, base_runs=[*names, odd]), tmp_path / "runs")
    documents, vectors = blobs(["a", "b", "c"], documents=160)
    other = make_store(tmp_path / "other", documents, vectors)
    with pytest.raises(CallError, match="documents, labels or splits of made have changed since it was fitted"):
        fit_head(*other, replace(STACK, base_runs=names), tmp_path / "runs")
    path = tmp_path / "runs" / names[0] / "run.json"
    content = json.loads(path.read_text())
    content["recipe"]["window"] = 99
    path.write_text(json.dumps(content))
    with pytest.raises(CallError, match=r"features have another recipe .*window"):
        fit_head(store, table, replace(STACK, base_runs=names), tmp_path / "runs")


def test_a_stacking_ensemble_without_one_of_its_runs_names_it(tmp_path: Path) -> None:
    store, table = make_overlapping_store(tmp_path)
    names = fitted(tmp_path, store, table)
    run, _ = fit_head(store, table, STACK, tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs" / names[1])
    with pytest.raises(FileMissing, match=f"{run.name} needs the run {names[1]}, which is not in"):
        build_scorer(run)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit-head", "stack"], "A stacking ensemble needs at least two runs"),
        (["fit-head", "linear", "--run", "lstm-1"], "--run is only for stack; other heads read features."),
        (["curve", "stack"], "stack combines whole runs"),
    ],
)
def test_a_wrong_call_is_one_sentence(embedonce: Run, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    make_store(tmp_path / "stores" / "store", *blobs(["a", "b", "c"]))
    result = embedonce(*arguments)
    assert (result.code, result.out) == (2, "") and sentence in result.err


def test_new_text_goes_through_every_base_run(embedonce: Run, tmp_path: Path) -> None:
    words = {"hockey": "ice puck goal", "autos": "car motor wheel", "space": "orbit moon rocket"}
    rows = [f"{label} {row},{word} number {row},{label}" for label in words for row, word in _texts(words[label])]
    (tmp_path / "t.csv").write_text("\n".join(["id,text,label", *rows]) + "\n")
    model = make_encoder(tmp_path / "tiny")
    assert embedonce("embed", "t.csv", "--model", model).code == 0
    for head in ("linear", "prototype", "stack"):
        assert embedonce("fit-head", head, "--folds", "3").code == 0
    (run,) = [each for each in runs.runs_in(tmp_path / "runs") if each.record.head == "stack"]
    predictions = run.predictions().of("test")
    lines = embedonce("predict", run.name, "t.csv", "--json").out.splitlines()
    answers = {each["id"]: each for each in map(json.loads, lines)}
    shares = np.array(
        [[answers[each]["probabilities"][label] for label in run.record.labels] for each in predictions.ids]
    )
    np.testing.assert_allclose(shares, predictions.probabilities, atol=5e-3)


def _texts(words: str) -> list[tuple[int, str]]:
    chance = random.Random(words)
    return [(row, " ".join(chance.choices(words.split(), k=9))) for row in range(24)]
