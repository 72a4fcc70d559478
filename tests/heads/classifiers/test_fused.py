"""The fused head: what words and embeddings contribute, and with which strength."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from data.errors import UnknownName
from featurestore import Bags
from heads.classifiers import fused
from heads.classifiers.fused import COMPONENTS, START, STRENGTHS, FusedHead
from heads.classifiers.tfidf import TfIdfHead
from heads.planted_signals import Planted, make_bags, mean_signal
from heads.testing import HeadContract
from tests.heads.words import topics


class TestFusedKeepsTheContract(HeadContract):
    head = FusedHead(strength=0.6)
    unread_view = "max"
    exceptions: ClassVar = {"plain_arrays": "they have no token ids"}


def in_words_and_vectors(documents: int = 240, seed: int = 0) -> Planted:
    """Labels "word/vector": the first part depends on the words only, the second on the vectors only."""
    words, vectors = topics(documents, 2, seed=seed), mean_signal(documents, 2, seed=seed + 1)
    y = np.array([f"{word}/{vector}" for word, vector in zip(words.y, vectors.y, strict=True)], dtype=object)
    return Planted(combine(words.bags, vectors.bags), y)


def combine(words: Bags, vectors: Bags) -> Bags:
    """The token ids of `words`, and all other views of `vectors`."""
    return Bags({**vectors.views, "token_ids": words.view("token_ids")})


def test_it_uses_both_words_and_vectors() -> None:
    train, test = in_words_and_vectors().halves()
    fused, alone = FusedHead().fit(train.bags, train.y), TfIdfHead().fit(train.bags, train.y)
    assert fused.score(test.bags, test.y) > 0.9
    assert alone.score(test.bags, test.y) < 0.7


def test_the_strength_depends_on_what_predicts_the_labels() -> None:
    words, rng, sign = topics(800, 2, own=0.2), np.random.default_rng(0), np.resize([1, -1], 800)
    noise = rng.normal(size=(800, 1, 60))
    noisy, predictive = (make_bags(list(noise + shift * sign[:, None, None])) for shift in (0.0, 0.3))
    weak = FusedHead(pooling=("mean",)).fit(combine(words.bags, noisy), words.y)
    strong = FusedHead(pooling=("mean",)).fit(combine(words.bags, predictive), sign)
    assert weak.strength_ < STRENGTHS[START] < strong.strength_
    assert weak.notes_ == (
        f"fused selected strength={weak.strength_:g} for the embeddings, out of fold on training documents.",
    )
    assert FusedHead(pooling=("mean",), strength=0.5).fit(combine(words.bags, predictive), words.y).notes_ == ()


def test_with_a_tiny_strength_it_equals_tfidf() -> None:
    train, test = topics().halves()
    noise = make_bags(list(np.random.default_rng(0).normal(size=(len(train), 1, 4))))
    fused = FusedHead(strength=1e-6).fit(combine(train.bags, noise), train.y)
    alone = TfIdfHead().fit(train.bags, train.y).decision_function(test.bags)
    np.testing.assert_allclose(fused.decision_function(combine(test.bags, noise)), alone, atol=1e-2)


def test_the_scale_of_vectors_does_not_matter() -> None:
    planted = in_words_and_vectors(documents=90)
    large = {view: planted.bags.view(view).gather()[0] * 1000 for view in ("cls", "mean", "max")}
    scaled = Bags(
        {view: replace(planted.bags.view(view), arrays=(values,)) for view, values in large.items()}
        | {"token_ids": planted.bags.view("token_ids")}
    )
    one, other = (FusedHead(strength=0.6).fit(bags, planted.y) for bags in (planted.bags, scaled))
    np.testing.assert_allclose(one.decision_function(planted.bags), other.decision_function(scaled), atol=1e-3)


def test_wide_vectors_are_projected_to_their_principal_components() -> None:
    rng = np.random.default_rng(0)
    planted = mean_signal(documents=60)
    wide = np.concatenate([planted.bags.pooled(("mean",)), 0.1 * rng.normal(size=(60, 2 * COMPONENTS))], axis=1)
    bags = make_bags(list(wide[:, None, :]), views=("mean",))
    head = FusedHead(pooling=("mean",), strength=1.0).fit(bags, planted.y)
    assert head.embedding_coefficients_.shape == (6 + 2 * COMPONENTS, 3)
    assert head.parameter_count_ == 3 * (len(head.tfidf_.vocabulary) + COMPONENTS + 1)


def test_principal_components_of_a_sample_keep_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = in_words_and_vectors(), in_words_and_vectors(seed=1)
    monkeypatch.setattr(fused, "COMPONENT_DOCUMENTS", 4)
    monkeypatch.setattr(fused, "COMPONENTS", 6)
    assert FusedHead(strength=1.0).fit(train.bags, train.y).score(test.bags, test.y) > 0.9


def test_it_reads_the_stored_pooled_views_and_token_ids() -> None:
    planted = mean_signal()
    some = planted.bags.select_views(("token_ids", "mean", "max"))
    assert FusedHead(strength=0.6).fit(some, planted.y).reads == ("token_ids", "mean", "max")
    assert FusedHead(pooling=("cls",)).reads == ("token_ids", "cls")


def test_a_plain_array_has_no_token_ids() -> None:
    with pytest.raises(UnknownName, match=r"^fused reads token_ids, these features keep cls, mean, max, segments\."):
        FusedHead().fit(np.eye(4), list("abab"))
