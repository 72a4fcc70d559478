"""The state of a training: everything that changes with each step, saved to a checkpoint from time to time."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn
from torch.optim.swa_utils import AveragedModel

from data.atomic_write import make_folder, write_atomically
from data.errors import StorageFailed
from heads.training.length import TrainingLength
from heads.training.optimizers import BestEpoch, Optimizer

__all__ = ["Checkpoint", "Epoch", "History", "TrainingState", "identity"]

FORMAT = 3
# minimum number of seconds between two saved checkpoints
SAVE_INTERVAL = 10.0


@dataclass(frozen=True)
class Epoch:
    """Number of the epoch, number of all, mean training loss, validation metrics (None without a validation split)."""

    number: int
    epochs: int
    loss: float
    validation_loss: float | None = None
    macro_f1: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class History:
    """All epochs of a training, and the number of the one whose weights are kept.

    length: of the training if nothing stops it early. precision: the number type of its matrix products.
    """

    epochs: tuple[Epoch, ...]
    best: int
    length: TrainingLength
    precision: Literal["float32", "bfloat16"]

    def to_json(self) -> dict[str, Any]:
        """The values that a rule may have chosen."""
        return {**asdict(self.length), "precision": self.precision}


@dataclass
class TrainingState:
    """A network in training, with everything that determines the next steps.

    average: moving average of the weights, or None. rng: draws batches. length: of the whole training. best: the best
    epoch so far.
    """

    network: nn.Module
    optimizer: Optimizer
    average: AveragedModel | None
    rng: np.random.Generator
    length: TrainingLength
    best: BestEpoch
    epochs: list[Epoch]

    def __post_init__(self) -> None:
        self._weights = list(self.network.parameters())

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: itself, or the one with averaged weights."""
        return self.network if self.average is None else self.average.module

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self._weights[0].device

    def step(self, loss: torch.Tensor, max_grad_norm: float) -> None:
        """One step along the gradient of `loss`, clipped to a norm of `max_grad_norm`."""
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        # reading the norm would wait for a GPU; on a CPU a multiplication by one takes a tenth of a small network's
        # step
        if self.device.type != "cpu" or norm > max_grad_norm:
            nn.utils.clip_grads_with_norm_(self._weights, max_grad_norm, norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def snapshot(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Everything that `restore` needs: tensors by name, and plain values."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state_dict().items()}
        tensors |= {f"random.{name}": state for name, state in _random_states(self.device)}
        return tensors, {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": [self.best.number, *self.best.merit],
            "steps": self.optimizer.steps,
            "batches": self.rng.bit_generator.state,
        }

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Load what `snapshot` returned for the same network and hyperparameters, including torch's random state."""
        self.network.load_state_dict(_under("network", tensors))
        if self.average is not None:
            self.average.load_state_dict(_under("average", tensors))
        self.optimizer.load_state_dict(_under("optimizer", tensors))
        self.optimizer.steps = values["steps"]
        number, *merit = values["best"]
        self.best.number, self.best.merit = number, (merit[0], merit[1])
        self.best.weights = {name: value.to(self.device) for name, value in _under("best", tensors).items()}
        self.epochs[:] = [Epoch(**epoch) for epoch in values["epochs"]]
        self.rng.bit_generator.state = values["batches"]
        _set_random_states(self.device, _under("random", tensors))


class Checkpoint:
    """A file from which an interrupted training resumes; the resulting weights are identical in every bit.

    path: contains the `identity` of the training.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved_at = time.monotonic()

    def resume(self, state: TrainingState) -> None:
        """Restore `state` from the file, if it exists and can be read."""
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                values = json.loads((file.metadata() or {})["state"])
        except (OSError, SafetensorError, ValueError, KeyError):
            return
        state.restore(tensors, values)

    def save(self, state: TrainingState) -> None:
        """Write the file unless that was done in the last seconds; if the disk is full, training continues without."""
        if time.monotonic() - self._saved_at < SAVE_INTERVAL:
            return
        tensors, values = state.snapshot()
        arrays = {name: np.asarray(value.detach().cpu().numpy(), order="C") for name, value in tensors.items()}
        with suppress(StorageFailed):
            make_folder(self.path.parent)
            write_atomically(self.path, save(arrays, {"state": json.dumps(values)}))
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """Delete the file, because the training is complete."""
        with suppress(OSError):
            self.path.unlink()


def identity(described: Mapping[str, Any], network: nn.Module, *tensors: torch.Tensor) -> str:
    """Sixteen hex digits that depend on hyperparameters, initial weights and training data."""
    digest = hashlib.sha256(json.dumps([FORMAT, described], sort_keys=True, default=str).encode())
    for value in (*network.state_dict().values(), *tensors):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _random_states(device: torch.device) -> Iterator[tuple[str, torch.Tensor]]:
    """The state of torch's generators: that of the CPU, and that of the device."""
    yield "cpu", torch.get_rng_state()
    if device.type == "cuda":
        yield "cuda", torch.cuda.get_rng_state(device)
    if device.type == "mps":
        yield "mps", torch.mps.get_rng_state()


def _set_random_states(device: torch.device, states: Mapping[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
