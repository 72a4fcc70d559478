"""The training loop of all heads that are networks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, Self

import numpy as np
import torch
from torch import nn

from data.devices import computes_bfloat16_well
from data.errors import CallError
from featurestore.vectors.row_batches import shuffled_batches
from heads.evaluation.metrics import macro_f1
from heads.training.config import DeviceName, Imbalance, Optimization, Stopping, Training
from heads.training.document_batches import Sequences
from heads.training.length import TrainingLength
from heads.training.losses import Losses
from heads.training.optimizers import BestEpoch, Optimizer, learning_rate_factor, make_average
from heads.training.samplers import sample_documents
from heads.training.state import Checkpoint, Epoch, History, TrainingState
from heads.training.training_data import TrainingData

__all__ = ["OnEpoch", "Trainer", "find_device", "make_losses", "network_scores"]

# positions per batch when scoring; 768 float32 numbers for each are 25 MB
SCORED_POSITIONS = 8_192

# label smoothing of cross entropy by default, see docs/explanation/training-defaults.md
SMOOTHING = 0.1

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class Trainer:
    """Trains networks with given hyperparameters."""

    optimization: Optimization
    imbalance: Imbalance
    stopping: Stopping

    @classmethod
    def of(cls, training: Training | None) -> Self:
        """A trainer with the hyperparameters of `training`, None for the defaults."""
        return cls(*(training or Training()).groups())

    @property
    def device(self) -> torch.device:
        """The device to compute on. Raises CallError if this machine does not have it."""
        return find_device(self.optimization.device)

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The number type of matrix products in training; scores are always computed in float32."""
        if self.optimization.precision == "auto":
            return "bfloat16" if computes_bfloat16_well(str(self.device)) else "float32"
        return self.optimization.precision

    def run(
        self,
        network: nn.Module,
        data: TrainingData,
        rows: tuple[torch.Tensor, torch.Tensor],
        rng: np.random.Generator,
        *,
        on_epoch: OnEpoch | None = None,
        checkpoint: Checkpoint | None = None,
        validation: TrainingData | None = None,
        tracked: TrainingData | None = None,
    ) -> History:
        """Train `network` in place and leave it on the CPU with the weights of its best epoch.

        Args:
            network: maps a Batch to logits, float32 (documents, labels).
            data: the training documents.
            rows: rows of `data` to fit on and rows of the validation split, int64; the second may be empty.
            rng: draws batches. Dropout draws from torch's global generator, which the caller forks and seeds.
            on_epoch: called after each epoch.
            checkpoint: from which an interrupted training of the same network on the same data resumes.
            validation: documents of the validation split, instead of rows of `data`.
            tracked: documents whose metrics `on_epoch` receives if there is no validation split; they decide nothing.

        Returns:
            The metrics of all epochs.

        Raises:
            CallError: for a loss or a sampler that does not fit the labels, and if the loss is no longer finite.
        """
        fitted, validation_rows = rows if validation is None else (rows[0], torch.arange(len(validation.targets)))
        losses = self._losses(data, fitted)
        device = self.device
        network.to(device)
        data = replace(data, sequences=data.sequences.on(device))
        positions = int(data.sequences.length[fitted].clamp(min=1).sum())
        length = TrainingLength.of(self.optimization, len(fitted), positions)
        state = self._initial_state(network, length, rng)
        if checkpoint is not None:
            checkpoint.resume(state)
        while not self._is_over(state):
            number = len(state.epochs) + 1
            weighted = (
                replace(data, weight=data.sample_weight) if self._defers_class_weights(number, length.epochs) else data
            )
            loss = self._run_epoch(state, weighted, losses, fitted, number)
            if not math.isfinite(loss):
                raise CallError(
                    f"The loss of epoch {number} is not finite with lr={self.optimization.lr}. Choose a lower lr."
                )
            metrics = self._evaluate(state.evaluated, validation or data, losses, validation_rows)
            epoch = Epoch(number, length.epochs, loss, *metrics)
            state.epochs.append(epoch)
            state.best.update(state.evaluated, number, self._merit(epoch))
            if on_epoch is not None:
                if tracked is not None and not len(validation_rows):
                    epoch = self._with_tracked(epoch, state.evaluated, tracked, losses)
                on_epoch(epoch)
            if checkpoint is not None:
                checkpoint.save(state)
        if checkpoint is not None:
            checkpoint.remove()
        state.best.restore(network)
        network.cpu()
        return History(tuple(state.epochs), state.best.number, length, self.precision)

    def _initial_state(self, network: nn.Module, length: TrainingLength, rng: np.random.Generator) -> TrainingState:
        options = self.optimization
        optimizer = Optimizer(
            network,
            options.optimizer,
            options.lr,
            options.weight_decay,
            lambda step: learning_rate_factor(step, length.steps, options.warmup_ratio),
        )
        average = make_average(network, options.ema_decay)
        return TrainingState(network, optimizer, average, rng, length, BestEpoch(), [])

    def _defers_class_weights(self, number: int, epochs: int) -> bool:
        """Whether epoch `number` of `epochs` does not use class weights yet."""
        return number <= self.imbalance.defer_class_weights * epochs

    def _is_over(self, state: TrainingState) -> bool:
        done = len(state.epochs)
        return done >= state.length.epochs or (done > 0 and done - state.best.number >= self.stopping.patience)

    def _run_epoch(
        self, state: TrainingState, data: TrainingData, losses_of: Losses, rows: torch.Tensor, number: int
    ) -> float:
        """Train for one epoch; returns its mean loss."""
        state.network.train()
        progress = (number - 1) / max(state.length.epochs - 1, 1)
        # documents that are sampled by their weight must not be weighted again
        sampled = self.imbalance.sampler == "weighted"
        ones = torch.ones_like(data.weight)
        weighted = replace(data, weight=ones, sample_weight=ones) if sampled else data
        total, autocast = torch.zeros((), device=state.device), self.precision == "bfloat16"
        for documents in chain.from_iterable(
            self._batches(data, rows, progress, state) for _ in range(state.length.passes)
        ):
            batch = data.sequences.batch(documents, state.device)
            with torch.autocast(state.device.type, torch.bfloat16, enabled=autocast):
                logits = state.network(batch)
            losses = _losses_of_rows(losses_of, logits.float(), weighted, documents)
            state.step(losses.mean(), self.optimization.max_grad_norm)
            total += losses.detach().sum()
        return float(total) / (state.length.passes * len(rows))

    def _batches(
        self, data: TrainingData, rows: torch.Tensor, progress: float, state: TrainingState
    ) -> Iterator[torch.Tensor]:
        """The documents of one pass, int64, one batch at a time."""
        sampler = self.imbalance.sampler
        if sampler != "instance":
            targets = data.targets[rows].numpy()
            y = targets > 0 if targets.ndim == 2 else targets
            drawn = sample_documents(y, sampler, progress, state.rng, data.weight[rows].numpy())
            rows = rows[torch.from_numpy(drawn)]
        for order in shuffled_batches(data.sequences.length[rows].numpy(), state.length.batch_size, state.rng):
            yield rows[torch.from_numpy(order)]

    def _losses(self, data: TrainingData, rows: torch.Tensor) -> Losses:
        return make_losses(self.imbalance, data.targets[rows], data.sample_weight[rows], data.labels, data.order)

    def _evaluate(
        self, network: nn.Module, data: TrainingData, losses_of: Losses, rows: torch.Tensor
    ) -> tuple[float | None, float | None, float | None]:
        """Loss, macro-F1 and accuracy on `rows`; None for each if there are no rows."""
        if not len(rows):
            return None, None, None
        scores = network_scores(network, data.sequences, rows)
        loss = float(_losses_of_rows(losses_of, scores, data, rows).mean())
        multilabel = data.targets.dim() == 2
        predicted = scores > 0 if multilabel else scores.argmax(dim=1)
        targets = data.targets[rows].bool() if multilabel else data.targets[rows]
        correct = (predicted == targets).reshape(len(rows), -1).all(dim=1)
        return loss, macro_f1(targets.numpy(), predicted.numpy(), data.labels), float(correct.float().mean())

    def _with_tracked(self, epoch: Epoch, network: nn.Module, tracked: TrainingData, losses_of: Losses) -> Epoch:
        loss, f1, accuracy = self._evaluate(network, tracked, losses_of, torch.arange(len(tracked.targets)))
        return replace(epoch, validation_loss=loss, macro_f1=f1, accuracy=accuracy)

    def _merit(self, epoch: Epoch) -> tuple[float, float]:
        """The value that the best epoch maximizes; without a validation split or class weights, later is better."""
        if epoch.validation_loss is None or self._defers_class_weights(epoch.number, epoch.epochs):
            return float(epoch.number - epoch.epochs), 0.0
        metric = {"macro_f1": epoch.macro_f1, "accuracy": epoch.accuracy, "loss": None}[self.stopping.monitor]
        return metric or 0.0, -epoch.validation_loss


