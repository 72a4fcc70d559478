"""Which documents of a corpus are fitted: labeled ones, and those of which it is known that no label applies."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.documents import blank_group
from data.errors import BadData
from data.taxonomy import Taxonomy
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.task import count_duplicates, load_task
from tests.small_store import blobs, make_store


def test_unlabeled_is_not_the_same_as_no_label_applies(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=20)
    documents[0] = replace(documents[0], labels=None)
    documents[1] = replace(documents[1], labels=())
    store, _ = make_store(tmp_path / "store", documents, vectors, kind="multilabel")
    table = store.corpus("made")
    with pytest.raises(
        BadData, match=r"1 of 20 documents have no label .*Label them \(\[\] says that no label applies"
    ):
        load_task(store, table)
    task = load_task(store, table, skip_unlabeled=True)
    ids = [*task.train_ids, *task.test_ids]
    assert documents[0].id not in ids and len(ids) == 19
    assert not task.target.y[task.train_ids.index(documents[1].id)].any()


def test_a_record_has_what_is_left_out_and_what_occurs_twice(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=20)
    splits = ["validation"] * 2 + ["test"] * 5 + ["train"] * 13
    documents = [replace(each, split=split) for each, split in zip(documents, splits, strict=True)]
    texts = {0: "same", 2: "same", 3: "same", 4: "other", 19: "other", 1: " ", 5: "", 18: "", 6: "once"}
    documents = [replace(each, text=texts.get(row, f"text {row}")) for row, each in enumerate(documents)]
    documents[17] = replace(documents[17], text="once", labels=None)  # a head is not fitted on it
    for row in (1, 5, 16, 18):  # blank texts, in groups that reading a corpus gives them
        documents[row] = replace(
            documents[row], text=" " if row in (1, 16) else "", group=blank_group(documents[row].id)
        )
    store, table = make_store(tmp_path / "store", documents, vectors)
    plan = FitPlan(head=PrototypeHead(), folds=2, skip_unlabeled=True)
    record = fit_head(store, table, plan, tmp_path / "runs")[0].record
    assert record.unlabeled == 1 and record.duplicates == {"test": 3} and not record.sample_of
    validation = replace(documents[1], text="other", group=None)
    _, table = make_store(tmp_path / "other", [documents[0], validation, *documents[2:]], vectors)
    assert count_duplicates(table) == {"validation": 1, "test": 3}


def test_a_taxonomy_changes_the_run_and_not_the_documents_of_one_label(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=20)
    store, table = make_store(tmp_path / "store", documents, vectors)
    graphs: list[Taxonomy | None] = [None, Taxonomy.from_parents({"a": ["x"], "b": ["x"]})]
    graphs.append(Taxonomy.from_parents({"a": ["y"], "b": ["x"]}))
    head, tasks = LinearHead(), [load_task(store, replace(table, taxonomy=graph)) for graph in graphs]
    assert len({task.documents_hash for task in tasks}) == 1  # so that runs may be compared
    assert [task.input_hashes(head).get("taxonomy") is None for task in tasks] == [True, False, False]
    assert tasks[1].input_hashes(head) != tasks[2].input_hashes(head)


def test_a_branch_without_labels_does_not_change_the_run(tmp_path: Path) -> None:
    documents, vectors = blobs(["a", "b"], documents=20)
    store, table = make_store(tmp_path / "store", documents, vectors)
    trees = [Taxonomy.from_parents({"a": ["x"], "b": ["x"]} | more) for more in ({}, {"c": ["x"]})]
    one, other = (load_task(store, replace(table, taxonomy=tree)) for tree in trees)
    assert one.input_hashes(LinearHead()) == other.input_hashes(LinearHead())
