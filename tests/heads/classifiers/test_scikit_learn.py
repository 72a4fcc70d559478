"""scikit-learn's own checks of an estimator, on plain arrays."""

import warnings
from typing import Any

import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from heads.classifiers.attention import AttentionHead
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.gated import GatedHead
from heads.classifiers.gru import GRUHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.knn import KNNHead
from heads.classifiers.layermix import LayerMixHead
from heads.classifiers.lightgbm import LightGBMHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.lstm import LSTMHead
from heads.classifiers.mil import MILHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.prototype import PrototypeHead
from heads.classifiers.supcon import SupConHead
from heads.classifiers.transformer import TransformerHead
from heads.core.head import Head
from heads.planted_signals import mean_signal
from heads.registry import HEADS
from heads.testing import training_of

# each with the reason why it must fail
TWO_COLUMNS = dict.fromkeys(
    ("check_classifiers_classes", "check_classifiers_train"),
    "two classes have a column of scores each, as more do: every rule that reads scores stays one rule",
)
LOGARITHMS = {"check_decision_proba_consistency": "two columns of scores are compared with one of probabilities"}
MINI_BATCHES = {
    "check_sample_weight_equivalence_on_dense_data": "two copies of a document are drawn apart, a weight of two is not"
}

# what may fail: on a CPU without AVX-512 float32 rounds a weighted sum to 4e-7 of the repeated one, and 1e-7 is allowed
ROUNDING = {
    "check_sample_weight_equivalence_on_dense_data": "float32 products are added in another order, or a solver "
    "stops near the optimum"
}
ROUNDED = ("linear", "linear ridge", "cascade", "cascade local", "knn")

# by the name of the head: small enough to be fitted some hundred times, and what it must fail beside TWO_COLUMNS
QUICK = training_of(lr=0.04, epochs=3, min_steps=12, validation_fraction=0.0, device="cpu")
NEURAL = LOGARITHMS | MINI_BATCHES
CHECKED: dict[str, tuple[Head, dict[str, str]]] = {
    "linear": (LinearHead(), {}),
    "linear ridge": (LinearHead(kind="ridge"), {}),
    "knn": (KNNHead(), LOGARITHMS),
    "prototype": (PrototypeHead(), LOGARITHMS),
    "mlp": (MLPHead(hidden=16, training=QUICK), NEURAL),
    "gated": (GatedHead(hidden=16, training=QUICK), NEURAL),
    "mil": (MILHead(hidden=16, training=QUICK), NEURAL),
    "attention": (AttentionHead(hidden=16, gate=4, training=QUICK), NEURAL),
    "lstm": (LSTMHead(hidden=8, training=QUICK), NEURAL),
    "gru": (GRUHead(hidden=8, training=QUICK), NEURAL),
    "transformer": (TransformerHead(width=8, training=QUICK), NEURAL),
    "layermix": (LayerMixHead(hidden=16, training=QUICK), NEURAL),
    "lightgbm": (LightGBMHead(rounds=5), {}),
    "cascade": (CascadeHead(), LOGARITHMS),
    "cascade local": (CascadeHead(local=LinearHead()), LOGARITHMS),
    "hierarchical": (HierarchicalHead(hidden=16, training=QUICK), NEURAL),
    "supcon": (SupConHead(hidden=16, projection_dim=8, steps=20, lr=0.02, device="cpu"), MINI_BATCHES),
}
# heads that read token ids, which a plain array does not have
NO_VECTORS = frozenset({"tfidf", "fused"})


# each of these takes five seconds or more; mlp stands for all networks in `make test`
SLOW = ("attention", "gated", "gru", "hierarchical", "layermix", "lstm", "mil", "supcon", "transformer")


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=pytest.mark.long if form in SLOW else ()) for form in CHECKED]
)
def test_scikit_learn_finds_nothing_but_what_is_declared(form: str) -> None:
    head, exceptions = CHECKED[form]
    possible = ROUNDING if form in ROUNDED else {}
    expected = TWO_COLUMNS | exceptions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a check may warn of what it does itself
        results: list[dict[str, Any]] = check_estimator(
            head, expected_failed_checks=expected | possible, on_skip=None, on_fail=None
        )
    failed = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    assert failed == {}
    allowed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert allowed - possible.keys() == expected.keys()


def test_every_head_of_ours_is_checked() -> None:
    assert {form.split()[0] for form in CHECKED} | NO_VECTORS == {name for name, at in HEADS.items() if _is_ours(at)}


def _is_ours(at: str) -> bool:
    return at.startswith("heads.")


def small(name: str) -> Head:
    head: Head = clone(CHECKED[name][0])
    return head


@pytest.mark.parametrize("form", ["linear", "knn", "prototype", "attention", "gru"])
def test_a_grid_is_searched_over_bags(form: str) -> None:
    planted = mean_signal(documents=60)
    search = GridSearchCV(small(form), {"class_weight": ["none", "balanced"]}, cv=2)
    assert search.fit(planted.bags, planted.y).best_score_ > 0.8


def test_heads_vote_over_bags() -> None:
    planted = mean_signal(documents=60)
    voters = VotingClassifier([(name, small(name)) for name in ("linear", "knn", "attention")], voting="soft")
    assert voters.fit(planted.bags, planted.y).score(planted.bags, planted.y) > 0.9


def test_a_pipeline_hands_bags_on() -> None:
    train, test = mean_signal(documents=120).halves()
    pooled = FunctionTransformer(lambda bags: bags.pooled(("mean",)))
    for pipeline in (make_pipeline("passthrough", small("prototype")), make_pipeline(pooled, small("prototype"))):
        assert pipeline.fit(train.bags, train.y).score(test.bags, test.y) > 0.85
