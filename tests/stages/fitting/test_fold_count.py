"""The number of folds follows from the documents of a corpus, and is reported and recorded."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.target import Target
from heads.classifiers.prototype import PrototypeHead
from stages.fitting import fold_count
from stages.fitting.fit_head import fit_head
from stages.fitting.fold_count import choose_fold_count, documents_per_label
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from tests.small_store import blobs, make_store


def target(counts: list[int]) -> Target:
    labels = tuple(f"{label:04}" for label in range(len(counts)))
    return Target("single", labels, np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize(
    ("counts", "folds"),
    [
        ([9_999, 10_000], 5),  # fewer than 20,000 documents
        ([10_000, 10_000], 2),
        ([9_999, 10_001], 3),
        ([1_500] * 20, 3),
        ([1_499] * 20, 5),
        ([500_000] * 20, 2),
        ([100_000, 100], 5),  # a rare label loses most
        ([20_000, 0], 2),  # a label that only the test split has counts for nothing
    ],
)
def test_more_documents_per_label_need_fewer_folds(counts: list[int], folds: int) -> None:
    assert choose_fold_count(target(counts)) == folds


def test_documents_per_label_is_the_number_at_which_the_mean_loss_is_that_of_all_labels() -> None:
    assert documents_per_label(target([100, 400])) == pytest.approx((((1 / 10) + (1 / 20)) / 2) ** -2)


def test_multilabel_documents_count_for_each_of_their_labels() -> None:
    y: NDArray[np.bool_] = np.ones((20_000, 2), dtype=bool)
    assert choose_fold_count(Target("multilabel", ("a", "b"), y)) == 2


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_count, "MIN_DOCUMENTS", 90)
    monkeypatch.setattr(fold_count, "MIN_PER_LABEL", {2: 1_000, 3: 20})


@pytest.mark.usefixtures("few_are_many")
def test_a_chosen_number_of_folds_is_noted_and_recorded_and_one_that_is_given_is_used(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    chosen, _ = fit_head(store, table, FitPlan(head=PrototypeHead()), tmp_path / "runs")
    given, _ = fit_head(store, table, FitPlan(head=PrototypeHead(), folds=5), tmp_path / "runs")
    assert (chosen.record.folds, given.record.folds) == (3, 5)
    (note,) = [note for note in chosen.record.corpus_notes if "folds" in note]
    assert note.startswith("There are 3 folds instead of 5: labels have about ")
    assert not [note for note in given.record.corpus_notes if "folds" in note]


@pytest.mark.usefixtures("few_are_many")
def test_the_name_of_a_run_depends_on_the_number_of_folds_not_on_who_chose_it(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"]))
    task = load_task(store, table)
    chosen, given = (FitPlan(head=PrototypeHead(), folds=folds).for_task(task) for folds in (None, 3))
    assert chosen.identity(store, task) == given.identity(store, task)


def test_a_small_corpus_has_five_folds_and_no_note(tmp_path: Path) -> None:
    run, _ = fit_head(
        *make_store(tmp_path / "store", *blobs(["a", "b"])), FitPlan(head=PrototypeHead()), tmp_path / "runs"
    )
    assert run.record.folds == 5 and not [note for note in run.record.notes if "folds" in note]
