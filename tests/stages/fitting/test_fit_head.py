"""Stage two: what a fit may read, what it writes, and that its metrics are honest."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from data.errors import BadData, CallError, FileMissing, UnknownName
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.layermix import LayerMixHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.core.hyperparameters import to_json, with_explicit_defaults
from heads.registry import HEADS
from heads.testing import training_of
from heads.training.config import Training
from stages.comparing.report_views import make_run_views
from stages.fitting import runs
from stages.fitting.cross_fitting import FitProgress
from stages.fitting.fit_head import fit_head
from stages.fitting.head_options import parse_heads
from stages.fitting.plan import FitPlan, configure_head
from stages.fitting.stacking_inputs import build_scorer
from stages.fitting.task import load_task
from stages.stores import open_corpus, open_store
from tests.conftest import Run
from tests.small_store import blobs, make_store

PLAN = FitPlan(head=LinearHead(), folds=3)


def test_more_folds_than_training_documents_are_refused(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    with pytest.raises(CallError, match=r"folds is 1000, but there are .* training documents\. Choose at most"):
        fit_head(store, table, FitPlan(head=LinearHead(), folds=1000), tmp_path / "runs")


def test_a_run_learns_the_labels_and_records_its_time(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    reported: list[FitProgress] = []
    run, fresh = fit_head(
        store, table, PLAN, tmp_path / "runs", command="embedonce fit-head linear", on_progress=reported.append
    )
    assert fresh and run.scorecards["test"].accuracy.value > 0.9
    assert run.record.documents == {"train": 90, "test": 30}
    assert [now.step for now in reported] == [0, 0, 1, 2, 3, 4] and {now.steps for now in reported} == {5}
    assert set(run.record.seconds) == {"out_of_fold", "decision", "fit", "test"}


def test_random_labels_are_not_learned(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c", "d"], documents=400)
    shuffled = np.random.default_rng(1).permutation(len(documents))
    mixed = [replace(each, labels=documents[other].labels) for each, other in zip(documents, shuffled, strict=True)]
    run, _ = fit_head(*make_store(tmp_path / "store", mixed, vectors), PLAN, tmp_path / "runs")
    for card in run.scorecards.values():
        assert card.accuracy.low < 0.30 and card.accuracy.value < 0.40


def test_the_same_plan_on_the_same_documents_is_the_same_run(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    first, fresh = fit_head(store, table, PLAN, tmp_path / "runs")
    again, once_more = fit_head(store, table, PLAN, tmp_path / "runs")
    assert (fresh, once_more) == (True, False) and first.folder == again.folder


@pytest.mark.parametrize(
    "other",
    [replace(PLAN, seed=1), replace(PLAN, folds=4), replace(PLAN, tune=False), FitPlan(head=LinearHead(C=2), folds=3)],
)
def test_another_plan_is_another_run(tmp_path: Path, other: FitPlan) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    assert PLAN.identity(store, load_task(store, table)) != other.identity(store, load_task(store, table))


def test_the_name_of_a_run_depends_on_defaults_which_it_records(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    implicit, explicit = (FitPlan(head=MLPHead(training=training), folds=3) for training in (None, Training()))
    found = load_task(store, table)
    assert implicit.identity(store, found) == explicit.identity(store, found)
    assert replace(explicit, head=MLPHead(training=training_of(epochs=99))).identity(store, found) != explicit.identity(
        store, found
    )
    quick = replace(implicit, head=MLPHead(hidden=4, training=training_of(epochs=1, min_steps=1, precision="float32")))
    run, _ = fit_head(store, table, quick, tmp_path / "runs")
    assert run.record.hyperparameters["training"]["nested"]["optimization"]["nested"]["epochs"] == 1
    chosen = {"epochs": 1, "passes": 1, "batch_size": 16, "steps": 6, "precision": "float32"}  # of 90 documents
    assert run.record.training == chosen
    assert make_run_views([run])[0].training == "1 epoch, 6 batches of 16 documents, float32"
    explicit_training = to_json(with_explicit_defaults(Training()))
    assert to_json(configure_head(MLPHead(), found.target).training) == explicit_training


def test_the_labels_of_the_test_split_change_only_its_metrics(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    lied = [replace(each, labels=("a",)) if each.split == "test" else each for each in documents]
    honest, _ = fit_head(*make_store(tmp_path / "one", documents, vectors), PLAN, tmp_path / "runs")
    fooled, _ = fit_head(*make_store(tmp_path / "two", lied, vectors), PLAN, tmp_path / "runs")
    assert honest.folder != fooled.folder
    assert honest.decision.to_json() == fooled.decision.to_json()
    predictions, reported = honest.predictions(), fooled.predictions()
    np.testing.assert_array_equal(predictions.probabilities, reported.probabilities)
    np.testing.assert_array_equal(predictions.predicted, reported.predicted)


def test_duplicate_texts_are_in_one_fold(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=80)
    twins = [replace(each, id=f"twin of {each.id}") for each in documents]
    found = load_task(*make_store(tmp_path / "store", [*documents, *twins], np.concatenate([vectors, vectors])))
    group = dict(zip(found.train_ids, found.groups.tolist(), strict=True))
    assert all(group[f"twin of {each.id}"] == group[each.id] for each in documents if each.split == "train")
    assert len(set(group.values())) == 60


def test_a_label_that_only_the_test_split_has_is_noted_and_counts_as_missed(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    documents[3] = replace(documents[3], labels=("unheard",))
    run, _ = fit_head(*make_store(tmp_path / "store", documents, vectors), PLAN, tmp_path / "runs")
    (metrics,) = [each for each in run.scorecards["test"].labels if each.label == "unheard"]
    assert (metrics.support, metrics.f1) == (1, 0.0)
    assert any("'unheard'" in note for note in run.record.notes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_label_of_few_documents_is_trained_and_reported(tmp_path: Path, count: int) -> None:
    documents, vectors = blobs(["a", "b"], documents=100)
    rare = [row for row, each in enumerate(documents) if each.split == "train"][:count]
    for row in rare:
        documents[row] = replace(documents[row], labels=("rare",))
    vectors[rare] = 9.0
    run, _ = fit_head(*make_store(tmp_path / "store", documents, vectors), replace(PLAN, folds=5), tmp_path / "runs")
    assert "rare" in run.head().classes_
    assert any("'rare'" in note for note in run.record.notes)


def test_multilabel_documents_are_fitted_and_stored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], documents=160)
    both = [
        replace(each, labels=(*(each.labels or ()), "late")) if row > 80 else each for row, each in enumerate(documents)
    ]
    vectors[81:, 7] += 5
    run, _ = fit_head(*make_store(tmp_path / "store", both, vectors, kind="multilabel"), PLAN, tmp_path / "runs")
    predictions = run.predictions().of("test")
    assert predictions.truth.dtype == bool and run.scorecards["test"].micro_f1.value > 0.9
    assert run.record.labels == ["a", "b", "c", "late"]


def test_an_empty_training_split_and_a_single_label_are_refused(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    untested = [replace(each, split="test") for each in documents]
    with pytest.raises(BadData, match="the training split is empty"):
        load_task(*make_store(tmp_path / "one", untested, vectors))
    same = [replace(each, labels=("a",)) for each in documents]
    with pytest.raises(BadData, match=r"every training document has the same label \('a'\)"):
        load_task(*make_store(tmp_path / "two", same, vectors))


def test_a_weight_file_names_labels_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"a": 1, "bb": 5}))
    (head,) = parse_heads(["linear"], class_weight=str(path))
    _, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    store = open_store(tmp_path / "store", tmp_path)
    with pytest.raises(UnknownName, match=r"No label is called 'bb'"):
        configure_head(head, load_task(store, table).target)


def test_a_local_classifier_that_a_run_cannot_save_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    task = load_task(*make_store(tmp_path / "store", *blobs(["a", "b"])))
    with pytest.raises(CallError, match=r"^A run cannot save GaussianNB without pickle\. Use a head of embedonce"):
        configure_head(CascadeHead(local=GaussianNB()), task.target)


def test_all_is_every_head_and_takes_no_hyperparameter() -> None:
    assert {head.name for head in parse_heads(["all"], layers=2)} == set(HEADS)
    with pytest.raises(CallError, match="for one head: fit it alone"):
        parse_heads(["all"], ["C=1"])


def test_several_heads_are_made_once_each_in_the_order_of_their_names() -> None:
    names = ["stack", "linear", "all", "linear"]
    assert [head.name for head in parse_heads(names, layers=2)][:2] == ["stack", "linear"]
    assert sorted(head.name for head in parse_heads(names, layers=2)) == sorted([*HEADS, "stack"])


def test_all_leaves_out_heads_that_combine_layers_if_there_is_one() -> None:
    assert set(HEADS) - {head.name for head in parse_heads(["all"], layers=1)} == {"layermix"}
    assert [head.name for head in parse_heads(["layermix"], layers=1)] == ["layermix"]


def test_a_head_that_reads_every_layer_finds_what_the_chosen_one_lacks(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    layers = np.stack([vectors, np.random.default_rng(1).normal(size=vectors.shape)], axis=1)
    store, table = make_store(tmp_path / "store", documents, layers)
    mixed, last = (
        fit_head(store, table, replace(PLAN, head=head), tmp_path / "runs")[0]
        for head in (LayerMixHead(hidden=8, training=training_of(lr=0.02, device="cpu")), LinearHead())
    )
    assert (mixed.record.layer, last.record.layer) == (None, -1)
    assert mixed.scorecards["test"].accuracy.value > 0.9 > 0.6 > last.scorecards["test"].accuracy.value
    predictions = mixed.predictions().of("test")
    (shard,) = store.shards()
    shares = mixed.decision.probabilities(build_scorer(runs.load(mixed.folder))([shard]))
    rows = [table.ids.index(each) for each in predictions.ids]  # the shard keeps the table's order
    np.testing.assert_allclose(shares[rows], predictions.probabilities, atol=1e-6)


def test_a_store_is_chosen_by_name_or_as_the_newest(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="embedonce embed FILE"):
        open_store(None, tmp_path)
    make_store(tmp_path / "one", *blobs(["a", "b"]))
    assert open_store(Path("one"), tmp_path).name == open_store(None, tmp_path).name == "one"
    with pytest.raises(UnknownName, match="Did you mean 'made'"):
        open_corpus(open_store(None, tmp_path), "maid")


@pytest.mark.parametrize(
    ("rare", "group", "sentence"),
    [(1, None, "only 'a' is left to learn from"), (8, "one thread", "only 'a' is left to learn from")],
)
def test_a_label_that_is_only_in_one_fold_is_refused_before_any_fit(
    tmp_path: Path, rare: int, group: str | None, sentence: str
) -> None:
    documents, vectors = blobs(["a"], documents=60)
    mixed = [replace(each, labels=("b",), group=group) if row < rare else each for row, each in enumerate(documents)]
    mixed = [replace(each, split="train" if row < 40 else "test") for row, each in enumerate(mixed)]
    reported: list[FitProgress] = []
    with pytest.raises(BadData, match=rf"^Without fold \d of 3 {sentence}: all other documents are in that fold"):
        fit_head(*make_store(tmp_path / "store", mixed, vectors), PLAN, tmp_path / "runs", on_progress=reported.append)
    assert [now.activity for now in reported] == ["reading the features"]


def test_documents_of_weight_zero_do_not_count_as_a_second_label(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    weights = {one: float(labels == ("a",)) for one, labels in zip(table.ids, table.labels, strict=True)}
    with pytest.raises(BadData, match=r"^Without fold 1 of 3 only 'a' is left to learn from"):
        fit_head(store, table, replace(PLAN, weights=weights), tmp_path / "runs")


def test_labels_of_another_kind_are_another_run(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"]))
    one, _ = fit_head(store, table, PLAN, tmp_path / "runs")
    multilabel, fresh = fit_head(store, replace(table, kind="multilabel"), PLAN, tmp_path / "runs")
    assert fresh and (one.record.kind, multilabel.record.kind) == ("single", "multilabel")


def test_a_note_on_the_corpus_is_printed_once_for_all_heads(
    embedonce: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, vectors = blobs(["a", "b"])
    documents[3] = replace(documents[3], labels=("c",))  # a test document
    make_store(tmp_path / "stores" / "store", documents, vectors)
    monkeypatch.setattr("stages.fitting.head_options.HEADS", ["linear", "prototype"])
    shown = embedonce("fit-head", "all", "--folds", "2")
    assert shown.code == 0 and shown.err.count("Only the test split has 'c'") == 1
    first, second = (run.record for run in runs.runs_in(tmp_path / "runs"))
    assert first.corpus_notes == second.corpus_notes and set(first.corpus_notes) <= set(first.notes)
