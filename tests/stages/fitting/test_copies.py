"""Augmented copies: fitted on together with their origins, and never validated, decided on or scored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.documents import Document
from data.errors import BadData
from featurestore import CorpusTable, FeatureStore, text_key
from heads.classifiers.knn import KNNHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.stacking import StackingHead
from heads.core.head import Head
from stages.comparing.table import compare
from stages.curve import CurvePlan
from stages.curve.runner import fit_curves
from stages.fitting.copies import Origin, format_origins, parse_origins
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import Task, load_task
from tests.small_store import blobs, content, make_store

LABELS = ["a", "b", "c", "d"]


def origin_of(document: Document) -> str:
    return format_origins([Origin(document.id, text_key(document.text))])


def add_copies(
    store: FeatureStore, origins: Sequence[str], vectors: NDArray[Any], texts: Sequence[str] = (), name: str = "copies"
) -> CorpusTable:
    """A corpus of copies with the vectors of `vectors` and these cells of origins."""
    keys = [text_key(text) for text in texts or [f"{name} {row}" for row in range(len(origins))]]
    store.commit(content(keys, np.asarray(vectors, np.float32)))
    nothing = [None] * len(origins)
    ids = [f"c{row}" for row in range(len(origins))]
    table = CorpusTable(name, f"{name}.jsonl", "single", None, ids, keys, nothing, list(origins), nothing)
    store.save_corpus(table)
    return table


def make(folder: Path, documents: int = 80) -> tuple[list[Document], NDArray[np.float32], FeatureStore, CorpusTable]:
    rows, vectors = blobs(LABELS, documents)
    return rows, vectors, *make_store(folder / "store", rows, vectors)


def task_with(store: FeatureStore, table: CorpusTable, *copies: CorpusTable) -> Task:
    return load_task(store, table, copies=copies)


@dataclass(eq=False, repr=False, kw_only=True)
class Recording(LinearHead):
    """Keeps what it was fitted on."""

    fits: ClassVar[list[dict[str, Any]]] = []

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, fit_only: Any = None, detailed: Any = None
    ) -> Self:
        self.fits.append({"X": X, "y": y, "weight": sample_weight, "groups": groups, "fit_only": fit_only})
        return super().fit(X, y, sample_weight, groups, fit_only, detailed)


def fitted_on(task: Task, rows: Sequence[int], weight: NDArray[np.float64] | None = None) -> dict[str, Any]:
    Recording.fits.clear()
    task.fit(Recording(), np.array(rows), weight)
    return Recording.fits[0]


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_origins_are_read_as_they_were_written(names: list[str]) -> None:
    origins = [Origin(name, text_key(name)[:16]) for name in names]
    assert parse_origins(format_origins(origins)) == origins


@pytest.mark.parametrize("cell", ["17", "[odd]", "[1, 2]", "[]", "mail@example.org", "a\nb"])
def test_an_id_alone_names_an_origin(cell: str) -> None:
    assert parse_origins(cell) == [Origin(cell)]


def test_a_copy_is_fitted_on_exactly_with_its_origin_and_has_its_label_group_and_weight(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    copies = add_copies(store, [origin_of(documents[row]) for row in (0, 1, 0)], vectors[[0, 1, 0]] + 1)
    task, weight = task_with(store, table, copies), np.arange(60.0)
    fit = fitted_on(task, [4, 0, 2, 5, 1, 6], weight)
    assert fit["fit_only"].tolist() == [False] * 6 + [True] * 3
    assert fit["y"][6:].tolist() == [
        *(documents[0].labels or ()),
        *(documents[1].labels or ()),
        *(documents[0].labels or ()),
    ]
    assert fit["weight"][6:].tolist() == [0, 1, 0]
    assert fit["groups"][6:].tolist() == [fit["groups"][1], fit["groups"][4], fit["groups"][1]]
    np.testing.assert_allclose(fit["X"].pooled(["mean"])[6:], vectors[[0, 1, 0]] + 1)
    assert fitted_on(task, [2, 5, 1, 6, 4])["fit_only"].tolist() == [False] * 5 + [True]  # without document 0
    assert len(fitted_on(task, [2, 5, 6, 4])["X"]) == 4


def test_a_copy_with_words_of_two_documents_needs_both_and_makes_them_one_group(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    both = format_origins([Origin("d0", table.keys[0]), Origin("d1")])
    task = task_with(store, table, add_copies(store, [both], vectors[:1] + 1))
    assert len(fitted_on(task, [0, 2, 4, 5, 6])["X"]) == 5
    fit = fitted_on(task, [0, 1, 2, 4, 5, 6])
    assert len(fit["X"]) == 7 and fit["groups"][0] == fit["groups"][1] == fit["groups"][6]
    assert len(set(fit["groups"])) == 5
    assert fit["y"][6] == (documents[0].labels or ())[0]


def test_out_of_fold_scores_know_no_copy_of_the_scored_document(tmp_path: Path) -> None:
    # labels dealt out at random: the nearest neighbor would know them from the copy of a document
    documents, vectors = blobs(LABELS, documents=200)
    shuffled = np.random.default_rng(1).permutation(len(documents))
    mixed = [replace(each, labels=documents[other].labels) for each, other in zip(documents, shuffled, strict=True)]
    store, table = make_store(tmp_path / "store", mixed, vectors)
    train = [row for row, document in enumerate(mixed) if document.split == "train"]
    copies = add_copies(store, [origin_of(mixed[row]) for row in train], vectors[train])
    plan = FitPlan(head=KNNHead(k=1), folds=3, tune=False, copies=[copies])
    run, _ = fit_head(store, table, plan, tmp_path / "runs", jobs=1)
    assert run.scorecards["out_of_fold"].accuracy.value < 0.4
    assert run.predictions().of("train").ids == [mixed[row].id for row in train]


def test_without_its_copies_a_run_is_another_one_on_the_same_documents(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    copies = add_copies(store, [origin_of(document) for document in documents[:3]], vectors[:3] + 1)
    plan = FitPlan(head=LinearHead(class_weight="balanced"), folds=2, tune=False)
    without, _ = fit_head(store, table, plan, tmp_path / "runs", jobs=1)
    augmented, is_new = fit_head(store, table, replace(plan, copies=[copies]), tmp_path / "runs", jobs=1)
    assert is_new and augmented.record.documents_hash == without.record.documents_hash
    assert augmented.record.copies == {"copies": 3} and without.record.copies == {}
    assert augmented.head().counts_.sum() == 63  # class weights count copies
    assert "3 augmented copies of 3 training documents (copies): fitted on" in " ".join(augmented.record.notes)
    rows = compare([augmented, without])
    assert rows.rows[1].difference is not None
    assert f"{augmented.name}: fitted with augmented copies (3 of copies)." in rows.notes
    fewer = add_copies(store, [origin_of(documents[0])], vectors[:1] + 2, name="fewer")
    other, _ = fit_head(store, table, replace(plan, copies=[fewer]), tmp_path / "runs", jobs=1)
    assert len({run.name for run in (without, augmented, other)}) == 3


def test_a_stacking_ensemble_reads_the_runs_with_its_copies_and_is_fitted_without_them(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    copies = add_copies(store, [origin_of(document) for document in documents[:3]], vectors[:3] + 1)
    heads: list[Head] = [LinearHead(), LinearHead(C=3.0)]
    names: dict[int, list[str]] = {}
    for used in ([], [copies]):
        plans = [FitPlan(head=head, folds=2, tune=False, copies=used) for head in heads]
        names[len(used)] = sorted(fit_head(store, table, plan, tmp_path, jobs=1)[0].name for plan in plans)
    plan = FitPlan(head=StackingHead(), folds=2, tune=False)
    for used in ([], [copies]):
        run, _ = fit_head(store, table, replace(plan, copies=used), tmp_path, jobs=1)
        assert run.record.base_runs == names[len(used)] and not run.record.copies


def test_copies_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    cells = ["d0", "gone", "d3", "d1@0123456789abcdef", "d2", ""]  # d3 is in the test split
    texts = ["new", "b", "c", "d", documents[5].text, "f"]
    task = task_with(store, table, add_copies(store, cells, vectors[:6], texts))
    assert task.copies is not None and task.copies.counts == {"copies": 1}
    (note,) = [sentence for sentence in task.notes if "left out" in sentence]
    assert note == (
        "Copies of copies that are left out: 2 of no document of the corpus, 1 of a test document, 1 of an older text, "
        "1 equal to a document of the corpus."
    )


def test_a_corpus_without_a_usable_copy_is_refused(tmp_path: Path) -> None:
    _, vectors, store, table = make(tmp_path)
    copies = add_copies(store, ["d3", "gone"], vectors[:2])
    with pytest.raises(
        BadData,
        match=r"copies has no copy of a training document of made: 1 of a test document, 1 of no .* augment made",
    ):
        task_with(store, table, copies)


def test_copies_without_features_are_reported_with_what_to_do(tmp_path: Path) -> None:
    documents, _, store, table = make(tmp_path)
    absent = replace(table, name="absent", source="absent.jsonl", ids=["c"], keys=[text_key("absent")], groups=["d0"])
    with pytest.raises(
        BadData, match=r"Copies lack features.*with --store: `embedonce embed absent.jsonl --group copy_of`"
    ):
        task_with(store, table, replace(absent, splits=[None], labels=[None]))
    assert documents


def test_each_fit_of_a_curve_has_the_copies_of_its_documents(tmp_path: Path) -> None:
    documents, vectors, store, table = make(tmp_path)
    train = [row for row, document in enumerate(documents) if document.split == "train"]
    copies = add_copies(store, [origin_of(documents[row]) for row in train], vectors[train] + 1)
    Recording.fits.clear()
    plan = CurvePlan(heads=[Recording()], sizes=[10, 20], seeds=1, copies=[copies])
    curves = fit_curves(store, table, plan, tmp_path / "runs")
    assert [len(fit["X"]) for fit in Recording.fits] == [2 * point.documents for point in curves.points]
    assert any("copies of its documents" in note for note in curves.notes)
