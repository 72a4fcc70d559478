"""An encoder of `adapt --cross-fit`: each fold is scored on the features of the encoder that was trained without it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.documents import Document
from data.errors import BadData, CallError, FileMissing, StoreDamaged
from featurestore import TRAINING_FILE, CorpusTable, FeatureStore, JoinedStores
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.stacking import StackingHead
from stages.curve.runner import CurvePlan, fit_curves
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from stages.sweep.search import sweep
from stages.sweep.space import SearchSpace
from tests.small_store import blobs, make_store, trained_on
from tests.stages.fitting.test_encoder_exposure import Watched, leaking, watched

__all__ = ["watched"]  # a fixture

FOLDS = 3
PLAN = FitPlan(head=LinearHead(), folds=5)  # whatever the number of folds, they are the encoder's
ENCODERS = ("news-fold-1", "news-fold-2", "news-fold-3")
Dataset = tuple[FeatureStore, CorpusTable]


def weights_of(name: str) -> str:
    return f"{sum(name.encode()):064x}"


def fold_of(document: Document) -> int:
    return int(document.id[1:]) % FOLDS


def vectors_of(documents: list[Document], seen: list[Document], number: int) -> NDArray[np.float32]:
    """The label, if the document was seen, else noise; the last value is the number of the encoder."""
    vectors = leaking(documents, {each.id for each in seen})
    vectors[:, -1] = number
    return vectors


def make_stores(folder: Path, documents: list[Document], learned: list[Document]) -> Dataset:
    """The store of an encoder that learned from `learned`, next to those of three that each learned without a fold."""
    for number, name in enumerate(ENCODERS):
        seen = [each for each in learned if fold_of(each) != number]
        vectors = vectors_of(documents, seen, number)
        make_store(folder / name, documents, vectors, training=trained_on(seen), weights=weights_of(name))
    training = replace(trained_on(learned), fold_encoders={name: weights_of(name) for name in ENCODERS})
    vectors = vectors_of(documents, learned, FOLDS)
    return make_store(folder / "news", documents, vectors, training=training, weights=weights_of("news"))


@pytest.fixture
def documents() -> list[Document]:
    return blobs(["a", "b"])[0]


@pytest.fixture
def learned(documents: list[Document]) -> list[Document]:
    return [each for each in documents if each.split == "train"]


@pytest.fixture
def dataset(tmp_path: Path, documents: list[Document], learned: list[Document]) -> Dataset:
    return make_stores(tmp_path / "stores", documents, learned)


def test_every_training_document_is_scored_and_none_by_an_encoder_that_saw_it(
    dataset: Dataset, tmp_path: Path, watched: type[Watched]
) -> None:
    run, _ = fit_head(*dataset, replace(PLAN, head=watched()), tmp_path / "runs", jobs=1)
    card = run.scorecards["out_of_fold"]
    assert card.documents == 90 and card.accuracy.value < 0.7
    whole, *folds = watched.fitted
    for number, fitted in enumerate([*folds, whole]):
        assert (fitted[:, -1] == number).all()
        scorings = [scored for scored in watched.scored if scored[0, -1] == number]  # the first is that of the fold
        assert all((scored[:, -1] == number).all() for scored in scorings)
        if number < FOLDS:
            assert (fitted == 9).any(axis=1).all() and not any((scored == 9).any() for scored in scorings)
            assert len(fitted) + len(scorings[0]) == 90
    assert len(folds) == FOLDS and len(whole) == 90


def test_the_folds_are_those_of_the_encoder(dataset: Dataset, tmp_path: Path, documents: list[Document]) -> None:
    task = load_task(*dataset, with_fold_encoders=True)
    by_id = {each.id: fold_of(each) for each in documents}
    assert PLAN.assign_folds(task).tolist() == [by_id[identifier] for identifier in task.train_ids]
    run, _ = fit_head(*dataset, PLAN, tmp_path / "runs")
    again, is_new = fit_head(*dataset, replace(PLAN, folds=2), tmp_path / "runs")
    assert (again.name, is_new, run.record.folds) == (run.name, False, FOLDS)
    assert run.record.fold_stores == list(ENCODERS) and run.record.unscored == 0
    assert (
        "The encoder was cross-fitted, so the folds are its 3, whatever --folds says: each is scored on the features "
        "of the encoder that was trained without it (news-fold-1, news-fold-2, news-fold-3)."
    ) in run.record.notes
    assert run.record.recipe["weights"] == weights_of("news")


def test_parallel_and_interrupted_fits_give_the_same_run(dataset: Dataset, tmp_path: Path) -> None:
    whole, _ = fit_head(*dataset, PLAN, tmp_path / "whole", jobs=1)

    def interrupt(now: Any) -> None:
        if now.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, PLAN, tmp_path / "runs", jobs=1, on_progress=interrupt)
    resumed, _ = fit_head(*dataset, PLAN, tmp_path / "runs", jobs=2)
    assert resumed.name == whole.name
    np.testing.assert_allclose(resumed.predictions().scores, whole.predictions().scores, atol=1e-5)


def test_documents_that_no_encoder_saw_are_distributed_over_the_folds(
    tmp_path: Path, documents: list[Document], learned: list[Document]
) -> None:
    task = load_task(*make_stores(tmp_path / "stores", documents, learned[30:]), with_fold_encoders=True)
    folds = PLAN.assign_folds(task)
    assert np.bincount(folds[:30]).tolist() == [10, 10, 10]
    assert folds[30:].tolist() == [fold_of(each) for each in learned[30:]]


def test_a_group_that_every_encoder_saw_a_part_of_is_fitted_and_never_scored(
    tmp_path: Path, documents: list[Document], learned: list[Document], watched: type[Watched]
) -> None:
    grouped = [replace(each, group="one") if int(each.id[1:]) < 12 else each for each in documents]
    dataset = make_stores(tmp_path / "stores", grouped, learned)
    run, _ = fit_head(*dataset, replace(PLAN, head=watched()), tmp_path / "runs", jobs=1)
    assert run.record.unscored == 9 and run.scorecards["out_of_fold"].documents == 81
    assert [len(fitted) for fitted in watched.fitted] == [90, 63, 63, 63]
    assert any("labels of 9 of 90 training documents" in note for note in run.record.notes)


def test_a_missing_or_incomplete_store_of_a_fold_is_named_with_what_to_do(
    dataset: Dataset, tmp_path: Path, documents: list[Document], learned: list[Document]
) -> None:
    folder = tmp_path / "stores"
    again = r"Run the same `embedonce embed` again"
    (folder / ENCODERS[1] / TRAINING_FILE).rename(tmp_path / "kept")
    with pytest.raises(StoreDamaged, match=r"^news-fold-2 does not say what news-fold-2 learned from\. Remove it"):
        fit_head(*dataset, PLAN, tmp_path / "runs")
    shutil.rmtree(folder / ENCODERS[1])
    with pytest.raises(FileMissing, match=rf"^news: .* no store of its fold encoder news-fold-2 .*{again}"):
        fit_head(*dataset, PLAN, tmp_path / "runs")
    part, vectors = documents[:60], np.ones((60, 8), np.float32)
    training = trained_on([each for each in learned if fold_of(each) != 1])
    make_store(folder / ENCODERS[1], part, vectors, training=training, weights=weights_of(ENCODERS[1]))
    with pytest.raises(BadData, match=rf"^news-fold-2: 45 of 90 documents have no features\. {again}"):
        fit_head(*dataset, PLAN, tmp_path / "runs")


def test_the_store_of_a_fold_is_the_one_that_has_the_corpus(
    dataset: Dataset, tmp_path: Path, learned: list[Document]
) -> None:
    other = [Document(f"o{row}", f"other text {row}", ("ab"[row % 2],), "train") for row in range(9)]
    for name in ("a corpus before", "z corpus after"):
        vectors = np.ones((9, 8), np.float32)
        make_store(tmp_path / "stores" / name, other, vectors, training=trained_on([]), weights=weights_of(ENCODERS[0]))
    exposure = load_task(*dataset, with_fold_encoders=True).exposure
    assert [fold.source.name for fold in exposure.folds] == list(ENCODERS)


def test_joined_with_another_store_each_fold_reads_its_own_encoder_and_that_store(
    dataset: Dataset, tmp_path: Path, documents: list[Document], watched: type[Watched]
) -> None:
    frozen, _ = make_store(
        tmp_path / "stores" / "frozen", documents, np.full((120, 8), 50, np.float32), weights="0" * 64
    )
    joined = JoinedStores((frozen, dataset[0]))
    run, _ = fit_head(joined, dataset[1], replace(PLAN, head=watched()), tmp_path / "runs", jobs=1)
    assert run.scorecards["out_of_fold"].accuracy.value < 0.7 and run.record.folds == FOLDS
    whole, *folds = watched.fitted
    for number, fitted in enumerate([*folds, whole]):
        assert (fitted[:, 0] == 50).all() and (fitted[:, -1] == number).all()


def test_a_stack_and_a_sweep_have_the_folds_of_the_encoder(dataset: Dataset, tmp_path: Path) -> None:
    for head in (LinearHead(), PrototypeHead()):
        fit_head(*dataset, replace(PLAN, head=head), tmp_path / "runs")
    run, _ = fit_head(*dataset, replace(PLAN, head=StackingHead()), tmp_path / "runs")
    assert run.record.folds == FOLDS and run.scorecards["out_of_fold"].accuracy.value < 0.7
    space = SearchSpace.of(PLAN, scored_folds=2)
    result = sweep(*dataset, space, tmp_path / "runs", max_trials=1)
    assert (result.trials[0].score or 1) < 0.7 and result.notes[0].startswith(
        "A trial is scored on 2 of 3 folds of 90 training"
    )


def test_what_needs_one_encoder_that_did_not_see_the_documents_is_refused(
    tmp_path: Path, documents: list[Document], learned: list[Document]
) -> None:
    split = [replace(each, split="validation") if each in learned[:20] else each for each in documents]
    dataset = make_stores(tmp_path / "stores", split, learned)
    with pytest.raises(BadData, match=r"labels of 20 validation documents .*Leave out --validate-on"):
        fit_head(*dataset, replace(PLAN, validate_on="split"), tmp_path / "runs")
    with pytest.raises(BadData, match=r"no other is left to score\. Make .* with `embedonce adapt --hold-out 0\.3`\.$"):
        fit_curves(*dataset, CurvePlan(heads=[LinearHead()]), tmp_path / "runs")
    with pytest.raises(CallError, match=r"Augmented copies have no features .* with --hold-out"):
        fit_head(*dataset, replace(PLAN, copies=[dataset[1]]), tmp_path / "runs")
