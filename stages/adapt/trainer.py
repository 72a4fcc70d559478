"""transformers' Trainer with checkpoints of the whole network, and our progress. This module needs accelerate.

`CheckpointTrainer` and `last_checkpoint` serve fine-tuning too.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from data.errors import EmbedOnceError, StorageFailed
from data.interrupt import Interrupts
from featurestore import return_freed_memory

__all__ = [
    "CHECKPOINT_SECONDS",
    "CheckpointTrainer",
    "StepsCallback",
    "TrainingProgress",
    "WholeNetworkTrainer",
    "last_checkpoint",
]

CHECKPOINT_SECONDS = 120.0
REPORT_SECONDS = 1.0
_WEIGHTS = "model.safetensors"
_TORCH_WRITER = "PytorchStreamWriter"  # in the RuntimeError of torch.save if a disk is full
_STATE = "trainer_state.json"  # the last file of a checkpoint that the Trainer writes


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is. loss: of the last step. interrupted: this step is the last one."""

    step: int
    steps: int
    loss: float
    seconds_left: float
    interrupted: bool = False


OnProgress = Callable[[TrainingProgress], None]


class CheckpointTrainer(Trainer):  # type: ignore[misc]  # transformers has no complete types
    """Trains silently. Its checkpoints hold the whole network, tensors that share memory once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.remove_callback(PrinterCallback)
        self.add_callback(_MemoryCallback)

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train as transformers does. Raises StorageFailed if a checkpoint cannot be written."""
        try:
            return super().train(*arguments, **options)
        except EmbedOnceError:
            raise
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and _TORCH_WRITER not in str(error):
                raise
            raise StorageFailed(
                f"A checkpoint cannot be written to {self.args.output_dir} ({error}). Make room, and run the same "
                "command again."
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        if self.args.should_save:
            target = Path(output_dir or self.args.output_dir)
            target.mkdir(parents=True, exist_ok=True)
            safetensors.torch.save_model(self.model, str(target / _WEIGHTS))


class _MemoryCallback(TrainerCallback):  # type: ignore[misc]  # as above
    """Returns the memory of each step on a CPU: batches of other shapes do not fit into the blocks that it leaves."""

    def on_step_end(self, args: Any, *_: Any, **__: Any) -> None:
        if args.use_cpu:
            return_freed_memory()


class WholeNetworkTrainer(CheckpointTrainer):
    """Trains a network that returns {"loss": ...}, decoders and heads included."""

    def __init__(self, network: torch.nn.Module, arguments: TrainingArguments, data: Any) -> None:
        super().__init__(model=network, args=arguments, train_dataset=data, data_collator=_only_item)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        safetensors.torch.load_model(model or self.model, str(Path(resume_from_checkpoint) / _WEIGHTS))


def _only_item(items: list[dict[str, Any]]) -> dict[str, Any]:
    """An item of the data is a collated batch."""
    return items[0]


class StepsCallback(TrainerCallback):  # type: ignore[misc]  # as above
    """Reports progress, saves a checkpoint every two minutes, and ends the training if an interrupt was requested."""

    def __init__(self, network: torch.nn.Module, on_progress: OnProgress) -> None:
        self.interrupts = Interrupts(lambda: on_progress(TrainingProgress(0, 0, 0.0, 0.0, interrupted=True)))
        self._on_progress = on_progress
        self._loss: torch.Tensor | None = None
        self._hook = network.register_forward_hook(self._keep_loss)
        self._started = self._saved = self._reported = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, _arguments: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start the clock; a resumed training does not begin with step 0."""
        self._started = self._saved = time.monotonic()
        self._first_step = state.global_step

    def on_step_end(self, _arguments: Any, state: Any, control: Any, **_: Any) -> None:
        """Report the step, and decide whether to save or to stop."""
        now, is_last = time.monotonic(), state.global_step >= state.max_steps
        if is_last or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(state, now)
        if self.interrupts.requested:
            control.should_save = control.should_training_stop = True
        elif now - self._saved >= CHECKPOINT_SECONDS and not is_last:
            self._saved, control.should_save = now, True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the network as it was."""
        self._hook.remove()

    def _report(self, state: Any, now: float) -> None:
        loss = float("nan") if self._loss is None else float(self._loss)
        if loss - loss != 0:
            raise EmbedOnceError(f"The loss is not finite after step {state.global_step:,}. Choose a lower --lr.")
        left = (now - self._started) / (state.global_step - self._first_step) * (state.max_steps - state.global_step)
        self._on_progress(TrainingProgress(state.global_step, state.max_steps, loss, left))

    def _keep_loss(self, _module: Any, _arguments: Any, output: Any) -> None:
        self._loss = output["loss"].detach().float()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; None if there is none."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{_STATE}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
