"""A curve's fits: what they may read, that none is repeated, and what their metrics are."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.documents import Document
from data.errors import BadData, CallError, UnknownName
from featurestore import Bags
from heads.classifiers.layermix import LayerMixHead
from heads.classifiers.linear import LinearHead
from heads.evaluation.decisions.heldout import HeldOut
from heads.registry import HEADS, head_class, make_head
from heads.testing import training_of
from heads.training.network_head import NetworkHead
from stages.curve import CurvePlan, CurveProgress, LearningCurves, fit_curves, parse_curve_heads, parse_sizes
from tests.small_store import blobs, make_store


class Watched(LinearHead):
    """The linear head; remembers what it was fitted and scored on, and may be interrupted."""

    fitted: ClassVar[list[NDArray[Any]]] = []
    scored_on: ClassVar[list[NDArray[Any]]] = []
    seeds: ClassVar[list[int]] = []
    interrupt_at: ClassVar[int | None] = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
        if len(self.fitted) == self.interrupt_at:
            raise KeyboardInterrupt
        self.fitted.append(X.pooled(("mean",)))
        self.seeds.append(self.seed)
        return super().fit(X, y, sample_weight, *others, **named)

    def decision_function(self, X: Bags) -> NDArray[np.float32]:
        self.scored_on.append(X.pooled(("mean",)))
        return super().decision_function(X)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    Watched.interrupt_at = None
    for seen in (Watched.fitted, Watched.scored_on, Watched.seeds):
        seen.clear()
    yield


PLAN = CurvePlan(heads=[Watched()], sizes=[10, 40], seeds=3)


def make_curves(folder: Path, plan: CurvePlan = PLAN, documents: int = 160) -> LearningCurves:
    made = make_store(folder / "store", *blobs(["a", "b", "c"], documents)) if not (folder / "store").exists() else None
    store, table = made or _opened(folder)
    return fit_curves(store, table, plan, folder / "runs")


def _opened(folder: Path) -> Any:
    from stages.stores import open_corpus, open_store

    store = open_store(folder / "store", folder)
    return store, open_corpus(store, None)


def row_set(vectors: NDArray[Any]) -> set[bytes]:
    return {row.tobytes() for row in vectors}


def test_the_validation_split_of_the_corpus_is_scored_if_requested(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], 80)
    documents = [replace(one, split="validation") if row % 8 == 0 else one for row, one in enumerate(documents)]
    store, table = make_store(tmp_path / "store", documents, vectors)
    plan = replace(PLAN, validate_on="split", sizes=[None], seeds=1)
    curves = fit_curves(store, table, plan, tmp_path / "runs")
    validation = store.bags([table.keys[row] for row, split in enumerate(table.splits) if split == "validation"])
    assert row_set(Watched.scored_on[0]) == row_set(validation.pooled(("mean",)))
    assert not row_set(Watched.fitted[0]) & row_set(Watched.scored_on[0])
    assert (curves.train_documents, curves.validation_documents) == (len(Watched.fitted[0]), 10)
    assert curves.notes[0].startswith("Scored on the validation split of 10 documents")


def test_a_corpus_without_a_validation_split_is_refused_if_that_is_requested(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="made has no validation split"):
        make_curves(tmp_path, replace(PLAN, validate_on="split"))


def test_more_documents_are_better_and_each_size_is_summarized(tmp_path: Path) -> None:
    curves = make_curves(tmp_path, CurvePlan(heads=[LinearHead()], sizes=[3, None], seeds=4))
    few, all_of_them = curves.summaries
    assert (curves.train_documents, curves.validation_documents, few.documents, all_of_them.documents) == (
        96,
        24,
        3,
        96,
    )
    assert few.metrics["accuracy"].mean < all_of_them.metrics["accuracy"].mean > 0.9
    accuracies = [each.metrics["accuracy"] for each in curves.points[:4]]
    assert few.metrics["accuracy"].deviation == pytest.approx(np.std(accuracies, ddof=1))
    assert "24 of 120 training documents" in curves.notes[0]


def test_subsets_are_nested_and_the_validation_split_is_never_fitted_on(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], 160)
    twins = [replace(each, id=f"twin of {each.id}") for each in documents]
    store, table = make_store(tmp_path / "store", [*documents, *twins], np.concatenate([vectors, vectors]))
    fit_curves(store, table, PLAN, tmp_path / "runs")
    small, large = ([row_set(each) for each in Watched.fitted[at : at + 3]] for at in (0, 3))
    assert all(few < more for few, more in zip(small, large, strict=True)) and small[0] != small[1]
    scored = [row_set(each) for each in Watched.scored_on]
    assert len(scored) == 6 and all(each == scored[0] for each in scored)
    assert all(each.isdisjoint(scored[0]) for each in [*small, *large])


def test_the_test_split_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the test split was scored")

    monkeypatch.setattr(HeldOut, "score", read)
    documents, vectors = blobs(["a", "b", "c"], 160)
    lied = [replace(each, labels=("a",)) if each.split == "test" else each for each in documents]
    moved = vectors + 50 * np.array([each.split == "test" for each in documents], np.float32)[:, None]
    honest = fit_curves(*make_store(tmp_path / "one", documents, vectors), PLAN, tmp_path / "runs")
    seen = row_set(np.concatenate([*Watched.fitted, *Watched.scored_on]))
    assert seen.isdisjoint(row_set(vectors[[each.split == "test" for each in documents]]))
    fooled = fit_curves(*make_store(tmp_path / "two", lied, moved), PLAN, tmp_path / "runs")
    assert [replace(each, seconds=0) for each in honest.points] == [replace(each, seconds=0) for each in fooled.points]


def test_the_same_plan_fits_nothing_again_and_a_larger_one_what_it_adds(tmp_path: Path) -> None:
    curves = make_curves(tmp_path)
    assert len(Watched.fitted) == 6 and make_curves(tmp_path) == curves and len(Watched.fitted) == 6
    more = make_curves(tmp_path, replace(PLAN, sizes=[10, 20, 40], seeds=4))
    assert len(Watched.fitted) == 6 + 3 + 3  # size 20 with the old seeds, each size with the new one
    assert set(curves.points) < set(more.points)


def test_an_interrupted_curve_resumes(tmp_path: Path) -> None:
    Watched.interrupt_at = 4
    with pytest.raises(KeyboardInterrupt):
        make_curves(tmp_path)
    Watched.interrupt_at = None
    curves = make_curves(tmp_path)
    assert len(Watched.fitted) == 6
    whole = make_curves(tmp_path / "another")
    assert [replace(each, seconds=0) for each in curves.points] == [replace(each, seconds=0) for each in whole.points]


@pytest.mark.parametrize("harm", [lambda text: text[:40], lambda text: text.replace("0.", "0.1", 1), lambda _: "{}"])
def test_a_stored_fit_that_was_changed_or_cut_short_is_repeated(tmp_path: Path, harm: Any) -> None:
    curves = make_curves(tmp_path)
    path = next((tmp_path / "runs" / "curves").glob("linear-10-1-*.json"))
    path.write_text(harm(path.read_text()))
    again = make_curves(tmp_path)
    assert len(Watched.fitted) == 7
    assert [replace(each, seconds=0) for each in curves.points] == [replace(each, seconds=0) for each in again.points]


@pytest.mark.parametrize("other", [replace(PLAN, seed=9), replace(PLAN, heads=[Watched(C=0.1)])])
def test_another_seed_or_hyperparameter_reuses_no_metric(tmp_path: Path, other: CurvePlan) -> None:
    make_curves(tmp_path)
    make_curves(tmp_path, other)
    assert len(Watched.fitted) == 12


def test_other_labels_reuse_no_metric(tmp_path: Path) -> None:
    make_curves(tmp_path)
    documents, vectors = blobs(["a", "b", "c"], 160)
    documents[0] = replace(documents[0], labels=("b" if documents[0].labels == ("a",) else "a",))
    fit_curves(*make_store(tmp_path / "relabelled", documents, vectors), PLAN, tmp_path / "runs")
    assert len(Watched.fitted) == 12


def test_each_fit_has_the_seed_of_its_subset(tmp_path: Path) -> None:
    make_curves(tmp_path, replace(PLAN, seed=5))
    assert Watched.seeds == [5, 6, 7] * 2


def test_a_label_that_a_subset_lacks_counts_as_missed(tmp_path: Path) -> None:
    (point,) = make_curves(tmp_path, CurvePlan(heads=[Watched()], sizes=[2], seeds=1)).points
    assert (point.documents, point.labels) == (2, 2)
    assert point.metrics["accuracy"] < 0.8
    assert point.metrics["macro_f1"] < 0.67  # one of three labels of like frequency has F1 0


def test_multilabel_documents_are_fitted_and_scored(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b", "c"], 200)
    both = [
        replace(each, labels=(*(each.labels or ()), "late")) if row > 100 else each
        for row, each in enumerate(documents)
    ]
    vectors[101:, 7] += 5
    store, table = make_store(tmp_path / "store", both, vectors, kind="multilabel")
    few, many = fit_curves(store, table, CurvePlan(heads=[LinearHead()], sizes=[4, None], seeds=2), tmp_path).summaries
    assert few.metrics["micro_f1"].mean < many.metrics["micro_f1"].mean > 0.9 and many.labels == 4


def test_an_order_adds_its_metric_and_is_another_fit(tmp_path: Path) -> None:
    plain = make_curves(tmp_path)
    assert "quadratic_kappa" not in plain.metrics and "quadratic_kappa" not in plain.summaries[0].metrics
    ordered = make_curves(tmp_path, replace(PLAN, order=["c", "a", "b"]))
    few, many = ordered.summaries
    assert len(Watched.fitted) == 12 and "quadratic_kappa" in ordered.metrics
    assert "quadratic_kappa" in few.metrics and many.metrics["quadratic_kappa"].mean > 0.9


def test_weights_are_those_of_the_documents_that_a_subset_has(tmp_path: Path) -> None:
    documents, _ = blobs(["a", "b", "c"], 160)
    none = {each.id: float(each.labels != ("b",)) for each in documents}
    seen: list[int] = []

    class Weighed(LinearHead):
        def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
            seen.append(int(np.count_nonzero(sample_weight)))
            assert not sample_weight[np.asarray(y) == "b"].any() and len(sample_weight) == len(y)
            return super().fit(X, y, sample_weight, *others, **named)

    curves = make_curves(tmp_path, CurvePlan(heads=[Weighed()], sizes=[30, None], seeds=2, weights=none))
    assert len(seen) == 4 and max(seen) < 96
    assert curves.summaries[1].metrics["macro_f1"].mean < 0.7  # b is never given
    even = make_curves(tmp_path, CurvePlan(heads=[LinearHead()], sizes=[30, None], seeds=2))
    assert even.summaries[1].metrics["macro_f1"].mean > 0.9


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", ["single", "multilabel"])
def test_every_head_can_be_fitted_on_the_fewest_documents(tmp_path: Path, name: str, kind: Any) -> None:
    is_network = issubclass(head_class(name), NetworkHead)
    head = make_head(name, {"epochs": 2, "min_steps": 2} if is_network else {})
    if kind == "multilabel" and not head.supports_multilabel:
        return
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 60), kind=kind)
    curves = fit_curves(store, table, CurvePlan(heads=[head], sizes=[2, 5], seeds=1), tmp_path / "runs")
    assert [level.documents for level in curves.summaries] == [2, 5]


def test_each_head_reads_its_own_layers(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], 160)
    layers = np.stack([vectors, np.random.default_rng(1).normal(size=vectors.shape)], axis=1)
    store, table = make_store(tmp_path / "store", documents, layers)
    mix = LayerMixHead(hidden=8, training=training_of(lr=0.02, device="cpu"))
    curves = fit_curves(store, table, CurvePlan(heads=[LinearHead(), mix], sizes=[None], seeds=1), tmp_path / "runs")
    accuracy = {point.head: point.metrics["accuracy"] for point in curves.points}
    assert accuracy["layermix"] > 0.9 and accuracy["linear"] < 0.8


def test_default_sizes_double_up_to_all_documents(tmp_path: Path) -> None:
    assert [level.size for level in make_curves(tmp_path, replace(PLAN, sizes=[])).summaries] == [12, 24, 48, 96]
    large = make_curves(tmp_path / "large", CurvePlan(heads=[LinearHead()], seeds=1), documents=1200)
    assert [level.size for level in large.summaries] == [50, 100, 200, 400, large.train_documents]


def test_default_sizes_are_not_nearly_equal_also_if_groups_are_large(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], 340)
    alone = fit_curves(*make_store(tmp_path / "one", documents, vectors), replace(PLAN, sizes=[]), tmp_path / "runs")
    assert alone.train_documents == 204 and [level.size for level in alone.summaries] == [25, 50, 100, 204]
    grouped = [replace(each, group=f"author {row // 34}") for row, each in enumerate(documents)]
    store, table = make_store(tmp_path / "other", grouped, vectors)
    curves = fit_curves(store, table, replace(PLAN, sizes=[]), tmp_path / "runs")
    counts = [level.documents for level in curves.summaries]
    assert len(counts) > 1 and all(later >= 1.25 * earlier for earlier, later in pairwise(counts))


def test_progress_counts_documents_and_predicts_the_time_left(tmp_path: Path) -> None:
    reported: list[CurveProgress] = []
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    fit_curves(store, table, PLAN, tmp_path / "runs", on_progress=reported.append)
    assert [now.done for now in reported] == [0, 10, 20, 30, 70, 110] and {now.total for now in reported} == {150}
    left = [now.seconds_left for now in reported]
    assert left[:4] == [None] * 4 and all(each is not None and each >= 0 for each in left[4:])


def test_the_time_left_includes_the_fixed_cost_of_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clocked(Watched):
        now: ClassVar[float] = 0

        def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
            Clocked.now += 2 + len(y) / 10
            return super().fit(X, y, sample_weight, *others, **named)

    monkeypatch.setattr("stages.curve.fits.time", SimpleNamespace(perf_counter=lambda: Clocked.now))
    reported: list[CurveProgress] = []
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    plan = CurvePlan(heads=[Clocked()], sizes=[10, 20, 80], seeds=2)
    fit_curves(store, table, plan, tmp_path / "runs", on_progress=reported.append)
    assert [now.seconds_left for now in reported] == [None, None, None, *map(pytest.approx, [24, 20, 10])]


def test_documents_of_weight_zero_are_scored_but_never_fitted_on(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b", "c"], 160))
    weights = {one: float(row % 4 == 0) for row, one in enumerate(table.ids)}
    curves = fit_curves(store, table, replace(PLAN, sizes=[4, None], weights=weights), tmp_path / "runs")
    even = fit_curves(store, table, replace(PLAN, sizes=[4, None]), tmp_path / "runs")
    assert (
        curves.validation_documents == even.validation_documents and curves.train_documents < even.train_documents / 2
    )
    assert [level.documents for level in curves.summaries] == [4, curves.train_documents]
    assert all(point.labels >= 2 for point in curves.points)
    assert any("of weight 0: neither fitted on" in note for note in curves.notes)
    few = {one: float(row == 0) for row, one in enumerate(table.ids)}
    with pytest.raises(BadData, match="have fewer than two labels"):
        fit_curves(store, table, replace(PLAN, weights=few), tmp_path / "runs")


def test_a_group_that_exceeds_a_size_is_noted(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], 160)
    grouped = [replace(each, group=f"author {row // 4}") for row, each in enumerate(documents)]
    store, table = make_store(tmp_path / "store", grouped, vectors)
    curves = fit_curves(store, table, replace(PLAN, sizes=[10]), tmp_path / "runs")
    assert any(point.documents > 10 for point in curves.points) and any(
        "Groups stay together" in note for note in curves.notes
    )


def test_more_documents_than_there_are_is_refused_before_any_fit(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="requests 97 documents, and there are 96 to fit on"):
        make_curves(tmp_path, replace(PLAN, sizes=[10, 97]))
    assert not Watched.fitted and not (tmp_path / "runs").exists()


def test_a_training_split_without_a_validation_split_is_refused(tmp_path: Path) -> None:
    split = ["train", "train", "test"]
    documents = [Document(f"d{at}", f"text {at}", (f"label {at}",), side) for at, side in enumerate(split)]
    with pytest.raises(BadData, match="no validation split can be made"):
        fit_curves(*make_store(tmp_path / "store", documents, np.eye(3)), PLAN, tmp_path / "runs")


@given(st.lists(st.none() | st.integers(2, 10**6), min_size=1))
def test_sizes_are_read_as_they_are_written(sizes: list[int | None]) -> None:
    text = ", ".join("all" if size is None else str(size) for size in sizes)
    assert parse_sizes(text) == tuple(sizes)


@pytest.mark.parametrize("text", ["", ",", "1", "10,x", "-5", "0", "3.5", "every"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(CallError, match="write whole numbers of at least 2, and 'all'"):
        parse_sizes(text)


def test_heads_are_named_and_hyperparameters_are_for_one() -> None:
    assert [head.name for head in parse_curve_heads(["mlp", "linear", "mlp"])] == ["mlp", "linear"]
    assert parse_curve_heads(["linear"], ["C=3"])[0].get_params()["C"] == 3
    with pytest.raises(CallError, match="for one head: fit it alone"):
        parse_curve_heads(["linear", "mlp"], ["C=3"])
    with pytest.raises(CallError, match="name the heads"):
        parse_curve_heads(["all"])
    with pytest.raises(UnknownName, match="Did you mean 'linear'"):
        parse_curve_heads(["liner"])
