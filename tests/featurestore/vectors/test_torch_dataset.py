"""Bags in torch's DataLoader: the same vectors as gathered, padded, with their targets, from worker processes too."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from data.errors import CallError, UnknownName
from featurestore import Bags, FeatureStore, text_key
from tests.featurestore.made import RECIPE, content

TEXTS = [f"text {row}" for row in range(12)]
TARGETS = np.arange(12) * 10


@pytest.fixture
def bags(tmp_path: Path) -> Bags:
    """Twelve documents in two shards, in another order, some without chunks."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(TEXTS[:7]))
    store.commit(content(TEXTS[7:], seed=1))
    made = store.bags([text_key(TEXTS[row]) for row in (3, 11, 0, 9, 1, 2, 10, 8, 7, 6, 5, 4)])
    assert 0 in made.view("cls").length
    return made


def test_an_item_is_a_documents_vectors_and_its_target(bags: Bags) -> None:
    dataset, plain = bags.dataset("cls", TARGETS), bags.dataset("cls")
    assert isinstance(dataset, Dataset) and len(dataset) == len(plain) == 12
    for row in range(12):
        vectors, target = dataset[row]
        assert vectors.dtype == torch.float32 and int(target) == 10 * row
        np.testing.assert_array_equal(vectors, bags.view("cls").row(row))
        np.testing.assert_array_equal(np.asarray(plain[row]), vectors)


def test_an_item_of_token_ids_is_whole_numbers(bags: Bags) -> None:
    ids = bags.dataset("token_ids")[0]
    assert isinstance(ids, torch.Tensor) and ids.dtype == torch.int32
    assert ids.tolist() == bags.view("token_ids").row(0).tolist()


def test_a_batch_is_padded_with_zeros_and_tells_lengths_and_targets(bags: Bags) -> None:
    dataset = bags.dataset("segments", TARGETS)
    padded, lengths, targets = dataset.collate([dataset[row] for row in (0, 5, 2)])
    expected, counts = bags[[0, 5, 2]].view("segments").padded()
    np.testing.assert_array_equal(padded, expected)
    assert lengths.tolist() == counts.tolist() and targets.tolist() == [0, 50, 20]
    plain = bags.dataset("segments")
    assert len(plain.collate([plain[0]])) == 2


def test_a_batch_of_documents_without_items_is_empty(bags: Bags) -> None:
    empty = bags[bags.view("cls").length == 0].dataset("cls")
    padded, lengths = empty.collate([empty[0]])
    assert padded.shape == (1, 0, 4) and lengths.tolist() == [0]


@pytest.mark.slow
def test_worker_processes_give_every_document_of_the_batches_that_were_drawn(bags: Bags) -> None:
    dataset, batches = bags.dataset("mean", TARGETS), list(bags.batches(5, by="mean", rng=0))
    loader = DataLoader(
        dataset,
        batch_sampler=[rows.tolist() for rows in batches],
        collate_fn=dataset.collate,
        num_workers=2,
        multiprocessing_context="spawn",  # which hands the dataset over as a pickle
    )
    for rows, (padded, lengths, targets) in zip(batches, loader, strict=True):
        expected, counts = bags[rows].view("mean").padded()
        np.testing.assert_array_equal(padded, expected)
        assert lengths.tolist() == counts.tolist() and targets.tolist() == TARGETS[rows].tolist()


def test_a_loader_may_draw_its_batches_itself(bags: Bags) -> None:
    dataset = bags.dataset("cls", TARGETS)
    found = [targets.tolist() for _, _, targets in DataLoader(dataset, batch_size=5, collate_fn=dataset.collate)]
    assert found == [TARGETS[start:stop].tolist() for start, stop in pairwise([0, 5, 10, 12])]


def test_targets_that_are_not_one_a_document_are_refused(bags: Bags) -> None:
    with pytest.raises(CallError, match=r"^12 documents need one target each, got \(3,\)\.$"):
        bags.dataset("cls", [1, 2, 3])
    with pytest.raises(UnknownName, match="These features have no 'tokens'"):
        bags.dataset("tokens")
