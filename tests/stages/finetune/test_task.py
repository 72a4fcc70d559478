"""Which documents are learned from, and which validate."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.documents import Corpus, Document, Kind
from data.errors import BadData, CallError
from data.splitting.train_test_split import assign_splits
from data.target import Target
from data.taxonomy import Taxonomy
from featurestore import KeyList
from heads.training.training_data import split_validation
from stages.embed.pipeline.corpus import create_corpus_table
from stages.finetune.settings import FinetuneSettings
from stages.finetune.task import FinetuneTask


def task(documents: Sequence[Document], kind: Kind = "single", **options: Any) -> FinetuneTask:
    corpus = Corpus("made", "made.csv", documents, kind, None, ())
    corpus = assign_splits(corpus, seed=0)
    table = create_corpus_table(corpus, KeyList.from_texts([document.text for document in corpus.documents]))
    return FinetuneTask.of(corpus, table, skip_unlabeled=False, order=options.pop("order", ()), **options)


def document(number: int, split: str = "train", text: str | None = None, group: str | None = None) -> Document:
    return Document(f"d{number}", text or f"text number {number}", ("ab"[number % 2],), split, group)


def many(count: int = 80, first: int = 0, split: str = "train") -> list[Document]:
    return [document(number, split) for number in range(first, first + count)]


def ids(task: FinetuneTask, rows: Any) -> set[str]:
    return {task.ids[row] for row in rows.tolist()}


TEST = [document(1000, "test"), document(1001, "test", group="g")]


def test_test_documents_their_texts_and_their_groups_are_never_learned_from_and_never_validate() -> None:
    related = [
        document(500, text="text number 1000"),
        document(501, text="Text  number 1000"),
        document(502, group="g"),
        document(503, text="text number 1001"),
    ]
    made = task([*many(), *related, *TEST])
    assert "4 training documents with a text or a group of the test split are not learned from." in made.notes
    for settings in (FinetuneSettings(), FinetuneSettings(validate_on="folds", folds=4)):
        for fold in made.folds(settings):
            assert not ids(made, fold.learned) & {"d500", "d501", "d502", "d503", "d1000", "d1001"}
    (fold,) = made.folds(FinetuneSettings())
    assert not ids(made, fold.scored) & {"d500", "d501", "d502", "d503"}


def test_a_share_validates_that_is_not_learned_from_and_groups_stay_together() -> None:
    documents = [document(number, group=f"g{number // 4}") for number in range(80)]
    made = task([*documents, *TEST])
    (fold,) = made.folds(FinetuneSettings(validation=0.25))
    learned, scored = ids(made, fold.learned), ids(made, fold.scored)
    assert len(learned) + len(scored) == 80
    assert len(scored) == 20
    groups = {each.id: each.group for each in documents}
    assert not {groups[name] for name in learned} & {groups[name] for name in scored}


def test_the_validation_split_of_the_corpus_validates_if_it_is_asked_for() -> None:
    made = task([*many(), *many(10, 200, "dev"), *TEST])
    (fold,) = made.folds(FinetuneSettings(validate_on="split"))
    assert ids(made, fold.scored) == {f"d{number}" for number in range(200, 210)}
    assert len(fold.learned) == 80


def test_folds_score_every_training_document_once_and_the_last_training_learns_from_all() -> None:
    made = task([*many(), *TEST])
    *folds, last = made.folds(FinetuneSettings(validate_on="folds", folds=4))
    assert sorted(np.concatenate([fold.scored for fold in folds]).tolist()) == list(range(80))
    assert all(not set(fold.scored.tolist()) & set(fold.learned.tolist()) for fold in folds)
    assert (last.number, len(last.learned), len(last.scored)) == (None, 80, 0)


def keys(numbers: range) -> frozenset[str]:
    return frozenset(KeyList.from_texts([f"text number {number}" for number in numbers]))


def test_documents_whose_labels_the_encoder_saw_are_learned_from_and_never_validate() -> None:
    made = task([*many(), *TEST], seen_keys=keys(range(40)))
    (fold,) = made.folds(FinetuneSettings())
    assert ids(made, fold.scored) <= {f"d{number}" for number in range(40, 80)}
    assert len(fold.learned) + len(fold.scored) == 80
    with pytest.raises(CallError, match="out-of-fold scores on them would be too high"):
        made.folds(FinetuneSettings(validate_on="folds"))
    with pytest.raises(BadData, match="from the labels of every training document"):
        task([*many(), *TEST], seen_keys=keys(range(80))).folds(FinetuneSettings())


@pytest.mark.parametrize(
    ("documents", "settings", "message"),
    [
        (many(80), FinetuneSettings(validate_on="split"), "no validation split"),
        (many(8), FinetuneSettings(), "too few documents per label"),
        (many(8), FinetuneSettings(validate_on="folds", folds=9), "folds is 9, but there are 8 training documents"),
        (
            [document(number, group=f"g{number % 2}") for number in range(20)],
            FinetuneSettings(validate_on="folds", folds=2),
            "outside fold 1 have fewer than two labels",
        ),
    ],
)
def test_too_few_documents_are_refused(documents: list[Document], settings: FinetuneSettings, message: str) -> None:
    with pytest.raises((BadData, CallError), match=message):
        task([*documents, *TEST]).folds(settings)


def test_documents_of_one_label_are_refused_unless_it_may_be_absent() -> None:
    one = [replace(each, labels=("a",)) for each in [*many(), *TEST]]
    with pytest.raises(BadData, match="the documents to learn from have fewer than two labels"):
        task(one).folds(FinetuneSettings())
    some = [replace(each, labels=("a",) if number % 2 else ()) for number, each in enumerate(one)]
    (fold,) = task(some, "multilabel").folds(FinetuneSettings())
    assert len(fold.learned) + len(fold.scored) == 80


def test_the_hash_of_the_documents_is_that_of_any_fit_on_them() -> None:
    assert task([*many(), *TEST]).documents_hash == task([*many(), *TEST], with_test=False).documents_hash
    assert task([*many(), *TEST]).documents_hash != task([*many(79), *TEST]).documents_hash


def test_rare_leaves_of_a_frequent_node_may_validate() -> None:
    paths = [f"top/{leaf}" for leaf in range(20)] + ["other"] * 20
    target = Target.from_labels([(path,) for path in paths], "path", Taxonomy.from_separator(paths, "/"))
    assert target.hierarchy is not None
    for strata, count in ((target.y, 0), (target.strata, 2)):
        _, validation = split_validation(strata, len(target.hierarchy), None, 0.1, 0)
        assert sum(row < 20 for row in validation.tolist()) == count
