"""Counts of many samples at once are those of each sample, counted alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables, DistinctRows
from tests.heads.evaluation.example_hierarchies import SMALL


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["single", "multilabel", "hierarchy"]))
def test_counts_are_those_of_a_sample_with_repeated_documents(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    hierarchy = SMALL if kind == "hierarchy" else None
    size = (40, 4) if kind == "multilabel" else 40
    truth, *predictions = (rng.integers(2 if kind == "multilabel" else 4, size=size) for _ in range(4))
    if kind == "multilabel":
        truth, predictions = truth.astype(bool), [each.astype(bool) for each in predictions]
    tables = CountTables.build(truth, predictions, 4, hierarchy)
    rows = tables.rows
    samples = rng.integers(40, size=(3, 40))
    weights = np.stack([np.bincount(rows.row_of[one], minlength=len(rows.first)) for one in samples], axis=1)
    for predicted, counts in zip(predictions, tables.count(weights.astype(np.float64)), strict=True):
        for number, sample in enumerate(samples):
            alone = ConfusionCounts.from_predictions(truth[sample], predicted[sample], 4, hierarchy)
            for metric in set(alone.metrics) - {"level_accuracy"}:
                assert getattr(counts, metric)[number] == pytest.approx(getattr(alone, metric)), metric
            if hierarchy is not None:
                np.testing.assert_allclose(counts.level_accuracy[number], alone.level_accuracy)


def test_distinct_rows_have_one_document_each_and_count_all() -> None:
    truth, predicted = np.array([2, 0, 2, 1, 2]), np.array([1, 0, 1, 1, 2])
    rows = DistinctRows.of([truth, predicted])
    assert sorted(rows.multiplicity.tolist()) == [1, 1, 1, 2]
    assert rows.row_of[0] == rows.row_of[2] and len(set(rows.row_of.tolist())) == 4
    assert (truth[rows.first][rows.row_of] == truth).all() and (predicted[rows.first][rows.row_of] == predicted).all()