def make_losses(
    options: Imbalance, targets: torch.Tensor, weight: torch.Tensor, labels: int, order: torch.Tensor | None
) -> Losses:
    """The loss function for the labels of the training documents.

    Args:
        options: the loss and its parameters.
        targets: of the documents, int64 (documents,), or float32 (documents, labels) if multi-label.
        weight: their sample weights, float32, in the shape of `targets`.
        labels: how many there are.
        order: as in `Losses`.

    Raises:
        CallError: for a loss or a sampler that does not fit the kind of labels.
    """
    multilabel = targets.dim() == 2
    if multilabel and options.sampler == "weighted":
        raise CallError(
            "The sampler weighted needs one label per document; multi-label documents have one weight per label. "
            "Choose the sampler balanced."
        )
    # multi-label losses do not use label frequencies
    counts = torch.ones(labels) if multilabel else torch.bincount(targets, weight, labels).float()
    smoothing = options.label_smoothing
    if smoothing is None:
        smoothing = SMOOTHING if options.loss == "cross_entropy" and not multilabel else 0.0
    losses = Losses(counts, options.loss, options.gamma, smoothing, order)
    losses.check(multilabel=multilabel)
    return losses


def find_device(name: DeviceName) -> torch.device:
    """The device of that name, "auto" for the best one. Raises CallError if this machine does not have it."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        raise CallError(f"device is '{name}', which this machine does not have. Leave it out, or choose 'cpu'.")
    return torch.device(name)


@torch.inference_mode()
def network_scores(network: nn.Module, sequences: Sequences, rows: torch.Tensor) -> torch.Tensor:
    """Logits of `rows`, float32 (rows, labels), on the CPU, in the order of `rows`."""
    network.eval()
    device = next(network.parameters()).device
    # documents of similar length need little padding
    order = torch.argsort(sequences.length[rows])
    batches = sequences.batches(rows[order], SCORED_POSITIONS)
    logits = [network(sequences.batch(batch, device)).cpu() for batch in batches]
    return torch.cat(logits)[torch.argsort(order)]


def _losses_of_rows(losses_of: Losses, logits: torch.Tensor, data: TrainingData, rows: torch.Tensor) -> torch.Tensor:
    scored = losses_of(
        logits[:, : data.labels], data.targets[rows].to(logits.device), data.weight[rows].to(logits.device)
    )
    if data.detailed is None or logits.shape[1] == data.labels:
        return scored
    # rare detailed labels are many: they are not weighted by their frequency, as scored labels may be
    cross_entropy = Losses(torch.ones(logits.shape[1] - data.labels), smoothing=losses_of.smoothing)
    detailed = data.detailed.targets[rows].to(logits.device)
    weight = data.sample_weight[rows].reshape(len(rows), -1)[:, 0].to(logits.device)
    weight = weight if detailed.dim() == 1 else weight[:, None].expand_as(detailed)
    return scored + data.detailed.weight * cross_entropy(logits[:, data.labels :], detailed, weight)
