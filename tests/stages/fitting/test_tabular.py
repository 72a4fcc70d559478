"""Tabular columns in a fit: they help heads that use them, are part of a run's identity, and keep folds apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from data.tabular import Tabular
from featurestore import CorpusTable, FeatureStore
from heads.classifiers.lightgbm import LightGBMHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.prototype import PrototypeHead
from heads.core.head import Head
from heads.planted_signals import tabular_signal
from heads.testing import training_of
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import load_task
from tests.small_store import make_store

HEADS = [
    LinearHead(),
    LinearHead(kind="ridge"),
    MLPHead(hidden=16, training=training_of(epochs=20, min_steps=1, lr=0.01)),
    LightGBMHead(rounds=20),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, CorpusTable]:
    planted = tabular_signal(300)
    documents = [
        Document(str(row), f"text {row}", (label,), "test" if row % 5 == 0 else "train")
        for row, label in enumerate(planted.y)
    ]
    store, table = make_store(tmp_path_factory.mktemp("tabular") / "store", documents, planted.bags.pooled(("mean",)))
    return store, replace(table, tabular=planted.bags.tabular)


def plan(head: Head) -> FitPlan:
    return FitPlan(head=head, folds=2, tune=False)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_columns_raise_the_out_of_fold_score_of_a_head_that_uses_them(
    corpus: tuple[FeatureStore, CorpusTable], tmp_path: Path, head: Head
) -> None:
    store, table = corpus
    with_columns, _ = fit_head(store, table, plan(head), tmp_path, jobs=1)
    without, _ = fit_head(store, replace(table, tabular=None), plan(head), tmp_path, jobs=1)
    assert with_columns.name != without.name
    assert without.scorecards["out_of_fold"].accuracy.value < 0.6
    assert with_columns.scorecards["out_of_fold"].accuracy.value > 0.8
    assert with_columns.scorecards["test"].accuracy.value > 0.75


def test_other_values_are_another_run_only_of_a_head_that_uses_them(
    corpus: tuple[FeatureStore, CorpusTable],
) -> None:
    store, table = corpus
    assert table.tabular is not None
    other = replace(table, tabular=Tabular(table.tabular.columns[:1]))

    def identities(head: Head) -> int:
        tasks = [load_task(store, each) for each in (table, other, replace(table, tabular=None))]
        return len({plan(head).identity(store, task) for task in tasks})

    assert identities(LinearHead()) == 3
    assert identities(PrototypeHead()) == 1


def test_columns_are_fitted_without_the_held_out_fold(corpus: tuple[FeatureStore, CorpusTable]) -> None:
    store, table = corpus
    task, rows = load_task(store, table), np.arange(0, 100)
    fitted = task.fit(LinearHead(), rows).tabular_
    tabular = task.train.tabular
    assert fitted is not None and tabular is not None
    column = tabular.column("paid")
    assert column is not None
    assert fitted.columns[0].mean == pytest.approx(np.nanmean(column.values[rows]))


def test_a_run_says_once_that_its_head_reads_the_text_alone(
    corpus: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    run, _ = fit_head(*corpus, plan(PrototypeHead()), tmp_path, jobs=1)
    assert run.record.notes.count("prototype reads the text alone, not the tabular columns.") == 1
    assert not run.record.tabular
