"""Evidence 3,000 tokens apart: a lengthened encoder gives a linear head what windows cannot."""

from pathlib import Path

import numpy as np

from stages.embed import Encoder
from tests.distant_evidence import distant_documents, make_marker_encoder
from tests.encoding import encode
from tests.stages.lengthen.conftest import Lengthen, opened

FITTED, SCORED = 12, 8


def linear_accuracy(encoder: Encoder) -> float:
    """Of logistic regression on the mean of each document's first-token vectors."""
    from sklearn.linear_model import LogisticRegression

    texts, labels = distant_documents(FITTED + SCORED)
    content = encode(texts, encoder)
    vectors = content.arrays["chunks/cls"].reshape(len(texts), -1, encoder.dim).mean(1)
    vectors = (vectors - vectors.mean(0)) / vectors.std(0)
    head = LogisticRegression().fit(vectors[:FITTED], labels[:FITTED])
    return float(head.score(vectors[FITTED:], labels[FITTED:]))


def test_a_linear_head_combines_words_3000_tokens_apart_only_if_one_input_has_both(
    lengthened: Lengthen, tmp_path: Path
) -> None:
    original = make_marker_encoder(tmp_path / "tiny")
    new = lengthened(original, positions=3200, attention_window=64)
    assert new.largest_difference <= 1e-5
    assert linear_accuracy(opened(new.folder, long="model", keep=("cls",))) == 1
    assert linear_accuracy(opened(original, window=254, keep=("cls",))) <= 0.75


def test_half_of_the_words_says_nothing_about_the_label() -> None:
    texts, labels = distant_documents(8, words=60, apart=40)
    for word in ("oil", "wheat", "team", "card"):
        found = [label for text, label in zip(texts, labels, strict=True) if word in text.split()]
        assert sorted(found) == ["different", "different", "same", "same"]
    assert np.unique([len(text.split()) for text in texts]).tolist() == [60]
