"""Gates between encoders: which of them a document is read by, and what is known only of both."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from featurestore import Bags, join_bags
from heads.classifiers.gated import GatedHead, GatedUnit
from heads.planted_signals import Planted, make_bags, mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch
from tests.heads.planted import QUICK


class TestGatedKeepsTheContract(HeadContract):
    head = GatedHead(hidden=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


def one_that_is_right(documents: int = 600, seed: int = 0) -> tuple[list[Bags], Planted]:
    """Two encoders, of each document one tells the label and the other another one's; a number says which is right."""
    rng = np.random.default_rng(seed)
    y, first = rng.integers(3, size=documents), rng.random(documents) < 0.5
    lie = (y + rng.integers(1, 3, size=documents)) % 3

    def encoder(tells: NDArray[np.bool_], dim: int) -> Bags:
        said = np.eye(3)[np.where(tells, y, lie)]
        sure = np.where(tells, 1.0, -1.0)[:, None]
        own = 3 * np.concatenate([said, sure, np.zeros((documents, dim - 4))], axis=1)
        return make_bags(list((own + 0.3 * rng.normal(size=own.shape))[:, None]))

    stores = [encoder(first, 4), encoder(~first, 5)]
    return stores, Planted(join_bags(stores), y)


def test_it_learns_which_encoder_to_believe() -> None:
    _, planted = one_that_is_right()
    train, test = planted.halves()
    head = GatedHead(training=training_of(lr=0.01)).fit(train.bags, train.y)
    assert head.reads == ("cls@1", "mean@1", "max@1", "cls@2", "mean@2", "max@2")
    assert head.score(test.bags, test.y) > 0.9
    shares = head.gate_shares(test.bags)
    assert shares.shape == (300, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    first = test.bags.view("mean@1").gather()[0][:, 3] > 0
    assert shares[first, 0].mean() > shares[~first, 0].mean() + 0.1


def test_what_the_gates_let_through_is_told() -> None:
    planted = mean_signal()
    head = GatedHead(training=training_of(epochs=1, min_steps=1)).fit(planted.bags, planted.y)
    assert head.notes_[-1].startswith("Mean gate weights of the branches: cls 0.")
    _, both = one_that_is_right(60)
    head = GatedHead(training=training_of(epochs=1, min_steps=1)).fit(both.bags, both.y)
    assert "store 1 0." in head.notes_[-1] and "store 2 0." in head.notes_[-1]


def test_of_one_store_what_it_keeps_are_the_branches() -> None:
    planted = mean_signal(chunks=(1, 4))
    some = Bags({view: planted.bags.view(view) for view in ("mean", "max", "segments")})
    head = GatedHead(hidden=10, training=training_of(epochs=1, min_steps=1)).fit(some, planted.y)
    assert head.reads == ("mean", "max")
    assert head.parameter_count_ == 2 * (6 * 10 + 10) + (12 * 20 + 20) + (10 * 3 + 3)


def test_two_branches_are_the_gated_multimodal_unit() -> None:
    network = GatedUnit([3, 2], 4, hidden=5, dropout=0.0).eval()
    one, other = torch.randn(7, 3), torch.randn(7, 2)
    both = torch.cat([one, other], dim=1)
    gate = network.gate(both).unflatten(1, (2, 5))
    z = torch.sigmoid(gate[:, 0] - gate[:, 1])
    mixed = z * network.branches[0](one).tanh() + (1 - z) * network.branches[1](other).tanh()
    found = network(Batch(both, torch.ones(7, dtype=torch.int64)))
    torch.testing.assert_close(found, network.output(mixed))
