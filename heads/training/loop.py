"""How a network learns from stored features: the one loop of every neural head."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from data.errors import CallError
from featurestore.vectors.row_batches import shuffled_batches
from heads.core.hyperparameters import Range, Search
from heads.evaluation.metrics import macro_f1
from heads.training.document_batches import Sequences
from heads.training.initialization import Initialisation
from heads.training.losses import Losses, LossName
from heads.training.optimizers import Best, OptimiserName, averaged, optimiser_of, rate
from heads.training.samplers import SamplerName, drawn
from heads.training.state import Checkpoint, Epoch, History, TrainingState
from heads.training.training_data import TrainingData

__all__ = ["Report", "Training", "network_scores"]

# positions that are scored at a time; of tokens and 768 numbers that is 25 MB
SCORED = 8_192

# of labels, see docs/training-defaults.md
SMOOTHING = 0.1

Report = Callable[[Epoch], None]


class Training(BaseEstimator):
    """AdamW or another with warm-up and cosine decay and clipped gradients, and an early stop where one is asked for.

    Loshchilov & Hutter 2019 (AdamW) and 2017 (cosine). The losses are those of losses.py, weighted by document;
    the samplers those of heads/training/samplers.py.

    Parameters
    ----------
    lr : the highest learning rate, reached after the warm-up
    weight_decay : of matrices; biases and norms are left alone
    epochs : at most
    batch : documents a step
    steps : fewest batches an epoch; where the documents make fewer, they are read several times in one
    warmup : share of all steps in which the rate rises from 0
    clip : longest gradient, as a norm over all weights
    loss : what is made small, see heads/training/losses.py; cross_entropy is the binary one of several labels
    order : every label, the lowest first, for emd; fit-head --order sets it
    gamma : how little focal and asymmetric make of what is sure
    sampler : instance (every document once an epoch), square_root, balanced, progressive, weighted
    defer : share of the epochs after which class weights count; before, all labels weigh the same, and no epoch is kept
    rebalance : how the last layer is balanced afterwards (none, crt, tau, lws), see heads/training/rebalance.py
    label_smoothing : share of a label's truth that is spread over all labels; None is 0.1 for the cross entropy of one
        label a document, and 0 for everything else
    validation : share of the documents that is kept aside to tell when to stop; 0 runs all epochs on all documents
    patience : epochs without a better validation before the stop
    monitor : what "better" is on the validation part (accuracy is of whole label sets); ties, which are common, go to
        the lower loss
    init : each layer's own start, or one rule for all (truncated_normal, xavier, kaiming), see initialization.py
    device : "auto" is a CUDA or Apple device where there is one
    optimiser : adamw, adam, or sgd with Nesterov's momentum of 0.9
    average : how much of the weights' moving average stays at each step; it is what is judged and kept. 0 for none
    precision : of products on a CUDA device; anywhere else they are float32
    """

    unsaid: ClassVar = ("order",)

    def __init__(
        self,
        lr: Annotated[float, Range(above=0), Search(2e-4, 2e-2, log=True)] = 2e-3,
        weight_decay: Annotated[float, Range(0), Search(1e-3, 0.3, log=True)] = 0.01,
        epochs: Annotated[int, Range(1)] = 20,
        batch: Annotated[int, Range(1), Search(16, 256, log=True)] = 64,
        steps: Annotated[int, Range(1)] = 50,
        warmup: Annotated[float, Range(0, 1)] = 0.1,
        clip: Annotated[float, Range(above=0)] = 1.0,
        loss: LossName = "cross_entropy",
        order: tuple[str, ...] | None = None,
        gamma: Annotated[float, Range(0)] = 2.0,
        sampler: SamplerName = "instance",
        defer: Annotated[float, Range(0, 1)] = 0.0,
        rebalance: Literal["none", "crt", "tau", "lws"] = "none",
        label_smoothing: Annotated[float, Range(0, below=1)] | None = None,
        validation: Annotated[float, Range(0, 0.5)] = 0.0,
        patience: Annotated[int, Range(1)] = 4,
        monitor: Literal["macro_f1", "accuracy", "loss"] = "macro_f1",
        init: Initialisation = "default",
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        optimiser: OptimiserName = "adamw",
        average: Annotated[float, Range(0, below=1)] = 0.0,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch = batch
        self.steps = steps
        self.warmup = warmup
        self.clip = clip
        self.loss = loss
        self.order = order
        self.gamma = gamma
        self.sampler = sampler
        self.defer = defer
        self.rebalance = rebalance
        self.label_smoothing = label_smoothing
        self.validation = validation
        self.patience = patience
        self.monitor = monitor
        self.init = init
        self.device = device
        self.optimiser = optimiser
        self.average = average
        self.precision = precision

    def run(
        self,
        network: nn.Module,
        lesson: TrainingData,
        parts: tuple[torch.Tensor, torch.Tensor],
        rng: np.random.Generator,
        report: Report | None = None,
        checkpoint: Checkpoint | None = None,
        watched: TrainingData | None = None,
    ) -> History:
        """Train `network` in place on the first of `parts` and leave it, on the CPU, with its best epoch's weights.

        Batches are drawn from `rng`; dropout draws from torch's global one, which the caller forks and seeds.
        checkpoint: where a training of the same network on the same lesson goes on, if it was cut off.
        watched: documents whose figures are reported where there is no validation part; they choose nothing.
        Raises CallError for a loss or a sampler that these labels do not go with, and when the loss grows beyond all
        numbers.
        """
        fitting, held = parts
        losses = self._losses_of(lesson, fitting)
        device = self.place()
        network.to(device)
        lesson = replace(lesson, sequences=lesson.sequences.on(device))
        course = self._course(network, len(fitting), rng)
        if checkpoint is not None:
            checkpoint.resume(course)
        while not self._over(course):
            number = len(course.epochs) + 1
            even = replace(lesson, weight=lesson.unweighted) if self._defers(number) else lesson
            loss = self._epoch(course, even, losses, fitting, (number - 1) / max(self.epochs - 1, 1))
            if not math.isfinite(loss):
                raise CallError(f"The loss of epoch {number} is not finite: lr is {self.lr}, take a lower one.")
            epoch = Epoch(number, self.epochs, loss, *self._validate(course.judged, lesson, losses, held))
            course.epochs.append(epoch)
            course.best.see(course.judged, number, self._merit(epoch))
            if report is not None:
                seen = epoch if watched is None or len(held) else self._seen(epoch, course.judged, watched, losses)
                report(seen)
            if checkpoint is not None:
                checkpoint.keep(course)
        if checkpoint is not None:
            checkpoint.remove()
        course.best.restore(network)
        network.cpu()
        return History(tuple(course.epochs), course.best.number)

    def place(self) -> torch.device:
        """The device that `device` names. Raises CallError for one that is not there."""
        there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if self.device == "auto":
            return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
        if not there[self.device]:
            raise CallError(
                f"device is '{self.device}', which this machine does not have. Leave it out, or take 'cpu'."
            )
        return torch.device(self.device)

    def _passes(self, documents: int) -> int:
        """How often an epoch reads each document."""
        return math.ceil(self.steps / math.ceil(documents / self.batch))

    def _course(self, network: nn.Module, documents: int, rng: np.random.Generator) -> TrainingState:
        steps = self._passes(documents) * math.ceil(documents / self.batch) * self.epochs
        optimiser = optimiser_of(network, self.optimiser, self.lr, self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps, self.warmup))
        return TrainingState(network, optimiser, schedule, averaged(network, self.average), rng, Best(), [])

    def _defers(self, number: int) -> bool:
        """Whether class weights do not count yet in the epoch of that number."""
        return number <= self.defer * self.epochs

    def _over(self, course: TrainingState) -> bool:
        done = len(course.epochs)
        return done >= self.epochs or (done > 0 and done - course.best.number >= self.patience)

    def _epoch(
        self, course: TrainingState, lesson: TrainingData, losses_of: Losses, rows: torch.Tensor, progress: float
    ) -> float:
        """One epoch; its mean loss."""
        course.network.train()
        half = self.precision == "bfloat16" and course.device.type == "cuda"
        passes = self._passes(len(rows))
        # what was drawn by its weight must not be weighed again
        counted = replace(lesson, weight=torch.ones_like(lesson.weight)) if self.sampler == "weighted" else lesson
        total = torch.zeros((), device=course.device)
        for documents in chain.from_iterable(self._batches(lesson, rows, progress, course.rng) for _ in range(passes)):
            batch = lesson.sequences.batch(documents, course.device)
            with torch.autocast(course.device.type, torch.bfloat16, enabled=half):
                logits = course.network(batch)
            losses = _weighed(losses_of, logits.float(), counted, documents)
            course.step(losses.mean(), self.clip)
            total += losses.detach().sum()
        return float(total) / (passes * len(rows))

    def _batches(
        self, lesson: TrainingData, rows: torch.Tensor, progress: float, rng: np.random.Generator
    ) -> Iterator[torch.Tensor]:
        """Documents of one pass, int64, a batch at a time."""
        if self.sampler != "instance":
            truth = lesson.truth[rows].numpy()
            found = truth > 0 if truth.ndim == 2 else truth
            rows = rows[torch.from_numpy(drawn(found, self.sampler, progress, rng, lesson.weight[rows].numpy()))]
        for order in shuffled_batches(lesson.sequences.length[rows].numpy(), self.batch, rng):
            yield rows[torch.from_numpy(order)]

    def _losses_of(self, lesson: TrainingData, rows: torch.Tensor) -> Losses:
        multilabel = lesson.truth.dim() == 2
        if multilabel and self.sampler == "weighted":
            raise CallError(
                "The sampler weighted is for one label a document: of several, each has a weight. Take balanced."
            )
        truth = lesson.truth[rows]
        # of several labels no loss asks how often each occurs
        shown = lesson.unweighted[rows]
        counts = torch.ones(lesson.labels) if multilabel else torch.bincount(truth, shown, lesson.labels).float()
        smoothing = self.label_smoothing
        if smoothing is None:
            smoothing = SMOOTHING if self.loss == "cross_entropy" and not multilabel else 0.0
        losses = Losses(counts, self.loss, self.gamma, smoothing, lesson.order)
        losses.check(multilabel=multilabel)
        return losses

    def _validate(
        self, network: nn.Module, lesson: TrainingData, losses_of: Losses, rows: torch.Tensor
    ) -> tuple[float | None, float | None, float | None]:
        """Loss, macro-F1 and accuracy on `rows`."""
        if not len(rows):
            return None, None, None
        scores = network_scores(network, lesson.sequences, rows)
        loss = float(_weighed(losses_of, scores, lesson, rows).mean())
        multilabel = lesson.truth.dim() == 2
        predicted = scores > 0 if multilabel else scores.argmax(dim=1)
        truth = lesson.truth[rows].bool() if multilabel else lesson.truth[rows]
        right = (predicted == truth).reshape(len(rows), -1).all(dim=1)
        return loss, macro_f1(truth.numpy(), predicted.numpy(), lesson.labels), float(right.float().mean())

    def _seen(self, epoch: Epoch, network: nn.Module, watched: TrainingData, losses_of: Losses) -> Epoch:
        loss, f1, accuracy = self._validate(network, watched, losses_of, torch.arange(len(watched.truth)))
        return replace(epoch, validation_loss=loss, macro_f1=f1, accuracy=accuracy)

    def _merit(self, epoch: Epoch) -> tuple[float, float]:
        """What the best epoch has most of; without a validation part, and until weights count, the last one is best."""
        if epoch.validation_loss is None or self._defers(epoch.number):
            return float(epoch.number - epoch.epochs), 0.0
        metric = {"macro_f1": epoch.macro_f1, "accuracy": epoch.accuracy, "loss": None}[self.monitor]
        return metric or 0.0, -epoch.validation_loss


def _weighed(losses_of: Losses, logits: torch.Tensor, lesson: TrainingData, rows: torch.Tensor) -> torch.Tensor:
    truth, weight = lesson.truth[rows].to(logits.device), lesson.weight[rows].to(logits.device)
    return losses_of(logits, truth, weight)


@torch.inference_mode()
def network_scores(network: nn.Module, sequences: Sequences, rows: torch.Tensor) -> torch.Tensor:
    """Logits of `rows`, float32 (rows, labels), on the CPU; batches are sorted by length, the result is not."""
    network.eval()
    device = _device(network)
    order = torch.argsort(sequences.length[rows])
    parts = [network(sequences.batch(part, device)).cpu() for part in sequences.batches(rows[order], SCORED)]
    return torch.cat(parts)[torch.argsort(order)]


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
