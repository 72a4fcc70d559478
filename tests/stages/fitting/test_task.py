"""Which documents of a corpus are fitted: labeled ones, and those of which it is known that no label applies."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import BadData
from stages.fitting.task import load_task
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
