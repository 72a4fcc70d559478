"""The course of a training: what stands between two epochs, moved on by each step, kept in a file now and then."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn
from torch.optim.swa_utils import AveragedModel

from data.atomic_write import make_folder, write_atomically
from data.errors import StorageFailed
from heads.training.optimizers import Best

__all__ = ["Checkpoint", "Epoch", "History", "TrainingState", "identity"]

FORMAT = 1
# seconds between two writings of a checkpoint at least
EVERY = 10.0


@dataclass(frozen=True)
class Epoch:
    """Which of how many, its mean loss on the training part, and the validation part's figures if there is one."""

    number: int
    epochs: int
    loss: float
    validation_loss: float | None = None
    macro_f1: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class History:
    """What a training did: its epochs, and the number of the one whose weights are kept."""

    epochs: tuple[Epoch, ...]
    kept: int


@dataclass
class TrainingState:
    """A network on its way, with all that decides where it goes from here.

    average: of its weights, or None. rng: of the batches. best: the best epoch so far.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    average: AveragedModel | None
    rng: np.random.Generator
    best: Best
    epochs: list[Epoch]

    def __post_init__(self) -> None:
        self._weights = list(self.network.parameters())

    @property
    def judged(self) -> nn.Module:
        """The network whose weights are kept: itself, or the average of its weights."""
        return self.network if self.average is None else self.average.module

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self._weights[0].device

    def step(self, loss: torch.Tensor, clip: float) -> None:
        """Along the gradient of `loss`, which is clipped to a length of `clip`."""
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        length = nn.utils.get_total_norm(gradients)
        # a card would be waited for to know; on a processor times one costs a tenth of a small network's step
        if self.device.type != "cpu" or length > clip:
            nn.utils.clip_grads_with_norm_(self._weights, clip, length)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that `restore` needs: tensors by name, and plain values."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for number, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in values.items()}
        tensors |= {f"random.{name}": state for name, state in _random_states(self.device)}
        return tensors, {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": [self.best.number, *self.best.merit],
            "steps": self.schedule.last_epoch,
            "rates": self.schedule.get_last_lr(),
            "batches": self.rng.bit_generator.state,
        }

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Stand where `state` was taken from a course of the same network and settings, torch's own draws included."""
        self.network.load_state_dict(_under("network", tensors))
        if self.average is not None:
            self.average.load_state_dict(_under("average", tensors))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under("optimiser", tensors).items():
            number, _, of = name.partition(".")
            moments.setdefault(int(number), {})[of] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.schedule.last_epoch = values["steps"]
        for group, lr in zip(self.optimiser.param_groups, values["rates"], strict=True):
            group["lr"] = lr
        number, *merit = values["best"]
        self.best.number, self.best.merit = number, (merit[0], merit[1])
        self.best.weights = {name: value.to(self.device) for name, value in _under("best", tensors).items()}
        self.epochs[:] = [Epoch(**epoch) for epoch in values["epochs"]]
        self.rng.bit_generator.state = values["batches"]
        _set_random_states(self.device, _under("random", tensors))


class Checkpoint:
    """A file from which the same training goes on where it was killed, to the same weights in every bit.

    path: named for all that decides the training, as `identity` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = time.monotonic()

    def resume(self, course: TrainingState) -> None:
        """Stand where the file says; from the start where there is none, or none that can be read."""
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                values = json.loads((file.metadata() or {})["course"])
        except (OSError, SafetensorError, ValueError, KeyError):
            return
        course.restore(tensors, values)

    def keep(self, course: TrainingState) -> None:
        """Write the file, unless that was done a short while ago; a disk that refuses costs the file alone."""
        if time.monotonic() - self._last < EVERY:
            return
        tensors, values = course.state()
        arrays = {name: np.ascontiguousarray(value.detach().cpu().numpy()) for name, value in tensors.items()}
        with suppress(StorageFailed):
            make_folder(self.path.parent)
            write_atomically(self.path, save(arrays, {"course": json.dumps(values)}))
        self._last = time.monotonic()

    def remove(self) -> None:
        """The training is over."""
        with suppress(OSError):
            self.path.unlink()


def identity(described: Mapping[str, Any], network: nn.Module, *tensors: torch.Tensor) -> str:
    """Sixteen hex digits of all that decides a training: its settings, the network's first weights, what it reads."""
    digest = hashlib.sha256(json.dumps([FORMAT, described], sort_keys=True, default=str).encode())
    for value in (*network.state_dict().values(), *tensors):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _random_states(device: torch.device) -> Iterator[tuple[str, torch.Tensor]]:
    """What torch's generators stand at: the processor's, and that of the device."""
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
