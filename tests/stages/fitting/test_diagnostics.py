"""What a run records for the checks of `compare`: folds, training documents, and the use of views."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from data.tabular import Tabular, TabularColumn
from data.target import Target
from featurestore import Bags, CorpusTable, FeatureStore, Ragged
from heads.classifiers.gated import GatedHead
from heads.classifiers.knn import KNNHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.core.hyperparameters import hyperparameters_of
from heads.testing import training_of
from stages.fitting import runs
from stages.fitting.diagnostics import FitDiagnostics, ViewUse, draw_sample
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.searched_range import SearchedRange
from tests.small_store import blobs, make_store


def noisy_store(folder: Path, scale: float = 4) -> tuple[FeatureStore, CorpusTable]:
    documents, vectors = blobs(["a", "b", "c"])
    return make_store(folder, documents, vectors + scale * np.random.default_rng(0).normal(size=vectors.shape))


def diagnostics_of(run: runs.Run) -> FitDiagnostics:
    return FitDiagnostics.from_json(run.record.diagnostics)


def test_a_run_has_the_fold_of_each_document_that_is_scored_out_of_fold(tmp_path: Path) -> None:
    run, _ = fit_head(*noisy_store(tmp_path / "store"), FitPlan(head=LinearHead(), folds=3), tmp_path / "runs")
    folds, training = run.folds(), run.predictions().of("train")
    assert folds is not None and folds.dtype == np.int32
    assert len(folds) == len(training.ids) and np.bincount(folds).tolist() == [30, 30, 30]


def test_the_nearest_document_of_a_training_document_is_itself(tmp_path: Path) -> None:
    plan = FitPlan(head=KNNHead(k=1), folds=3)
    run, _ = fit_head(*noisy_store(tmp_path / "store"), plan, tmp_path / "runs")
    training, predictions = diagnostics_of(run).training, run.predictions().of("train")
    assert training is not None and training.first_accuracy == 1 and training.documents == 90
    plain = np.asarray(predictions.scores).argmax(axis=1)
    assert training.second_accuracy == pytest.approx(float((plain == predictions.truth).mean()))


def test_a_run_validated_on_the_split_has_no_folds_and_no_training_score(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"])
    documents = [replace(one, split="validation") if row % 8 == 0 else one for row, one in enumerate(documents)]
    plan = FitPlan(head=LinearHead(), validate_on="split")
    run, _ = fit_head(*make_store(tmp_path / "store", documents, vectors), plan, tmp_path / "runs")
    assert run.folds() is None and diagnostics_of(run) == FitDiagnostics()


def chunks(vectors: NDArray[Any]) -> Ragged:
    """Two chunks per document, both with its vector."""
    return Ragged.from_flat(np.repeat(vectors, 2, axis=0).astype(np.float32), np.arange(0, 2 * len(vectors) + 1, 2))


@pytest.mark.parametrize(
    "head",
    [LinearHead(pooling=("cls", "mean")), MLPHead(hidden=8, training=training_of(epochs=8)), GatedHead(hidden=8)],
    ids=lambda head: head.name,
)
def test_a_view_that_says_all_is_told_from_one_that_says_nothing(head: Any) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(2, size=400)
    signal, noise = 6 * np.eye(4)[codes] + rng.normal(size=(400, 4)), rng.normal(size=(400, 4))
    bags, target = Bags({"cls": chunks(signal), "mean": chunks(noise)}), Target("single", ("a", "b"), codes)
    head.fit(bags[:200], target.names[:200])
    use = ViewUse.measure(head, bags[200:], target[np.arange(200, 400)], seed=0)
    assert use.without is not None and use.without.difference.low > 0.3
    assert use.alone["cls"].difference.high < 0.05 and use.alone["mean"].difference.low > 0.3
    assert ViewUse.from_json(use.to_json()) == use


def test_the_views_of_a_head_whose_rows_were_pooled_before_are_told_apart_without_their_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    views: tuple[Literal["cls", "mean"], ...] = ("cls", "mean")
    codes = rng.integers(2, size=200)
    signal, noise = 6 * np.eye(4)[codes] + rng.normal(size=(200, 4)), rng.normal(size=(200, 4))
    bags, target = Bags({"cls": chunks(signal), "mean": chunks(noise)}), Target("single", ("a", "b"), codes)
    head = LinearHead(pooling=views).fit(bags, target.names)
    expected = ViewUse.measure(head, bags, target, seed=0)
    bags = bags.with_pooled(views, bags.pooled(views))
    monkeypatch.setattr("featurestore.vectors.bags._pooled", None)
    assert ViewUse.measure(head, bags, target, seed=0) == expected


def test_a_tabular_column_that_gives_the_label_away_is_a_view_that_says_all() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(2, size=200)
    leak = Tabular((TabularColumn("code", "number", codes.astype(float)),))
    bags = replace(Bags.from_array(rng.normal(size=(200, 4))), tabular=leak)
    target = Target("single", ("a", "b"), codes)
    head = LinearHead().fit(bags[:100], target.names[:100])
    use = ViewUse.measure(head, bags[100:], target[np.arange(100, 200)], seed=0)
    assert use.alone["tabular columns"].difference.high < 0.05


def test_a_head_with_one_view_records_nothing_about_it() -> None:
    bags, target = Bags.from_array(np.eye(4)), Target("single", ("a", "b"), np.array([0, 1, 0, 1]))
    head = LinearHead(pooling=("cls",)).fit(bags, target.names)
    assert ViewUse.measure(head, bags, target, seed=0) == ViewUse()


def test_a_fit_that_resumes_records_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents, vectors = blobs(["a", "b", "c"])
    store = make_store(tmp_path / "store", documents, vectors)
    plan = FitPlan(head=MLPHead(hidden=8, training=training_of(epochs=2)), folds=2)
    whole, _ = fit_head(*store, plan, tmp_path / "whole", jobs=1)

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("stages.fitting.fit_head.complete_run", interrupt)
        fit_head(*store, plan, tmp_path / "runs", jobs=1)
    resumed, _ = fit_head(*store, plan, tmp_path / "runs", jobs=1)
    assert diagnostics_of(resumed).views.alone and resumed.record.diagnostics == whole.record.diagnostics


def test_a_sample_has_at_most_a_thousand_rows_in_their_order() -> None:
    rows = draw_sample(np.arange(5_000, 8_000), 0)
    assert len(rows) == 1_000 and (np.diff(rows) > 0).all() and rows.min() >= 5_000
    assert draw_sample(np.arange(10), 0).tolist() == list(range(10))


def searched(name: str, value: float) -> SearchedRange:
    item = next(item for item in hyperparameters_of(MLPHead) if item.short_name == name)
    found = SearchedRange.of(item, value, name)
    assert found is not None and SearchedRange.from_json(found.to_json()) == found
    return found


def test_a_value_in_the_outer_fortieth_of_its_range_is_at_the_edge() -> None:
    assert searched("hidden", 64).edge == "low" and searched("hidden", 64).beyond == 32  # 64 to 1024 by the logarithm
    assert searched("hidden", 66).edge == "low" and searched("hidden", 80).edge == ""
    assert searched("hidden", 1024).edge == "high" and searched("hidden", 1024).beyond == 2048


def test_the_limit_of_the_hyperparameter_itself_is_no_edge() -> None:
    assert searched("dropout", 0.0).edge == "" and searched("dropout", 0.0).beyond is None  # nothing is below 0
    assert searched("dropout", 0.6).edge == "high" and searched("dropout", 0.6).beyond == 0.75
