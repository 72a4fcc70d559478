"""Support-vector machines on sparse rows: their inner folds and their calibration."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from featurestore import Bags
from heads.core.inputs import Examples
from heads.linear_models import svm
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


def test_a_group_stays_in_one_fold() -> None:
    groups = np.arange(60) // 4
    folds = assign_inner_folds(*rows_and_examples(groups=groups), seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(15))
    assert np.bincount(folds).tolist() == [20, 20, 20]


def test_without_groups_equal_rows_stay_in_one_fold() -> None:
    rows, examples = rows_and_examples()
    twice = np.r_[np.arange(60), np.arange(0, 60, 3)]
    folds = assign_inner_folds(rows[twice], examples[twice], seed=0)
    assert (folds[60:] == folds[:60:3]).all()
    np.testing.assert_array_equal(folds[:60], assign_inner_folds(rows, examples, seed=0))


def test_an_out_of_fold_margin_is_that_of_a_model_fitted_without_the_document() -> None:
    rows, examples = rows_and_examples()
    scored, margins = out_of_fold_margins(rows, examples, LABELS, C=1.0, seed=0)
    assert sorted(scored) == list(range(60))
    folds = assign_inner_folds(rows, examples, seed=0)
    document = int(scored[7])
    fitted = np.flatnonzero(folds != folds[document])
    coefficients, intercepts = fit_svm(rows[fitted], examples[fitted], LABELS, 1.0, seed=0)
    np.testing.assert_allclose(margins[7], coefficients @ rows[document].toarray()[0] + intercepts, atol=1e-5)


def test_a_document_whose_label_no_other_fold_has_is_not_scored() -> None:
    groups = np.arange(60)
    rows, examples = rows_and_examples(groups=np.where(groups % LABELS == 2, 2, groups))
    scored, margins = out_of_fold_margins(rows, examples, LABELS, C=1.0, seed=0)
    assert set(examples.y[scored]) == {0, 1}
    folds = assign_inner_folds(rows, examples, 0)
    without = margins[folds[scored] == folds[2]]
    assert (without[:, 2] == -1).all()


def test_logits_are_margins_times_one_factor() -> None:
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


def test_with_many_documents_the_first_fold_calibrates(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, examples = rows_and_examples()
    fits: list[int] = []

    def counted(rows: csr_matrix, *rest: Any) -> Any:
        fits.append(rows.shape[0])
        return fit_svm(rows, *rest)

    monkeypatch.setattr(svm, "fit_svm", counted)
    for limit, expected in ((60, [40, 60]), (61, [40, 40, 40, 60])):
        monkeypatch.setattr(svm, "SINGLE_FOLD_CALIBRATION", limit)
        fit_calibrated_svm(rows, examples, LABELS, 1.0, 0)
        assert fits == expected
        fits.clear()


def test_margins_of_a_single_group_are_not_scaled() -> None:
    rows, examples = rows_and_examples(groups=np.zeros(60, dtype=np.int64))
    for logits, margins in zip(
        fit_calibrated_svm(rows, examples, LABELS, 1.0, 0), fit_svm(rows, examples, LABELS, 1.0, 0), strict=True
    ):
        np.testing.assert_array_equal(logits, margins)


def test_margins_that_are_all_correct_are_not_taken_as_certain() -> None:
    rows, examples = rows_and_examples()
    rows = csr_matrix(10.0 * np.eye(LABELS, 5)[examples.y] + np.arange(60)[:, None] / 600)
    present = np.eye(LABELS, dtype=bool)[examples.y]
    multilabel = Examples(examples.bags, present, np.ones(60), np.ones((60, LABELS)), None)
    for kind in (examples, multilabel):
        coefficients, intercepts = fit_calibrated_svm(rows, kind, LABELS, 1.0, 0)
        logits = SparseLinearModel.from_coefficients(coefficients, intercepts).scores(rows)
        assert (logits.argmax(axis=1) == examples.y).all()
        assert 2 < logits.max() < 10  # the confidence that 60 correct predictions justify: log(61) is 4.1


def test_selected_examples_keep_their_groups() -> None:
    _, examples = rows_and_examples(groups=np.arange(60) // 4)
    selected = examples[np.array([8, 2, 5])]
    assert selected.groups is not None
    assert selected.groups.tolist() == [2, 0, 1]
    assert selected.y.tolist() == [2, 2, 2]


def test_a_document_that_may_not_validate_is_fitted_in_each_inner_fold_unless_its_group_is_scored() -> None:
    groups, fit_only = np.arange(60) // 2, np.zeros(60, dtype=bool)
    fit_only[:20], fit_only[21::4] = True, True  # ten whole groups, and one document of every second other group
    rows, examples = rows_and_examples(groups=groups)
    examples = replace(examples, fit_only=fit_only)
    folds = assign_inner_folds(rows, examples, seed=0)
    assert (folds[:20] == -1).all() and (folds[20:] >= 0).all()
    assert (folds[20::2] == folds[21::2]).all()
    scored, _ = out_of_fold_margins(rows, examples, LABELS, C=1.0, seed=0)
    assert sorted(scored) == np.flatnonzero(~fit_only).tolist()


def test_without_documents_that_may_validate_there_is_no_inner_fold() -> None:
    rows, examples = rows_and_examples()
    scored, margins = out_of_fold_margins(
        rows, replace(examples, fit_only=np.ones(60, dtype=bool)), LABELS, C=1.0, seed=0
    )
    assert (len(scored), margins.shape) == (0, (0, LABELS))


def test_many_labels_of_few_documents_are_no_warning() -> None:
    rows, examples = rows_and_examples()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coefficients, _ = fit_svm(rows, replace(examples, y=np.arange(60) % 40), 40, C=1.0, seed=0)
    assert coefficients.shape == (40, 5)
