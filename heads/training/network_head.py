"""What heads that are networks share: fitting, scoring, saving. A head's own file says what the network is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from data.errors import CallError
from featurestore import Bags
from heads.core.head import Examples, Head
from heads.core.hyperparameters import to_json
from heads.core.saving import read_arrays, write_arrays
from heads.training.document_batches import Batch, Sequences
from heads.training.initialization import initialise
from heads.training.loop import Report, Training, network_scores
from heads.training.rebalance import check_rebalance, rebalance
from heads.training.state import Checkpoint, History, identity
from heads.training.step_storage import source_of
from heads.training.training_data import TrainingData

__all__ = ["NetworkHead", "to_length"]

WEIGHTS = "network.safetensors"


class NetworkHead(Head):
    """A network over the steps of a document: its chunks, segments or tokens.

    Parameters that every neural head has beside those of `Head`: training, how it learns (None is `Training()`).
    Where `max_steps` is not None, documents are cut to so many steps, and `notes_` tells how many were.

    `progress` is called after each epoch of `fit`; without a validation part it is told the figures of `watch`,
    documents and their labels, which choose nothing. A fit that was killed goes on from a file in `checkpoints`, a
    folder. None of these is a parameter, so `clone` leaves them behind.
    After `fit`: network_, and history_, every epoch's figures.
    """

    training: Training | None
    max_steps: int | None = None
    progress: Report | None = None
    watch: tuple[Bags, Any] | None = None
    checkpoints: Path | None = None

    network_: "Standardised"
    history_: History

    def build(self, dim: int, labels: int) -> nn.Module:
        """A new network: a Batch of (documents, steps, dim) -> (documents, labels) logits. Padding tells it nothing."""
        raise NotImplementedError

    def _available(self, bags: Bags) -> tuple[str, ...]:
        return tuple(view for view in self._views() if view in bags.views) or self._views()

    def _before_weights(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:  # noqa: ARG002 - for heads' own
        """What the network does to `sequences` before its first weight, done once; mean: of the steps, float32 (dim,).

        Its logits are the same of either.
        """
        return sequences

    def _learn(self, examples: Examples) -> None:
        training = self.training or Training()
        check_rebalance(training, multilabel=examples.multilabel)
        sequences = self._sequences(examples.bags, aloud=True)
        lesson = _lesson(examples, sequences, len(self.classes_), _columns(training.order, self.classes_.tolist()))
        fitting, held = lesson.parts(training.validation, self.seed)
        if not len(held) and (said := _unstopped(training)):
            self._note(said)
        if self.class_weight != "none" and (cause := _balancing(training)):
            self._note(f"Rare labels are favoured twice, by {cause} and by class_weight: set that to none.")
        generator, rng = torch.Generator().manual_seed(self.seed), np.random.default_rng(self.seed)
        with seeded(self.seed):
            network = self.build(sequences.dim, lesson.labels)
            initialise(network, training.init, generator)
            self.network_ = Standardised(network, *sequences.moments(fitting))
            lesson = replace(lesson, sequences=self._before_weights(sequences, self.network_.mean))
            checkpoint, watched = self._checkpoint(training, lesson, (fitting, held)), self._watched(lesson)
            parts = (fitting, held)
            self.history_ = training.run(self.network_, lesson, parts, rng, self.progress, checkpoint, watched)
            said = rebalance(self.network_, training.rebalance, lesson, (fitting, held), training, rng)
        if said:
            self._note(said)
        self.parameter_count_ = sum(weight.numel() for weight in network.parameters())

    def _checkpoint(
        self, training: Training, lesson: TrainingData, parts: tuple[torch.Tensor, torch.Tensor]
    ) -> Checkpoint | None:
        if self.checkpoints is None:
            return None
        # the mean and the deviation of the network stand for the features
        described = {"head": to_json(self), "device": training.place().type}
        read = (lesson.sequences.length, lesson.truth, lesson.weight, lesson.unweighted, *parts)
        return Checkpoint(self.checkpoints / f"{identity(described, self.network_, *read)}.safetensors")

    def _watched(self, lesson: TrainingData) -> TrainingData | None:
        if self.watch is None:
            return None
        bags, labels = self.watch
        # a label that was not learned has no column to be right in
        rows = np.arange(len(bags)) if self.multilabel_ else np.flatnonzero(np.isin(labels, self.classes_))
        y = np.asarray(labels)[rows]
        truth = y.astype(np.float32) if self.multilabel_ else np.searchsorted(self.classes_, y)
        sequences = self._before_weights(self._sequences(self._as_bags(bags[rows])), self.network_.mean)
        even = torch.ones(truth.shape)
        return TrainingData(sequences, torch.from_numpy(truth), even, even, lesson.labels, lesson.order)

    def _sequences(self, bags: Bags, *, aloud: bool = False) -> Sequences:
        """The views that the head reads, and the layers of each, side by side."""
        views = [bags.view(name) for name in self.dims_]
        length = views[0].length if self.max_steps is None else np.minimum(views[0].length, self.max_steps)
        longer = np.count_nonzero(length < views[0].length)
        if longer and aloud:
            self._note(
                f"{longer:,} of {len(bags):,} documents have more than {self.max_steps} steps: "
                "the rest of each was left out. Raise max_steps to read it."
            )
        return Sequences(source_of(views, length), torch.from_numpy(length))

    def gradient_times_input(self, X: Any, column: int, against: int | None = None) -> list[NDArray[np.float32]]:
        """What each step adds to a class's margin, by its gradient there: float32 (steps,) a document, a list of them.

        The margin of class `column` is its log-odds, or what its score is above that of `against`. Inputs count from
        the mean of the training documents on; steps beyond `max_steps` add 0.
        """
        check_is_fitted(self)
        found = []
        for batch, steps in self._single(X):
            vectors = self.network_.standard(batch).requires_grad_()
            scores = self.network_.network(batch._replace(steps=vectors))[0]
            others = scores[:0] if self.multilabel_ else torch.cat([scores[:column], scores[column + 1 :]])
            other = scores[against] if against is not None else others.logsumexp(0) if len(others) else 0.0
            (slope,) = torch.autograd.grad(scores[column] - other, vectors)
            found.append(to_length((slope * vectors).detach().sum(dim=1), steps))
        return found

    def _single(self, X: Any) -> Iterator[tuple[Batch, int]]:
        """Each document as a batch of its own on the processor, and how many steps it has, read or not."""
        self.network_.cpu().eval()
        bags = self._as_bags(X)
        sequences = self._sequences(bags)
        for row, steps in enumerate(bags.view(self.reads[0]).length.tolist()):
            yield sequences.batch(torch.tensor([row]), torch.device("cpu")), steps

    def _scores(self, bags: Bags) -> NDArray[np.float32]:
        if not len(bags):
            return np.zeros((0, len(self.classes_)), dtype=np.float32)
        place = (self.training or Training()).place()
        sequences = self._before_weights(self._sequences(bags), self.network_.mean)
        scores = network_scores(self.network_.to(place), sequences, torch.arange(len(bags)))
        self.network_.cpu()
        return np.asarray(scores.numpy())

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, {name: value.numpy() for name, value in self.network_.state_dict().items()})

    def _load(self, folder: Path) -> None:
        dim = sum(self.dims_.values())
        with seeded(self.seed):
            network = self.build(dim, len(self.classes_))
        self.network_ = Standardised(network, torch.zeros(dim), torch.ones(dim))
        shapes = {name: tuple(value.shape) for name, value in self.network_.state_dict().items()}
        arrays = read_arrays(folder / WEIGHTS, shapes)
        self.network_.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


class Standardised(nn.Module):
    """A network on inputs of mean 0 and deviation 1; both are the training part's and are saved with the weights."""

    def __init__(self, network: nn.Module, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        logits: torch.Tensor = self.network(batch._replace(steps=self.standard(batch)))
        return logits

    def standard(self, batch: Batch) -> torch.Tensor:
        """What the network reads of a batch's steps, float32 (all steps, dim)."""
        return (batch.steps - self.mean) / self.deviation


def to_length(values: torch.Tensor, steps: int) -> NDArray[np.float32]:
    """A value a step that was read, as float32 (steps,): 0 for those that were not."""
    filled = np.zeros(steps, dtype=np.float32)
    filled[: len(values)] = values[:steps].numpy()
    return filled


def _columns(order: tuple[str, ...] | None, classes: list[Any]) -> torch.Tensor | None:
    """The columns of the classes from the lowest label on."""
    if order is None:
        return None
    columns = {str(label): column for column, label in enumerate(classes)}
    missing = [label for label in columns if label not in order]
    if missing:
        raise CallError(f"order leaves out '{missing[0]}': name every label, the lowest first.")
    return torch.tensor([columns[label] for label in order if label in columns])


def _lesson(examples: Examples, sequences: Sequences, labels: int, order: torch.Tensor | None) -> TrainingData:
    # Weights of mean 1, so that the learning rate means the same whatever the caller's sample weights sum to
    weight = examples.loss_weight / examples.sample_weight.mean()
    truth: NDArray[Any] = examples.y.astype(np.float32 if examples.multilabel else np.int64)
    even = (examples.sample_weight / examples.sample_weight.mean()).astype(np.float32)
    groups = None if examples.groups is None else examples.groups.tolist()
    return TrainingData(
        sequences,
        torch.from_numpy(truth),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(np.broadcast_to(even.reshape(-1, *[1] * (weight.ndim - 1)), weight.shape).copy()),
        labels,
        order,
        groups,
    )


def _unstopped(training: Training) -> str | None:
    """What to say where no validation part stops the training."""
    if training.validation:
        return "Too few documents a label to tell when to stop: all epochs were run."
    asked = training.get_params()
    for name in ("patience", "monitor"):
        if asked[name] != Training().get_params()[name]:
            return f"Without a validation part {name} tells nothing: all epochs were run. Set validation, as 0.1."
    return None


def _balancing(training: Training) -> str | None:
    """What in the training itself favours rare labels, whatever they weigh."""
    if training.sampler not in ("instance", "weighted"):
        return f"the sampler {training.sampler}"
    return "the loss logit_adjusted" if training.loss == "logit_adjusted" else None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global random numbers start at `seed` inside and go on afterwards as if nothing had been drawn."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
