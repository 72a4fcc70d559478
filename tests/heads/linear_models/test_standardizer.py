"""Features scaled to mean 0 and standard deviation 1."""

import numpy as np

from heads.classifiers.linear import LinearHead
from heads.linear_models.standardizer import Standardizer

STEP = 2.0**-24  # the smallest number of float16 above zero


def test_a_feature_that_varies_by_rounding_is_not_scaled_up() -> None:
    features = np.full((400, 1), 2 * STEP, np.float32)
    features[0] = 1.9 * STEP
    assert Standardizer.fit(features, np.ones(400)).deviation.tolist() == [1.0]


def test_a_small_feature_is_scaled() -> None:
    features = 1e-4 * np.random.default_rng(0).normal(size=(400, 1))
    np.testing.assert_allclose(Standardizer.fit(features, np.ones(400)).transform(features).std(), 1)


def test_the_rounding_of_a_dead_dimension_moves_no_score_of_a_new_document() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    X = np.column_stack([rng.normal(size=200) + y, np.full(200, 2 * STEP)]).astype(np.float32)
    X[7, 1] = 1.9 * STEP
    new = X.copy()
    new[:, 1] = -2 * STEP
    head = LinearHead().fit(X, y)
    np.testing.assert_allclose(head.decision_function(new), head.decision_function(X), atol=1e-3)
