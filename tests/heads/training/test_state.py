"""A training that was killed ends as if it had not been."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from featurestore import Bags
from heads.planted_signals import mean_signal
from heads.registry import make_head
from heads.testing import training_of
from heads.training import state as course
from heads.training.config import Training
from heads.training.document_batches import Batch, Sequences
from heads.training.dropout import Dropout
from heads.training.loop import Trainer
from heads.training.network_head import NetworkHead, seeded
from heads.training.state import Checkpoint, Epoch, History
from heads.training.training_data import TrainingData


class Killed(BaseException):
    """What no training catches."""


class Small(nn.Module):
    """Two layers with dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 3))

    def forward(self, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = self.layers(batch.vectors)
        return logits


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_INTERVAL", 0.0)


def killed_at(number: int) -> Any:
    def report(epoch: Epoch) -> None:
        if epoch.number == number:
            raise Killed

    return report


def lesson() -> TrainingData:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=120)
    steps = (np.eye(3)[y] + rng.normal(size=(120, 3))).astype(np.float32)
    return TrainingData(Sequences.of(steps, np.arange(121)), torch.from_numpy(y), torch.ones(120), torch.ones(120), 3)


def trained(training: Training, checkpoint: Checkpoint | None, report: Any = None) -> tuple[nn.Module, History]:
    with seeded(7):
        network, given = Small(), lesson()
        trainer, rng = Trainer.of(training), np.random.default_rng(1)
        rows = given.split(trainer.stopping.validation_fraction, 0)
        return network, trainer.run(network, given, rows, rng, on_epoch=report, checkpoint=checkpoint)


QUICK: dict[str, Any] = {"epochs": 6, "min_steps": 4, "batch_size": 16, "device": "cpu", "patience": 6}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "sampler": "progressive"},
        {
            "optimizer": "adam",
            "ema_decay": 0.9,
            "defer_class_weights": 0.5,
            "lr": 0.5,
            "patience": 2,
            "validation_fraction": 0.2,
        },
        {"lr": 3.0, "validation_fraction": 0.3, "label_smoothing": 0.0},
    ],
)
@pytest.mark.parametrize("killed", [2, 3, 5])
def test_it_ends_with_the_same_weights_in_every_bit(settings: dict[str, Any], killed: int, tmp_path: Path) -> None:
    training = training_of(**QUICK | settings)
    whole, history = trained(training, None)
    path, told = tmp_path / "deep" / "training.safetensors", list[int]()
    if killed <= len(history.epochs):
        with pytest.raises(Killed):
            trained(training, Checkpoint(path), killed_at(killed))
        assert path.is_file()
    again, same = trained(training, Checkpoint(path), lambda epoch: told.append(epoch.number))
    assert same == history
    assert told == list(range(killed, len(history.epochs) + 1)) or killed > len(history.epochs)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_file_that_cannot_be_read_is_as_none(damage: bytes | None, tmp_path: Path) -> None:
    training, path = training_of(epochs=4, min_steps=4, device="cpu"), tmp_path / "training.safetensors"
    whole, history = trained(training, None)
    with pytest.raises(Killed):
        trained(training, Checkpoint(path), killed_at(3))
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    again, same = trained(training, Checkpoint(path))
    assert same == history and all(map(torch.equal, whole.state_dict().values(), again.state_dict().values()))


def test_a_short_training_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_INTERVAL", 60.0)
    with pytest.raises(Killed):
        trained(training_of(epochs=4, min_steps=4, device="cpu"), Checkpoint(tmp_path / "c"), killed_at(3))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_costs_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    training = training_of(epochs=3, min_steps=4, device="cpu")
    _, history = trained(training, Checkpoint(tmp_path / "file" / "c"))
    assert history == trained(training, None)[1]


@pytest.fixture
def mlp() -> Iterator[NetworkHead]:
    head = make_head("mlp", {"epochs": "4", "min_steps": "4", "device": "cpu"})
    assert isinstance(head, NetworkHead)
    yield head


def fitted(head: NetworkHead, bags: Bags, y: Any, folder: Path | None, report: Any = None) -> NetworkHead:
    head.checkpoint_folder, head.on_epoch = folder, report
    return head.fit(bags, y)


def test_a_head_goes_on_with_the_same_documents_and_with_no_others(mlp: NetworkHead, tmp_path: Path) -> None:
    planted, other = mean_signal(), mean_signal(seed=5)
    whole = fitted(mlp, planted.bags, planted.y, None).decision_function(planted.bags)
    with pytest.raises(Killed):
        fitted(mlp, planted.bags, planted.y, tmp_path, killed_at(3))
    told = list[int]()
    for bags, y, first in (
        (other.bags, planted.y, 1),
        (planted.bags, np.roll(planted.y, 1), 1),
        (planted.bags, planted.y, 3),
    ):
        told.clear()
        fitted(mlp, bags, y, tmp_path, lambda epoch: told.append(epoch.number))
        assert told[0] == first
    np.testing.assert_array_equal(mlp.decision_function(planted.bags), whole)
    assert not list(tmp_path.iterdir())


def test_a_head_resumes_with_the_same_validation_documents_only(mlp: NetworkHead, tmp_path: Path) -> None:
    planted, other = mean_signal(), mean_signal(seed=5)
    mlp.validation = (planted.bags, planted.y)
    with pytest.raises(Killed):
        fitted(mlp, planted.bags, planted.y, tmp_path, killed_at(3))
    epochs = list[int]()
    for validation, first in (
        ((planted.bags, np.roll(planted.y, 1)), 1),
        ((other.bags, planted.y), 1),
        (None, 1),
        ((planted.bags, planted.y), 3),
    ):
        epochs.clear()
        mlp.validation = validation
        fitted(mlp, planted.bags, planted.y, tmp_path, lambda epoch: epochs.append(epoch.number))
        assert epochs[0] == first
