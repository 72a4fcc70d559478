"""Documents whose labels an encoder learned from are fitted on, and never scored out of fold."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import embedonce as api
from data.documents import Document
from data.errors import BadData, CallError
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from stages.curve.runner import CurvePlan, fit_curves
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from stages.sweep.search import sweep
from stages.sweep.space import SearchSpace
from tests.conftest import Run
from tests.small_store import blobs, make_store, trained_on

PLAN = FitPlan(head=LinearHead(), folds=3)
Dataset = tuple[FeatureStore, CorpusTable]


@dataclass(eq=False, repr=False, kw_only=True)
class Watched(LinearHead):
    """Keeps the vectors that it was fitted on and scored, and which documents could not validate."""

    fitted: ClassVar[list[NDArray[Any]]] = []
    scored: ClassVar[list[NDArray[Any]]] = []
    fit_only: ClassVar[list[Any]] = []

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, fit_only: Any = None, detailed: Any = None
    ) -> Self:
        self.fitted.append(X.pooled(["mean"]))
        self.fit_only.append(fit_only)
        return super().fit(X, y, sample_weight, groups, fit_only, detailed)

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        self.scored.append(X.pooled(["mean"]))
        return super().decision_function(X)


@pytest.fixture
def watched() -> type[Watched]:
    Watched.fitted, Watched.scored, Watched.fit_only = [], [], []
    return Watched


def leaking(documents: Sequence[Document], seen: set[str]) -> NDArray[np.float32]:
    """Vectors that are the label for documents that were seen, and noise for the others."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(documents), 8))
    for row, document in enumerate(documents):
        if document.id in seen and document.labels:
            vectors[row] = 9 * np.eye(8)["abc".index(document.labels[0])]
    return vectors.astype(np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """90 training documents; an encoder learned from the labels of 72, and its features of the others are noise."""
    documents, _ = blobs(["a", "b"])
    seen = [each for row, each in enumerate(documents) if each.split == "train" and row % 5]
    return make_store(
        tmp_path / "store", documents, leaking(documents, {each.id for each in seen}), training=trained_on(seen)
    )


def test_a_label_that_the_features_contain_does_not_raise_the_out_of_fold_metric(
    dataset: Dataset, tmp_path: Path
) -> None:
    store, table = dataset
    run, _ = fit_head(store, table, PLAN, tmp_path / "runs")
    seen = store.trainings[0].label_keys
    unseen = [identifier for identifier, key in zip(table.ids, table.keys, strict=True) if key not in seen]
    scored = run.predictions().of("train").ids
    assert scored == [identifier for identifier in unseen if int(identifier[1:]) % 4 != 3]
    assert run.scorecards["out_of_fold"].documents == len(scored) == 18
    assert run.scorecards["out_of_fold"].accuracy.low < 0.5 < 0.9
    assert run.scorecards["test"].documents == 30 and run.record.documents == {"train": 90, "test": 30}


def test_each_fit_has_every_document_that_was_seen_and_no_seen_document_is_scored(
    dataset: Dataset, tmp_path: Path, watched: type[Watched]
) -> None:
    fit_head(*dataset, replace(PLAN, head=watched()), tmp_path / "runs", jobs=1)
    seen = len(dataset[0].trainings[0].label_keys)
    is_leak = [(vectors == 9).any(axis=1) for vectors in watched.fitted]
    assert [int(each.sum()) for each in is_leak] == [seen] * 4 and len(watched.fitted[0]) == 90
    assert sum(len(vectors) for vectors in watched.fitted[1:]) == 3 * seen + 2 * (90 - seen)
    for mask, cannot_validate in zip(is_leak, watched.fit_only, strict=True):
        np.testing.assert_array_equal(mask, cannot_validate)
    assert not any((vectors == 9).any() for vectors in watched.scored)


def test_the_documents_of_a_group_with_one_that_was_seen_are_not_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    documents = [replace(each, group=f"g{row // 8}") if row < 64 else each for row, each in enumerate(documents)]
    store, table = make_store(tmp_path / "store", documents, vectors, training=trained_on([documents[0], documents[8]]))
    task = load_task(store, table)
    assert task.exposure.unscored == 12  # of two groups of eight, two documents each are in the test split
    fold_of = PLAN.assign_folds(task)
    assert np.flatnonzero(fold_of == -1).tolist() == list(range(12)) and set(fold_of[12:]) == {0, 1, 2}


def test_equal_texts_of_a_document_that_was_seen_are_not_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    twins = [replace(documents[row], id=f"twin {row}", group="other") for row in (0, 1)]
    documents, vectors = [*documents, *twins], np.concatenate([vectors, vectors[:2]])
    task = load_task(*make_store(tmp_path / "store", documents, vectors, training=trained_on(documents[:1])))
    is_seen = [document in ("d0", "twin 0", "twin 1") for document in task.train_ids]  # the twins are one group
    np.testing.assert_array_equal(task.exposure.is_seen, is_seen)


def test_the_record_and_the_name_of_a_run_say_what_the_encoder_learned_from(dataset: Dataset, tmp_path: Path) -> None:
    store, table = dataset
    run, _ = fit_head(store, table, PLAN, tmp_path / "runs")
    (training,) = store.trainings
    (recorded,) = run.record.encoder_trainings
    assert recorded == {"hash": training.hash, **training.summary()}
    assert recorded["steps"][0]["keys"] == len(training.label_keys) == run.record.unscored
    (note,) = run.record.notes
    assert note == (
        f"The encoder learned from the labels of {run.record.unscored} of 90 training documents (supervised on made): "
        f"they are fitted on, and the other {90 - run.record.unscored} alone are scored out of fold and choose the "
        "decision rule."
    )
    task = load_task(store, table)
    untrained, _ = make_store(tmp_path / "other", *blobs(["a", "b"]))
    assert PLAN.identity(store, task) != PLAN.identity(untrained, load_task(untrained, table))


def test_an_interrupted_fit_resumes_with_the_same_scores(dataset: Dataset, tmp_path: Path) -> None:
    whole, _ = fit_head(*dataset, PLAN, tmp_path / "whole", jobs=1)

    def interrupt(now: Any) -> None:
        if now.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, PLAN, tmp_path / "runs", jobs=1, on_progress=interrupt)
    resumed, _ = fit_head(*dataset, PLAN, tmp_path / "runs", jobs=1)
    assert any("interrupted" in note for note in resumed.record.notes)
    np.testing.assert_allclose(resumed.predictions().scores, whole.predictions().scores, atol=1e-5)


