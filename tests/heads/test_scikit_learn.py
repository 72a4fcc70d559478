"""scikit-learn's own checks of an estimator, on plain arrays."""

import warnings
from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator

from heads.base import Head
from heads.cascade import CascadeHead
from heads.lightgbm import LightGBMHead
from heads.linear import LinearHead

# each with the reason why it must fail
TWO_COLUMNS = dict.fromkeys(
    ("check_classifiers_classes", "check_classifiers_train"),
    "two classes have a column of scores each, as more do: every rule that reads scores stays one rule",
)
LOGARITHMS = {"check_decision_proba_consistency": "two columns of scores are compared with one of probabilities"}
BY_COUNTS = {"check_sample_weight_equivalence_on_dense_data": "trees count documents, not weights"}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(LinearHead(), TWO_COLUMNS, id="linear"),
        pytest.param(CascadeHead(), TWO_COLUMNS | LOGARITHMS, id="cascade"),
        pytest.param(LightGBMHead(rounds=5), TWO_COLUMNS | BY_COUNTS, id="lightgbm"),
    ],
)
def test_scikit_learn_finds_nothing_but_what_is_declared(head: Head, expected: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a check may warn of what it does itself
        results: list[dict[str, Any]] = check_estimator(
            head, expected_failed_checks=expected, on_skip=None, on_fail=None
        )
    failed = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    assert failed == {}
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == expected.keys()
