"""transformers' Trainer with our batches, samplers, losses and metrics. This module needs accelerate."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from data.errors import CallError
from data.interrupt import Interrupts
from heads.training.losses import Losses
from stages.adapt.trainer import CHECKPOINT_SECONDS, CheckpointTrainer
from stages.finetune.batches import DocumentDataset, EpochSampler, MicroBatches, TrainingBatch
from stages.finetune.classifier import EncoderClassifier

__all__ = ["DocumentTrainer", "StepProgress", "TrainingCallback"]

_METRIC = "eval_macro_f1"


@dataclass(frozen=True)
class StepProgress:
    """How far a training is. seconds_per_step: None before the first one. interrupted: this step is the last one."""

    step: int
    steps: int
    epoch: int
    epochs: int
    seconds_per_step: float | None
    interrupted: bool = False


class DocumentTrainer(CheckpointTrainer):
    """Trains an EncoderClassifier. One step is one batch of documents, read in as many parts as memory needs.

    Args:
        model: the network.
        arguments: of the Trainer.
        dataset: the documents that are fitted on.
        sampler: their batches.
        micro_batches: divides a batch.
        losses: the loss of each document.
        optimizers: the optimizer, and its schedule.
        bfloat16: whether to compute in bfloat16 where that is safe (autocast).
        evaluation: returns the metrics on the validation documents; called after each epoch. None without validation.
        patience: epochs without an improvement before training stops.
    """

    def __init__(
        self,
        model: EncoderClassifier,
        arguments: TrainingArguments,
        dataset: DocumentDataset,
        sampler: EpochSampler,
        micro_batches: MicroBatches,
        losses: Losses,
        optimizers: tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler],
        *,
        bfloat16: bool = False,
        evaluation: Callable[[], dict[str, float]] | None = None,
        patience: int = 1,
    ) -> None:
        super().__init__(
            model, arguments, train_dataset=dataset, eval_dataset=evaluation and dataset, optimizers=optimizers
        )
        if evaluation is not None:
            self.add_callback(_EarlyStopping(patience))
        self._patience = patience
        self._sampler, self._micro_batches, self._losses = sampler, micro_batches, losses
        self._bfloat16, self._evaluation = bfloat16, evaluation

    def train_from(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint, if there is one. Raises as `train`."""
        if checkpoint is None:
            self.train()
            return
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if self._evaluation is not None and _epochs_without_improvement(state) >= self._patience:
            self.args.num_train_epochs = round(state.epoch)  # it had stopped early; nothing is left but the best epoch
        self.train(resume_from_checkpoint=str(checkpoint))

    def get_train_dataloader(self) -> "DataLoader[TrainingBatch]":
        """The batches of this process; accelerate would divide them among the processes once more."""
        sampler: Any = self._sampler  # what it yields is not a list of rows, but its own batch
        return _EpochLoader(self.train_dataset, batch_sampler=sampler, collate_fn=_as_inputs)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Any = None,  # noqa: ARG002 - the loss is divided by documents
    ) -> torch.Tensor:
        """Compute the gradients of one batch; if memory runs out, begin it again in smaller parts."""
        batch: TrainingBatch = inputs["batch"]
        model.train()
        loss = self._micro_batches.retry(batch.rows, lambda: self._compute_gradients(model, batch))
        if not torch.isfinite(loss):
            raise CallError(f"The loss is not finite after step {self.state.global_step:,}. Choose a lower --lr.")
        return loss

    def _compute_gradients(self, model: nn.Module, batch: TrainingBatch) -> torch.Tensor:
        model.zero_grad()  # of an attempt that did not fit
        total = torch.zeros((), device=self.args.device)
        parts = list(self._micro_batches.split(batch.rows))
        for number, (documents, windows) in enumerate(parts, start=1):
            with self._synchronized(model, is_last=number == len(parts)):
                with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self._bfloat16):
                    logits = model(windows)
                targets, weight = (values[documents].to(logits.device) for values in (batch.targets, batch.weight))
                loss = self._losses(logits.float(), targets, weight).sum() * batch.scale
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _synchronized(self, model: nn.Module, *, is_last: bool) -> AbstractContextManager[None]:
        """Processes exchange their gradients once per step."""
        return nullcontext() if is_last else self.accelerator.no_sync(model)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The metrics on the validation documents, by the names that the Trainer expects."""
        assert self._evaluation is not None
        metrics = {f"eval_{name}": value for name, value in self._evaluation().items()}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Nothing: the second name of a tensor that was written once is not missing."""


class _EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]  # as below
    """Counts the epochs before an interrupt, too."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        super().on_train_begin(args, state, control, **options)
        self.early_stopping_patience_counter = _epochs_without_improvement(state)


def _epochs_without_improvement(state: TrainerState) -> int:
    """The number of evaluations after the best one."""
    values = [entry[_METRIC] for entry in state.log_history if _METRIC in entry]
    return len(values) - 1 - int(np.argmax(values)) if values else 0


class _EpochLoader(DataLoader[TrainingBatch]):
    """A DataLoader whose batch sampler knows the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def _as_inputs(batch: Any) -> dict[str, TrainingBatch]:
    """The Trainer looks for names in its inputs."""
    return {"batch": batch}


class TrainingCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no complete types
    """Reports progress, saves a checkpoint every two minutes, and stops after a step if an interrupt was requested.

    interrupts: the handling of Ctrl-C. on_progress: called after each step.
    """

    def __init__(self, on_progress: Callable[[StepProgress], None]) -> None:
        self._on_progress = on_progress
        self.interrupts = Interrupts(self._report_interrupt)
        self._started = self._saved = time.monotonic()
        self._first_step = 0
        self._last = StepProgress(0, 1, 1, 1, None)

    def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Start the clock; a resumed training does not begin with step 0."""
        self._started = self._saved = time.monotonic()
        self._first_step = state.global_step
        self._report(args, state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report, and request a checkpoint if it is time."""
        self._report(args, state)
        is_alone = args.world_size == 1  # several processes have to save at the same step
        is_saved_next = args.eval_strategy == "epoch" and float(state.epoch).is_integer()
        is_due = self.interrupts.requested or time.monotonic() - self._saved > CHECKPOINT_SECONDS
        control.should_save = control.should_save or (is_alone and is_due and not is_saved_next)

    def on_save(self, *_: Any, **__: Any) -> None:
        """Raise KeyboardInterrupt after the checkpoint that an interrupt requested."""
        self._saved = time.monotonic()
        if self.interrupts.requested:
            raise KeyboardInterrupt

    def _report(self, args: Any, state: Any) -> None:
        done = state.global_step - self._first_step
        seconds = time.monotonic() - self._started
        per_step = seconds / done if done else None
        epochs = int(args.num_train_epochs)
        epoch = min(int(state.epoch or 0) + 1, epochs)
        self._last = StepProgress(state.global_step, state.max_steps, epoch, epochs, per_step)
        self._on_progress(self._last)

    def _report_interrupt(self) -> None:
        self._on_progress(replace(self._last, interrupted=True))
