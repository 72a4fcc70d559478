"""Trains an objective: its schedule, its parameters, its batches, and what happens if they do not fit into memory.

All batches are planned before the first step, and what is random in one depends only on the seed and its number. So a
training that resumes from a checkpoint continues with the batches that it would have had.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from data.devices import computes_bfloat16_well
from data.errors import BadData
from data.text_format import format_duration, plural
from featurestore import keep_freed_memory
from stages.adapt.memory import divide_until_they_fit, peak_memory
from stages.adapt.objective import Epoch, Integers, Objective
from stages.adapt.plan import Train
from stages.adapt.training_defaults import POSITIONS, add_lora
from stages.embed.batching.budget import empty_gpu_cache
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.network.torch_network import resolve_device

if TYPE_CHECKING:
    from torch import nn
    from transformers import TrainingArguments

    from stages.adapt.trainer import OnProgress

WARMUP_SHARE = 0.1  # of the steps
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
MAX_LOGITS = 2**28  # 1 GB


@dataclass(frozen=True)
class Schedule:
    """How to train.

    batches: of each step, the numbers of its windows. positions: of the largest batch, padding included.
    """

    batches: list[Integers]
    lr: float
    seed: int
    device: str
    train: Train
    positions: int

    @property
    def largest_batch(self) -> int:
        """The number of windows of the largest batch."""
        return max(map(len, self.batches))


@dataclass(frozen=True)
class TrainingReport:
    """What a training did.

    halvings: how often memory ran out, so that a step was divided into batches of half the size.
    resumed_at: the step of the checkpoint that it began with, 0 without one.
    peak_memory: bytes, of the GPU or of this process.
    """

    steps: int
    seconds: float
    precision: str
    halvings: int
    resumed_at: int
    peak_memory: int

    def sentence(self) -> str:
        """In words."""
        resumed = f" (resumed at step {self.resumed_at:,})" if self.resumed_at else ""
        times = "once" if self.halvings == 1 else f"{self.halvings} times"
        halved = f" Memory ran out {times}: each step had {2**self.halvings} times the parts." if self.halvings else ""
        return f"{plural(self.steps, 'step')}{resumed} in {format_duration(self.seconds)}, {self.precision}.{halved}"


def plan_batches(epoch: Epoch, batch_size: int, *, epochs: float, steps: int | None, seed: int) -> list[Integers]:
    """The batches of all steps, epoch after epoch; at least one.

    Args:
        epoch: The batches of one epoch.
        batch_size: Windows per step.
        epochs: How many, if there is no number of steps.
        steps: The number of steps, or None.
        seed: Of the order.

    Raises:
        BadData: An epoch has no batch.
    """
    rng = np.random.default_rng(seed)
    batches = list(epoch(batch_size, rng))
    if not batches:
        raise BadData("There are too few texts for a batch. Add documents, or hold out fewer of them.")
    count = max(math.ceil(len(batches) * epochs), 1) if steps is None else steps
    while len(batches) < count:
        batches += epoch(batch_size, rng)  # which has a batch if the first one has: that depends on its texts alone
    return batches[:count]


@keep_freed_memory()
def run_training(objective: Objective, schedule: Schedule, folder: Path, progress: "OnProgress") -> TrainingReport:
    """Train the objective's network in place; LoRA matrices are merged into it.

    Ctrl-C finishes the current step, saves a checkpoint and raises KeyboardInterrupt; a second one raises it at once.
    If memory runs out, each step is divided into batches of half the size, and the training continues.

    Args:
        objective: What is learned.
        schedule: How long and how.
        folder: For checkpoints; a training that was interrupted there resumes. It is not removed.
        progress: Called after steps, about once per second.

    Returns:
        What was done.

    Raises:
        EmbedOnceError: The loss is not finite, or two windows do not fit into memory.
        CallError: The device does not exist.
    """
    started, device = time.perf_counter(), resolve_device(schedule.device)
    with quiet():
        merge = choose_parameters(objective, schedule.train)
        initial = _trained_values(objective.network)

        def attempt(parts: int) -> int:
            _restore(objective.network, initial)  # another attempt may have done steps since the last checkpoint
            return _train(objective, schedule, parts, folder, device, progress)

        parts = first_parts(objective, schedule, device)
        resumed_at, halvings = divide_until_they_fit(attempt, schedule.largest_batch, device, parts)
        empty_gpu_cache()
        merge()
    return TrainingReport(
        steps=len(schedule.batches),
        seconds=time.perf_counter() - started,
        precision=training_precision(device),
        halvings=halvings,
        resumed_at=resumed_at,
        peak_memory=peak_memory(device),
    )


def first_parts(objective: Objective, schedule: Schedule, device: str) -> int:
    """How many parts the batches are divided into before memory runs out, which on a CPU may end the process.

    A part has as many positions as a CPU's caches hold, and at most MAX_LOGITS logits, of which training keeps three
    copies: of a vocabulary of 250,000 tokens, a batch of 32 windows of 256 tokens would have 8 GB of logits.
    """
    if objective.logits_per_position is None:
        return 1
    positions = min(POSITIONS[device.partition(":")[0]], MAX_LOGITS / objective.logits_per_position)
    return min(math.ceil(schedule.positions / positions), max(schedule.largest_batch // 2, 1))


def _trained_values(network: "nn.Module") -> list[torch.Tensor]:
    """Copies of the parameters that are trained, in the memory of the CPU."""
    return [weight.detach().cpu().clone() for weight in network.parameters() if weight.requires_grad]


def _restore(network: "nn.Module", values: list[torch.Tensor]) -> None:
    """Set the parameters that are trained to what `_trained_values` returned."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    with torch.no_grad():
        for weight, value in zip(trained, values, strict=True):
            weight.copy_(value)


