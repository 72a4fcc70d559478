"""For any groups, equal texts, documents that were seen and numbers of folds: no document that was seen is scored."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featurestore import Bags, CorpusTable, EncoderTraining, FeatureStore, TrainingStep, text_key
from stages.fitting.encoder_exposure import EncoderExposure, EncoderFold

Rows = list[tuple[int, int, int]]  # of each document: its text, its group (0 for none) and its label
ROWS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=30)
TEXTS = st.frozensets(st.integers(0, 15))


class Features:
    """A source of features that has nothing but the record of its encoder."""

    def __init__(self, seen: Sequence[int]) -> None:
        keys = frozenset(text_key(str(text)) for text in seen)
        step = TrainingStep(method="finetune", corpus="c", uses_labels=True, includes_test=False, keys=keys)
        self.trainings = (EncoderTraining(base="b", steps=(step,)),)


def table_of(rows: Rows) -> CorpusTable:
    return CorpusTable(
        name="c",
        source="c.csv",
        kind="single",
        taxonomy=None,
        ids=[str(row) for row in range(len(rows))],
        keys=[text_key(str(text)) for text, _, _ in rows],
        splits=["train"] * len(rows),
        groups=[str(group) if group else None for _, group, _ in rows],
        labels=[(str(label),) for _, _, label in rows],
    )


def expected(rows: Rows, seen: frozenset[int]) -> list[bool]:
    """Whether an encoder that saw some texts saw a document: one loop per document."""
    return [
        any(other in seen and (other == text or group == its_group != 0) for other, its_group, _ in rows)
        for text, group, _ in rows
    ]


def numbers_of(rows: Rows) -> NDArray[np.int64]:
    """As tasks number groups: documents without a group are one with those of equal text."""
    return np.array([group or 100 + text for text, group, _ in rows])


@settings(max_examples=60, deadline=None)
@given(ROWS, TEXTS, st.integers(2, 5), st.integers(0, 3))
def test_no_document_that_was_seen_is_in_a_fold(rows: Rows, seen: frozenset[int], folds: int, seed: int) -> None:
    source: FeatureStore = Features(sorted(seen))  # type: ignore[assignment]
    exposure = EncoderExposure.of(source, table_of(rows), range(len(rows)), [])
    assert exposure.is_seen.tolist() == expected(rows, seen)
    y, groups = np.array([label for _, _, label in rows]), numbers_of(rows)
    fold_of = exposure.assign_folds(y, groups, folds, seed)
    assert ((fold_of == -1) == exposure.is_seen).all() and (fold_of < folds).all()
    assert exposure.unscored == exposure.is_seen.sum() and exposure.documents == len(rows)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(TEXTS, min_size=2, max_size=4), st.integers(0, 3))
def test_a_fold_has_no_document_that_its_encoder_saw_and_no_group_is_divided(
    rows: Rows, seen_by_fold: list[frozenset[int]], seed: int
) -> None:
    everything: FeatureStore = Features(range(16))  # type: ignore[assignment]
    exposure = EncoderExposure.of(everything, table_of(rows), range(len(rows)), [])
    no_features = Bags.from_array(np.zeros((len(rows), 1), np.float32))
    folds = []
    for seen in seen_by_fold:
        source: FeatureStore = Features(sorted(seen))  # type: ignore[assignment]
        is_seen = EncoderExposure.of(source, table_of(rows), range(len(rows)), []).is_seen
        folds.append(EncoderFold(source, is_seen, no_features))
    exposure = replace(exposure, folds=tuple(folds))
    groups = numbers_of(rows)
    fold_of = exposure.assign_folds(np.array([label for _, _, label in rows]), groups, 9, seed)
    for row, fold in enumerate(fold_of.tolist()):
        if fold >= 0:
            assert not expected(rows, seen_by_fold[fold])[row]
        else:
            assert all(expected(rows, seen)[row] for seen in seen_by_fold)
    assert all(len(set(fold_of[groups == group])) == 1 for group in groups)