@pytest.mark.parametrize(
    ("spared", "rest"),
    [([], "no other is left to score"), ([0, 1], "the other 2 are too few or have one label")],
)
def test_a_corpus_whose_training_documents_were_all_seen_is_refused(
    tmp_path: Path, spared: list[int], rest: str
) -> None:
    documents, vectors = blobs(["a", "b"])
    seen = [each for row, each in enumerate(documents) if each.split == "train" and row not in spared]
    store = make_store(tmp_path / "store", documents, vectors, training=trained_on(seen))
    sentence = (
        f"The encoder learned from the labels of {len(seen)} of 90 training documents, so scores on them would be too "
        f"high, and {rest}. Make the encoder again with `embedonce adapt --hold-out 0.3`, or with `embedonce adapt "
        "--cross-fit 3`."
    )
    with pytest.raises(BadData, match=re.escape(sentence)):
        fit_head(*store, PLAN, tmp_path / "runs")
    with pytest.raises(BadData, match=r"^The encoder learned from the labels of"):
        sweep(*store, SearchSpace.of(PLAN), tmp_path / "runs", max_trials=1)
    if not spared:
        with pytest.raises(BadData, match=r"^The encoder learned from the labels of 90 of 90"):
            fit_curves(*store, CurvePlan(heads=[LinearHead()]), tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("linear*"))