def choose_parameters(objective: Objective, train: Train) -> Callable[[], object]:
    """Set which parameters are trained; returns what is to be called at the end, which merges LoRA matrices."""
    if train == "lora":
        # its layers take the place of the encoder's own, so that the objective need not know
        merge: Callable[[], object] = add_lora(objective.encoder).merge_and_unload
        return merge
    objective.network.requires_grad_(train == "all")
    if train == "embeddings":
        objective.encoder.get_input_embeddings().requires_grad_(True)
    return lambda: None


class PlannedBatches(Dataset[dict[str, Any]]):
    """The batches of all steps, each divided into `parts`; an item is a collated batch."""

    def __init__(self, objective: Objective, schedule: Schedule, parts: int) -> None:
        self._objective, self._batches, self._parts, self._seed = objective, schedule.batches, parts, schedule.seed

    def __len__(self) -> int:
        return len(self._batches) * self._parts

    def __getitem__(self, item: int) -> dict[str, Any]:
        step, part = divmod(item, self._parts)
        windows = self._batches[step]
        # a contrastive loss needs two windows; a step of few windows still has as many parts, of which some repeat
        divided = np.array_split(windows, min(self._parts, max(len(windows) // 2, 1)))
        rng = np.random.default_rng((self._seed, item))
        return self._objective.collate(divided[part % len(divided)].tolist(), rng)


def _train(
    objective: Objective,
    schedule: Schedule,
    parts: int,
    folder: Path,
    device: str,
    progress: "OnProgress",
) -> int:
    """Train with each step divided into `parts`; returns the step of the checkpoint that it began with."""
    from stages.adapt.trainer import StepsCallback, WholeNetworkTrainer, last_checkpoint

    arguments = _training_arguments(schedule, parts, folder, device)
    data = PlannedBatches(objective, schedule, parts)
    trainer = WholeNetworkTrainer(objective.network, arguments, data)
    callback = StepsCallback(objective.network, progress)
    trainer.add_callback(callback)
    checkpoint = last_checkpoint(folder)
    with callback.interrupts:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if callback.interrupts.requested and trainer.state.global_step < len(schedule.batches):
        raise KeyboardInterrupt
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def training_precision(device: str) -> str:
    """bfloat16 where the device computes it fast, else float32; weights and optimizer are float32 in any case."""
    return "bfloat16" if computes_bfloat16_well(device) else "float32"


def _training_arguments(schedule: Schedule, parts: int, folder: Path, device: str) -> "TrainingArguments":
    from transformers import TrainingArguments

    if device.startswith("cuda:"):
        torch.cuda.set_device(device)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,  # an item of the data is a batch
        gradient_accumulation_steps=parts,
        max_steps=len(schedule.batches),
        learning_rate=schedule.lr,
        warmup_steps=round(WARMUP_SHARE * len(schedule.batches)),
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=MAX_GRADIENT_NORM,
        bf16=training_precision(device) == "bfloat16",
        use_cpu=device == "cpu",
        seed=schedule.seed,
        train_sampling_strategy="sequential",
        save_strategy="no",  # the callback decides when
        save_total_limit=1,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.startswith("cuda"),
    )
    if device.startswith("cuda"):
        _ = arguments.device  # counts the GPUs, all of which would be used
        arguments._n_gpu = 1
    return arguments


@contextmanager
def quiet() -> Iterator[None]:
    """Without messages of the libraries."""
    loggers = [logging.getLogger(name) for name in ("accelerate", "peft", "sentence_transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with silence_transformers():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a training, and the folder above them if it is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another training is unfinished, or there was no checkpoint
        folder.parent.rmdir()
