"""One head on the features of several stores, and new text that goes through every encoder."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from data.errors import BadData, CallError
from featurestore import CorpusTable, FeatureStore, JoinedStores
from heads.classifiers.fused import FusedHead
from heads.classifiers.gated import GatedHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.stacking import StackingHead
from heads.testing import training_of
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from stages.stores import open_stores
from tests.conftest import Run
from tests.small_store import make_store
from tests.tiny_encoder import make_encoder

PLAN = FitPlan(head=LinearHead(), folds=3)


def halves(folder: Path) -> tuple[FeatureStore, FeatureStore, CorpusTable]:
    """Two stores for four labels: the first separates two pairs of labels, the second the labels of each pair."""
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=160)
    documents = [
        Document(f"d{row}", f"text {row}", ("abcd"[code],), "test" if row % 4 == 3 else "train")
        for row, code in enumerate(codes.tolist())
    ]
    vectors = [4 * np.eye(8)[half] + rng.normal(size=(160, 8)) for half in (codes // 2, codes % 2)]
    first, table = make_store(folder / "first", documents, vectors[0])
    second, _ = make_store(folder / "second", documents, vectors[1])
    return first, second, table


def test_together_they_know_what_each_alone_does_not(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    run, _ = fit_head(JoinedStores((first, second)), table, PLAN, tmp_path / "runs")
    assert run.scorecards["test"].accuracy.value > 0.9
    for alone in (first, second):
        found, _ = fit_head(alone, table, PLAN, tmp_path / alone.name)
        assert found.scorecards["test"].accuracy.value < 0.7 and found.name != run.name
    assert run.record.store == "first + second" and len(run.recipes) == 2
    assert len(run.record.shards) == 2


def test_a_gated_head_reads_each_store_by_itself_and_is_found_again(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    head = GatedHead(hidden=32, training=training_of(lr=0.01, device="cpu"))
    run, _ = fit_head(JoinedStores((first, second)), table, replace(PLAN, head=head), tmp_path / "runs")
    assert run.scorecards["test"].accuracy.value > 0.9
    assert run.record.inputs == ["cls@1", "mean@1", "max@1", "cls@2", "mean@2", "max@2"]
    bags = load_task(JoinedStores((first, second)), table).train
    np.testing.assert_array_equal(
        run.head().decision_function(bags), run.head().decision_function(bags.select_views(run.record.inputs))
    )


def test_only_runs_of_the_same_stores_are_stacked(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    both = JoinedStores((first, second))
    for plan in (PLAN, replace(PLAN, head=LinearHead(C=0.01))):
        fit_head(both, table, plan, tmp_path / "runs")
    alone, _ = fit_head(first, table, PLAN, tmp_path / "runs")
    upon = replace(PLAN, head=StackingHead())
    stack, _ = fit_head(both, table, upon, tmp_path / "runs")
    assert alone.name not in stack.record.base_runs and len(stack.record.base_runs) == 2
    with pytest.raises(CallError, match="1 store instead of 2"):
        fit_head(both, table, replace(upon, base_runs=[alone.name]), tmp_path / "runs")


def test_documents_that_a_further_store_lacks_are_counted(tmp_path: Path) -> None:
    first, _, table = halves(tmp_path)
    few, _ = make_store(tmp_path / "few", [Document("d0", "text 0", ("a",), "train")], np.zeros((1, 8)))
    with pytest.raises(BadData, match="few: 159 of 160 documents have no features"):
        load_task(JoinedStores((first, few)), table)


def test_one_is_read_as_it_is_and_none_twice(tmp_path: Path) -> None:
    first, second, _ = halves(tmp_path)
    names = [Path(store.name) for store in (first, second)]
    store, corpora = open_stores(names, tmp_path)
    assert store.name == "first + second" and corpora.name == "first"
    store, corpora = open_stores(names[1:], tmp_path)
    assert store is corpora and store.name == "second"
    with pytest.raises(CallError, match="first is named twice"):
        open_stores([names[0], names[1], tmp_path / "first"], tmp_path)


def test_without_a_name_the_newest_store_with_the_corpus_is_read(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    for seconds, store in ((1_000, first), (2_000, second)):
        for shard in (store.folder / "shards").iterdir():
            os.utime(shard, (seconds, seconds))
    first.save_corpus(replace(table, name="letters"))
    for corpus, expected in ((None, "second"), ("letters", "first"), ("made", "second"), ("leters", "second")):
        assert open_stores([], tmp_path, corpus)[1].name == expected


def test_all_layers_are_of_one_store(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    with pytest.raises(CallError, match="name one --store"):
        load_task(JoinedStores((first, second)), table, layer=None)


def test_new_text_goes_through_both_encoders(embedonce: Run, tmp_path: Path) -> None:
    words = {"ice": "puck goal skate", "space": "orbit moon rocket"}
    rows = [{"text": f"{words[label]} {row}", "label": label} for row in range(30) for label in words]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    models = [make_encoder(tmp_path / f"tiny-{seed}", seed=seed) for seed in range(2)]
    for model in models:
        assert embedonce("embed", "t.jsonl", "--model", model, "--store", f"of-{model.name}").code == 0
    stores = ["--store", "of-tiny-0", "--store", "of-tiny-1"]
    assert embedonce("fit-head", "linear", "--folds", "2", *stores).code == 0
    (run,) = runs.runs_in(tmp_path / "runs")
    done = embedonce("predict", run.name, "t.jsonl", "--json")
    answers = {answer["id"]: answer["probabilities"] for answer in map(json.loads, done.out.splitlines())}
    predictions = run.predictions().of("test")
    shares = [[answers[each][label] for label in run.record.labels] for each in predictions.ids]
    np.testing.assert_allclose(shares, predictions.probabilities, atol=1e-3)
    refused = embedonce("predict", run.name, "t.jsonl", "--encoder", models[0])
    assert refused.code == 2 and "give --encoder once for each" in refused.err
    refused = embedonce("explain", run.name, predictions.ids[0])
    assert refused.code == 2 and "one vector per document from each" in refused.err


def test_words_are_read_from_the_first_store_and_vectors_from_all(tmp_path: Path) -> None:
    first, second, table = halves(tmp_path)
    run, _ = fit_head(JoinedStores((first, second)), table, replace(PLAN, head=FusedHead()), tmp_path / "runs")
    assert run.scorecards["test"].accuracy.value > 0.85 and "token_ids" in run.record.inputs
