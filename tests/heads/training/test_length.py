"""The rule by which a training's length and batch size follow from the corpus."""

import pytest

from heads.testing import training_of
from heads.training.config import Optimization
from heads.training.length import TrainingLength


def by_the_rule(documents: int, positions_per_document: int = 1) -> TrainingLength:
    return TrainingLength.of(Optimization(), documents, documents * positions_per_document)


@pytest.mark.parametrize(
    ("documents", "positions_per_document", "expected"),
    [
        # 7 batches of 16 documents, twice per epoch: 14
        (112, 33, TrainingLength(epochs=20, passes=2, batch_size=16, steps=280)),
        # sqrt(6,500) = 81 is closer to 64 than to 128
        (6_500, 5, TrainingLength(epochs=20, passes=1, batch_size=64, steps=20 * 102)),
        # 1,000,000 / 160,000 = 6.25
        (160_000, 1, TrainingLength(epochs=6, passes=1, batch_size=512, steps=6 * 313)),
        # 2,000,000 / (10,000 * 20) = 10
        (10_000, 20, TrainingLength(epochs=10, passes=1, batch_size=128, steps=10 * 79)),
        # one pass reads 3,300,000 positions
        (100_000, 33, TrainingLength(epochs=4, passes=1, batch_size=256, steps=4 * 391)),
    ],
)
def test_it_follows_from_documents_and_positions(
    documents: int, positions_per_document: int, expected: TrainingLength
) -> None:
    assert by_the_rule(documents, positions_per_document) == expected


@pytest.mark.parametrize("positions_per_document", [1, 5, 33, 200])
def test_no_corpus_is_read_too_often_or_trained_too_little(positions_per_document: int) -> None:
    for documents in (100, 140, 500, 3_000, 20_000, 100_000, 1_000_000):
        length = by_the_rule(documents, positions_per_document)
        readings = length.epochs * length.passes
        assert 4 <= readings <= 40, documents
        assert length.steps >= 4 * 14, documents
        assert readings == 4 or readings * documents <= 1_000_000, documents
        assert readings == 4 or readings * documents * positions_per_document <= 2_000_000, documents


def test_a_value_that_is_set_is_kept() -> None:
    options = training_of(epochs=3, batch_size=10, min_steps=7).groups()[0]
    assert TrainingLength.of(options, 30, 30) == TrainingLength(epochs=3, passes=3, batch_size=10, steps=27)


def test_one_document_is_a_batch() -> None:
    assert by_the_rule(1).steps == 20 * 14