def test_documents_of_one_label_are_too_few_to_score(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    seen = [each for each in documents if each.split == "train" and each.labels == ("a",)]
    with pytest.raises(BadData, match="are too few or have one label"):
        fit_head(
            *make_store(tmp_path / "store", documents, vectors, training=trained_on(seen)), PLAN, tmp_path / "runs"
        )


def test_a_validation_split_must_not_have_been_seen(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    documents = [replace(each, split="validation") if row % 4 == 2 else each for row, each in enumerate(documents)]
    plan, train = replace(PLAN, validate_on="split"), [each for each in documents if each.split == "train"]
    for name, seen in (("good", train), ("bad", [*train, documents[2]])):
        store = make_store(tmp_path / name, documents, vectors, training=trained_on(seen))
        if name == "good":
            run, _ = fit_head(*store, plan, tmp_path / "runs")
            assert (run.scorecards["validation"].documents, run.record.unscored) == (30, 0)
            continue
        with pytest.raises(BadData, match=r"labels of 1 validation document \(supervised on made\).*--validate-on"):
            fit_head(*store, plan, tmp_path / "runs")


def test_a_test_split_whose_labels_were_seen_is_not_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    store = make_store(tmp_path / "store", documents, vectors, training=trained_on(documents[:8]))
    sentence = r"^made: the encoder learned from the labels of 2 test documents \(supervised on made\), so the test"
    with pytest.raises(BadData, match=sentence):
        fit_head(*store, PLAN, tmp_path / "runs")
    run, _ = fit_head(*store, replace(PLAN, test=False), tmp_path / "runs")
    assert run.scorecards.keys() == {"out_of_fold"} and run.record.unscored == 6


def test_texts_of_test_documents_that_an_encoder_learned_from_are_recorded(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    training = trained_on(documents[:12], method="mlm", uses_labels=False)
    run, _ = fit_head(*make_store(tmp_path / "store", documents, vectors, training=training), PLAN, tmp_path / "runs")
    assert (run.record.unscored, run.record.test_texts) == (0, 3)
    assert run.scorecards["out_of_fold"].documents == 90
    assert any("learned from the texts of 3 of 30 test documents, without labels" in note for note in run.record.notes)


def test_a_stack_reads_the_documents_that_its_base_runs_scored(dataset: Dataset, tmp_path: Path) -> None:
    for head in (LinearHead(), PrototypeHead()):
        base, _ = fit_head(*dataset, replace(PLAN, head=head), tmp_path / "runs")
    run, _ = fit_head(*dataset, replace(PLAN, head=StackingHead()), tmp_path / "runs")
    assert run.predictions().of("train").ids == base.predictions().of("train").ids
    assert run.record.encoder_trainings == base.record.encoder_trainings
    assert run.record.unscored == base.record.unscored and any("supervised on made" in n for n in run.record.notes)
    other = FeatureStore.open(dataset[0].folder)
    other.training = trained_on([Document("x", "another text", ("a",))])
    with pytest.raises(CallError, match="its store says something else about what the encoder learned from"):
        fit_head(other, dataset[1], replace(PLAN, head=StackingHead(), base_runs=[base.name]), tmp_path / "runs")


def test_a_curve_and_a_sweep_score_only_documents_that_were_not_seen(
    dataset: Dataset, tmp_path: Path, watched: type[Watched]
) -> None:
    curves = fit_curves(*dataset, CurvePlan(heads=[watched()], sizes=(40, None), seeds=1), tmp_path / "runs")
    assert curves.train_documents + curves.validation_documents == 90
    assert any("none of them is in the validation split" in note for note in curves.notes)
    result = sweep(
        *dataset, SearchSpace.of(replace(PLAN, head=watched()), scored_folds=2), tmp_path / "runs", max_trials=2
    )
    assert result.run and len(watched.scored) > 4
    assert not any((vectors == 9).any() for vectors in watched.scored)
    unseen = 90 - len(dataset[0].trainings[0].label_keys)
    assert f"2 of 3 folds of {unseen} training documents" in result.notes[0] and "supervised on made" in result.notes[1]


def test_a_python_user_is_warned_that_scores_of_documents_that_were_seen_are_too_high(dataset: Dataset) -> None:
    corpus = api.load_corpus(dataset[0].folder)
    with pytest.warns(UserWarning, match=r"labels of 72 of 90 training documents .* as of cross_val_score, are too"):
        train = corpus.train
    assert train.seen.sum() == 72 and not train.seen[(train.pooled() != 9).all(axis=1)].any()
    assert corpus.score_once(LogisticRegression()).documents == 30


def test_a_python_user_cannot_score_a_test_split_whose_labels_were_seen(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    store, _ = make_store(tmp_path / "store", documents, vectors, training=trained_on(documents[3:4]))
    with pytest.raises(BadData, match=r"labels of 1 test document .* training documents alone\.$"):
        api.load_corpus(store.folder).score_once(LogisticRegression())
    _, table = make_store(tmp_path / "frozen", documents, vectors)
    with warnings.catch_warnings(action="error"):
        assert not api.load_corpus(tmp_path / "frozen").train.seen.any() and len(table.ids) == 120


def test_the_command_refuses_several_heads_in_one_sentence(embedonce: Run, tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    seen = [each for each in documents if each.split == "train"]
    make_store(tmp_path / "stores" / "all", documents, vectors, training=trained_on(seen))
    result = embedonce("fit-head", "linear", "prototype")
    assert result.code == 1 and result.err.count("no other is left to score") == 1
    assert "bug in embedonce" not in result.err
