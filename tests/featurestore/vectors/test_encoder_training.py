"""The record of an encoder's training: what it answers, and its file."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import BadData, StoreDamaged
from featurestore import TRAINING_FILE, EncoderTraining, FeatureStore, JoinedStores, TrainingStep
from tests.featurestore.made import RECIPE

READ = TrainingStep(
    method="mlm", corpus="news", uses_labels=False, includes_test=True, keys=frozenset({"1" * 64, "2" * 64})
)
LABELED = replace(READ, method="supervised", uses_labels=True, includes_test=False, keys=frozenset({"3" * 64}))
RECORD = EncoderTraining(base="some-encoder").then(READ).then(LABELED)


def test_only_texts_of_steps_with_labels_are_label_keys() -> None:
    assert RECORD.label_keys == {"3" * 64} and RECORD.includes_test
    assert not EncoderTraining(base="some-encoder", steps=(LABELED,)).includes_test


def test_the_file_reads_equal_and_the_hash_depends_on_every_key() -> None:
    again = EncoderTraining.from_bytes(RECORD.to_bytes())
    assert again == RECORD and again.hash == RECORD.hash
    other = EncoderTraining(base="some-encoder").then(READ).then(replace(LABELED, keys=frozenset({"4" * 64})))
    assert other.hash != RECORD.hash


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 99, "base": "a"}', b'{"format": 1}', b"\xff"])
def test_a_damaged_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadData, match="cannot be read"):
        EncoderTraining.from_bytes(content)


def test_a_store_keeps_the_record_of_its_encoder_and_joined_stores_have_all(tmp_path: Path) -> None:
    plain = FeatureStore.create(tmp_path / "plain", RECIPE)
    trained = FeatureStore.create(tmp_path / "trained", replace(RECIPE, weights="d" * 64), RECORD)
    assert (plain.training, trained.training) == (None, RECORD)
    assert JoinedStores((plain, trained)).trainings == (RECORD,)


def test_a_store_with_a_damaged_record_says_so(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE, RECORD)
    (store.folder / TRAINING_FILE).write_bytes(b"{")
    with pytest.raises(StoreDamaged, match="cannot be read"):
        _ = FeatureStore.open(store.folder).training
