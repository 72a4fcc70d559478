"""Support-vector machines on sparse rows: who is asked what, and by whom."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from featurestore import Bags
from heads.core.examples import Examples
from heads.linear_models.svm import (
    SparseLinearModel,
    assign_inner_folds,
    fit_calibrated_svm,
    fit_svm,
    out_of_fold_margins,
)

LABELS = 3


def rows_and_examples(documents: int = 60, groups: NDArray[np.int64] | None = None) -> tuple[csr_matrix, Examples]:
    rng = np.random.default_rng(0)
    y = np.arange(documents) % LABELS
    values = rng.normal(size=(documents, 5)) + 2 * np.eye(LABELS, 5)[y]
    one = np.ones(documents)
    return csr_matrix(values), Examples(Bags.from_array(values), y, one, one, groups)


def test_a_group_is_on_one_side_of_every_fold() -> None:
    groups = np.arange(60) // 4
    part = assign_inner_folds(*rows_and_examples(groups=groups), seed=0)
    assert all(len(set(part[groups == group])) == 1 for group in range(15))
    assert np.bincount(part).tolist() == [20, 20, 20]


def test_without_groups_equal_rows_are_on_one_side() -> None:
    rows, examples = rows_and_examples()
    twice = np.r_[np.arange(60), np.arange(0, 60, 3)]
    part = assign_inner_folds(rows[twice], examples[twice], seed=0)
    assert (part[60:] == part[:60:3]).all()
    np.testing.assert_array_equal(part[:60], assign_inner_folds(rows, examples, seed=0))


def test_a_left_out_margin_is_that_of_a_machine_that_has_not_seen_the_document() -> None:
    rows, examples = rows_and_examples()
    asked, margins = out_of_fold_margins(rows, examples, LABELS, C=1.0, seed=0)
    assert sorted(asked) == list(range(60))
    part = assign_inner_folds(rows, examples, seed=0)
    own = int(asked[7])
    learned = np.flatnonzero(part != part[own])
    coefficients, intercepts = fit_svm(rows[learned], examples[learned], LABELS, 1.0, seed=0)
    np.testing.assert_allclose(margins[7], coefficients @ rows[own].toarray()[0] + intercepts, atol=1e-5)


def test_a_document_whose_label_no_other_group_has_is_not_asked() -> None:
    groups = np.arange(60)
    rows, examples = rows_and_examples(groups=np.where(groups % LABELS == 2, 2, groups))
    asked, margins = out_of_fold_margins(rows, examples, LABELS, C=1.0, seed=0)
    assert set(examples.y[asked]) == {0, 1}
    without = margins[assign_inner_folds(rows, examples, 0)[asked] == assign_inner_folds(rows, examples, 0)[2]]
    assert (without[:, 2] == -1).all()


def test_logits_are_margins_by_one_factor() -> None:
    rows, examples = rows_and_examples()
    coefficients, intercepts = fit_calibrated_svm(rows, examples, LABELS, 1.0, 0)
    margins, offsets = fit_svm(rows, examples, LABELS, 1.0, 0)
    factor = coefficients[0, 0] / margins[0, 0]
    assert factor > 1
    np.testing.assert_allclose(coefficients, factor * margins)
    np.testing.assert_allclose(intercepts, factor * offsets)


@pytest.mark.parametrize("documents", [3, 6])
def test_few_documents_are_enough(documents: int) -> None:
    rows, examples = rows_and_examples(documents)
    coefficients, intercepts = fit_calibrated_svm(rows, examples, LABELS, 1.0, 0)
    assert np.isfinite(coefficients).all() and np.isfinite(intercepts).all()


def test_where_nothing_can_be_left_out_margins_stay_as_they_are() -> None:
    rows, examples = rows_and_examples(groups=np.zeros(60, dtype=np.int64))
    for logits, margins in zip(
        fit_calibrated_svm(rows, examples, LABELS, 1.0, 0), fit_svm(rows, examples, LABELS, 1.0, 0), strict=True
    ):
        np.testing.assert_array_equal(logits, margins)


def test_margins_that_are_all_right_keep_some_doubt() -> None:
    rows, examples = rows_and_examples()
    rows = csr_matrix(10.0 * np.eye(LABELS, 5)[examples.y] + np.arange(60)[:, None] / 600)
    present = np.eye(LABELS, dtype=bool)[examples.y]
    multilabel = Examples(examples.bags, present, np.ones(60), np.ones((60, LABELS)), None)
    for kind in (examples, multilabel):
        coefficients, intercepts = fit_calibrated_svm(rows, kind, LABELS, 1.0, 0)
        logits = SparseLinearModel.from_coefficients(coefficients, intercepts).scores(rows)
        assert (logits.argmax(axis=1) == examples.y).all()
        assert 2 < logits.max() < 10  # as sure as 60 right answers allow: log(61) is 4.1


def test_some_examples_keep_their_groups() -> None:
    _, examples = rows_and_examples(groups=np.arange(60) // 4)
    some = examples[np.array([8, 2, 5])]
    assert some.groups is not None
    assert some.groups.tolist() == [2, 0, 1]
    assert some.y.tolist() == [2, 2, 2]
