"""What `adapt` will cost: known in part before it starts, and measured on a few steps in a dry run."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from data.text_format import format_bytes, format_duration, plural
from featurestore import keep_freed_memory
from stages.adapt.adapt import Adaptation
from stages.adapt.memory import divide_until_they_fit, peak_memory
from stages.adapt.training import PlannedBatches, Schedule, choose_parameters, first_parts, quiet, training_precision
from stages.embed.model_files.checkpoint import checkpoint_files
from stages.embed.network.torch_network import resolve_device
from stages.embed.pipeline.estimate import estimate

if TYPE_CHECKING:
    from stages.adapt.objective import Objective

TRIAL_STEPS = 4  # the first of which is not timed
# of the size of the weights: a checkpoint has them, and two moments of each for the optimizer
_CHECKPOINT_SIZES = 3


@dataclass(frozen=True)
class Cost:
    """What will be done: trainings, and encodings of the whole corpus for the verdict.

    steps: of all trainings. windows: that these read, repeated ones too.
    """

    trainings: int
    steps: int
    windows: int
    encodings: int
    documents: int

    def sentence(self) -> str:
        """In words."""
        work = f"{plural(self.steps, 'step')} of {plural(self.windows, 'window')} in all"
        encodings = f" and {plural(self.encodings, 'encoding')} of {plural(self.documents, 'document')}"
        return f"Cost: {plural(self.trainings, 'training')} ({work}){encodings if self.encodings else ''}."


def count_cost(adaptation: Adaptation) -> Cost:
    """Count trainings, steps and encodings, also those that an earlier call has finished."""
    schedules = [adaptation.schedule(training) for training in adaptation.trainings]
    judged = adaptation.request.verdict and adaptation.has_labels
    return Cost(
        trainings=len(schedules),
        steps=sum(len(schedule.batches) for schedule in schedules),
        windows=sum(sum(map(len, schedule.batches)) for schedule in schedules),
        encodings=1 + len(schedules) if judged else 0,
        documents=len(adaptation.documents.documents),
    )


@dataclass(frozen=True)
class Estimate:
    """The cost in time, memory and disk.

    training_seconds: of all trainings. encoding_seconds: of all encodings. memory: bytes that a few steps needed, of
    the GPU or of the process. encoder_bytes: of the new encoders. checkpoint_bytes: while one is trained. store_bytes:
    of the verdict's stores. device, precision: of the training.
    """

    cost: Cost
    training_seconds: float
    encoding_seconds: float
    memory: int
    encoder_bytes: int
    checkpoint_bytes: int
    store_bytes: int
    device: str
    precision: str

    def to_json(self) -> dict[str, Any]:
        """Every value by its name."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Names and values for people."""
        cost = self.cost
        yield "trainings", f"{cost.trainings}, {plural(cost.steps, 'step')} in all, {plural(cost.windows, 'window')}"
        yield "time of training", f"{format_duration(self.training_seconds)} on {self.device} in {self.precision}"
        if cost.encodings:
            yield "time of encoding", f"{format_duration(self.encoding_seconds)}, {cost.encodings} times the corpus"
        yield "memory", format_bytes(self.memory)
        yield "encoders on disk", f"{format_bytes(self.encoder_bytes)}, {format_bytes(self.checkpoint_bytes)} meanwhile"
        if cost.encodings:
            yield "stores on disk", format_bytes(self.store_bytes)


def estimate_cost(adaptation: Adaptation) -> Estimate:
    """Measure a few steps of training and a sample of encoding; nothing is written. Raises as `time_steps` does."""
    cost, device = count_cost(adaptation), resolve_device(adaptation.request.plan.device)
    training = adaptation.trainings[-1]
    seconds = time_steps(adaptation.objective(training), adaptation.schedule(training), device)
    size = sum(path.stat().st_size for path in checkpoint_files(adaptation.base.files.folder))
    encoding = estimate(adaptation.corpus, adaptation.encoder, None) if cost.encodings else None
    return Estimate(
        cost=cost,
        training_seconds=seconds * cost.steps,
        encoding_seconds=0.0 if encoding is None else cost.encodings * (encoding.seconds or 0.0),
        memory=peak_memory(device),
        encoder_bytes=cost.trainings * size,
        checkpoint_bytes=_CHECKPOINT_SIZES * size,
        store_bytes=0 if encoding is None else cost.encodings * encoding.bytes,
        device=device,
        precision=training_precision(device),
    )


@keep_freed_memory()
def time_steps(objective: "Objective", schedule: Schedule, device: str) -> float:
    """The mean seconds of a training step, measured on a few batches at random; the network is changed.

    Batches are divided as in `run_training` if memory runs out. Raises EmbedOnceError if two windows do not fit.
    """
    with quiet():
        choose_parameters(objective, schedule.train)
    first = first_parts(objective, schedule, device)
    seconds, _ = divide_until_they_fit(
        lambda parts: _time_steps(objective, schedule, device, parts), schedule.largest_batch, device, first
    )
    return seconds


def _time_steps(objective: "Objective", schedule: Schedule, device: str, parts: int) -> float:
    network, batches = objective.network.to(device).train(), PlannedBatches(objective, schedule, parts)
    optimizer = torch.optim.AdamW(parameter for parameter in network.parameters() if parameter.requires_grad)
    bfloat16 = training_precision(device) == "bfloat16"
    steps = np.random.default_rng(0).integers(len(schedule.batches), size=TRIAL_STEPS).tolist()
    started = time.perf_counter()
    for number, step in enumerate(steps):
        if number == 1:
            started = time.perf_counter()
        optimizer.zero_grad()
        for item in range(step * parts, (step + 1) * parts):
            with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=bfloat16):
                loss = network(**move_batch(batches[item], device))["loss"]
            loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for the device
    return (time.perf_counter() - started) / (TRIAL_STEPS - 1)


def move_batch(batch: Any, device: str) -> Any:
    """A collated batch on a device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {name: move_batch(value, device) for name, value in batch.items()}
    return [move_batch(value, device) for value in batch]
