"""The base class of heads that are networks: fitting, scoring and saving. A head's own file builds the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from data.errors import CallError
from featurestore import Bags
from heads.core.class_weights import ClassWeight
from heads.core.detailed_labels import DetailUse
from heads.core.head import Examples, Head
from heads.core.hyperparameters import Help, Range, to_json
from heads.core.pooled_head import are_one_array
from heads.core.saving import read_arrays, write_arrays
from heads.training.config import Imbalance, Stopping, Training
from heads.training.document_batches import Batch, Sequences
from heads.training.initialization import initialize
from heads.training.loop import OnEpoch, Trainer, network_scores
from heads.training.position_storage import open_storage
from heads.training.state import Checkpoint, History, identity
from heads.training.training_data import DetailedTargets, TrainingData

__all__ = ["NetworkHead", "Standardized", "pad_to_length", "seeded"]

WEIGHTS = "network.safetensors"


class FittedNetworkHead:
    """The attributes of a fitted NetworkHead: the network, and the metrics of every epoch."""

    network_: "Standardized"
    history_: History


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkHead(FittedNetworkHead, Head):
    """A network over the positions of a document: its chunks, segments or tokens.

    These attributes are not hyperparameters, so `clone` does not copy them:

    validation: documents and labels of a validation split for early stopping, in place of `validation_fraction`.
    on_epoch: called after each epoch of `fit`.
    tracked: documents and labels whose metrics `on_epoch` receives if there is no validation split; they decide
    nothing.
    checkpoint_folder: an interrupted `fit` resumes from a file in this folder.
    """

    training: Training | None = None
    class_weight: ClassWeight = "effective"
    detail_weight: Annotated[
        float, Range(0), Help("weight of the loss on detailed labels (--scored-level), relative to that on scored ones")
    ] = 0.2

    detail_use: ClassVar[DetailUse] = "auxiliary"

    validation: tuple[Bags, Any] | None = field(init=False, default=None)
    on_epoch: OnEpoch | None = field(init=False, default=None)
    tracked: tuple[Bags, Any] | None = field(init=False, default=None)
    checkpoint_folder: Path | None = field(init=False, default=None)

    def build(self, dim: int, labels: int) -> nn.Module:
        """A new network that maps a Batch of vectors of length `dim` to logits, float32 (documents, labels)."""
        raise NotImplementedError

    @property
    def _output_count(self) -> int:
        """The number of labels, scored and detailed."""
        return len(self.classes_) + (0 if self.detailed_ is None else len(self.detailed_.classes))

    def _available_views(self, bags: Bags) -> tuple[str, ...]:
        views = [view for view in self._requested_views() if view in bags.views]
        if views and are_one_array(bags, views):
            views = views[:1]
        return tuple(views) or self._requested_views()

    def _position_limit(self) -> int | None:
        """How many positions of a document are read, from its start; None for all."""
        return None

    def _prepare_sequences(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:  # noqa: ARG002 - for subclasses
        """What the network does before its first weight, such as pooling, done once instead of in every epoch.

        The network's logits must be the same for either. mean: of all positions, float32 (dim,).
        """
        return sequences

    def _fit(self, examples: Examples) -> None:
        trainer = Trainer.of(self.training)
        sequences = self._sequences(examples.bags, with_notes=True)
        order = _ordered_columns(trainer.imbalance.order, self.classes_.tolist())
        data = _training_data(examples, sequences, len(self.classes_), order)
        if self.detailed_ is not None and examples.detailed is not None:
            data = replace(data, detailed=DetailedTargets.of(examples.detailed, self.detail_weight))
        rows = data.split(trainer.stopping.validation_fraction if self.validation is None else 0, self.seed)
        stopping_note = None if self.validation else _stopping_note(trainer.stopping, data, rows[1])
        for note in (stopping_note, _imbalance_note(trainer.imbalance, self.class_weight)):
            if note:
                self._add_note(note)
        generator, rng = torch.Generator().manual_seed(self.seed), np.random.default_rng(self.seed)
        with seeded(self.seed):
            network = self.build(sequences.dim, self._output_count)
            initialize(network, trainer.optimization.init, generator)
            self.network_ = Standardized(network, *sequences.moments(rows[0]), labels=data.labels)
            data = replace(data, sequences=self._prepare_sequences(sequences, self.network_.mean))
            validation = self._prepare_data(self.validation, data)
            if self.validation is not None and validation is None:
                self._add_note("No validation document has a label of the training documents: all epochs were run.")
            self.history_ = trainer.run(
                self.network_,
                data,
                rows,
                rng,
                on_epoch=self.on_epoch,
                checkpoint=self._checkpoint(trainer, data, rows, validation),
                validation=validation,
                tracked=self._prepare_data(self.tracked, data),
            )
        self.parameter_count_ = sum(weight.numel() for weight in network.parameters())

    def _checkpoint(
        self,
        trainer: Trainer,
        data: TrainingData,
        rows: tuple[torch.Tensor, torch.Tensor],
        validation: TrainingData | None,
    ) -> Checkpoint | None:
        if self.checkpoint_folder is None:
            return None
        # features are identified by their mean and deviation; those of the training documents are in the network
        described = {"head": to_json(self), "device": trainer.device.type, "precision": trainer.precision}
        tabular = () if data.sequences.tabular is None else (data.sequences.tabular,)
        detailed = () if data.detailed is None else (data.detailed.targets,)
        read = (data.sequences.length, data.targets, data.weight, data.sample_weight, *rows, *tabular, *detailed)
        if validation is not None:
            length = validation.sequences.length
            read += (length, validation.targets, *validation.sequences.moments(torch.arange(len(length))))
        return Checkpoint(self.checkpoint_folder / f"{identity(described, self.network_, *read)}.safetensors")

    def _prepare_data(self, documents: tuple[Bags, Any] | None, data: TrainingData) -> TrainingData | None:
        """Documents with labels that are not fitted on, in the form of `data`; None if none has a label of `data`."""
        if documents is None:
            return None
        bags, labels = documents
        # documents of a label without training documents cannot be predicted correctly
        rows = np.arange(len(bags)) if self.multilabel_ else np.flatnonzero(np.isin(labels, self.classes_))
        if not len(rows):
            return None
        y = np.asarray(labels)[rows]
        targets = y.astype(np.float32) if self.multilabel_ else np.searchsorted(self.classes_, y)
        sequences = self._prepare_sequences(self._sequences(self._as_bags(bags[rows])), self.network_.mean)
        ones = torch.ones(targets.shape)
        return TrainingData(sequences, torch.from_numpy(targets), ones, ones, data.labels, data.order)

    def _sequences(self, bags: Bags, *, with_notes: bool = False) -> Sequences:
        """The views that the head reads, and the layers of each, concatenated."""
        views, limit = [bags.view(name) for name in self.dims_], self._position_limit()
        length = views[0].length if limit is None else np.minimum(views[0].length, limit)
        truncated = np.count_nonzero(length < views[0].length)
        if truncated and with_notes:
            remedy = " Raise max_positions to read all of them." if hasattr(self, "max_positions") else ""
            self._add_note(
                f"{truncated:,} of {len(bags):,} documents have more than {limit} positions and were truncated.{remedy}"
            )
        tabular = None if self.tabular_ is None else torch.from_numpy(self._tabular_inputs(bags))
        return Sequences(open_storage(views, length), torch.from_numpy(length), tabular)

    def gradient_times_input(self, X: Any, column: int, against: int | None = None) -> list[NDArray[np.float32]]:
        """How much each position adds to a class's margin, by gradient times input.

        Inputs are measured from the mean of the training documents; positions beyond `max_positions` add 0.

        Args:
            X: Bags, or a 2-D array.
            column: of the class. Its margin is its log-odds, or its score minus that of `against`.
            against: column of another class, or None.

        Returns:
            float32 (positions,) for each document.
        """
        check_is_fitted(self)
        attributions = []
        for batch, positions in self._single_documents(X):
            vectors = self.network_.standardize(batch).requires_grad_()
            scores = self.network_.network(batch._replace(vectors=vectors))[0, : len(self.classes_)]
            others = scores[:0] if self.multilabel_ else torch.cat([scores[:column], scores[column + 1 :]])
            other = scores[against] if against is not None else others.logsumexp(0) if len(others) else 0.0
            (slope,) = torch.autograd.grad(scores[column] - other, vectors)
            attributions.append(pad_to_length((slope * vectors).detach().sum(dim=1), positions))
        return attributions

    def _single_documents(self, X: Any) -> Iterator[tuple[Batch, int]]:
        """One batch per document, on the CPU, and how many positions the document has, read or not."""
        self.network_.cpu().eval()
        bags = self._as_bags(X)
        sequences = self._sequences(bags)
        for row, positions in enumerate(bags.view(self.reads[0]).length.tolist()):
            yield sequences.batch(torch.tensor([row]), torch.device("cpu")), positions

    def _decision_function(self, bags: Bags) -> NDArray[np.float32]:
        device = Trainer.of(self.training).device
        sequences = self._prepare_sequences(self._sequences(bags), self.network_.mean)
        scores = network_scores(self.network_.to(device), sequences, torch.arange(len(bags)))
        self.network_.cpu()
        return np.asarray(scores.numpy())

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, {name: value.numpy() for name, value in self.network_.state_dict().items()})

    def _load(self, folder: Path) -> None:
        dim = sum(self.dims_.values())
        with seeded(self.seed):
            network = self.build(dim, self._output_count)
        self.network_ = Standardized(network, torch.zeros(dim), torch.ones(dim), labels=len(self.classes_))
        shapes = {name: tuple(value.shape) for name, value in self.network_.state_dict().items()}
        arrays = read_arrays(folder / WEIGHTS, shapes)
        self.network_.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


class Standardized(nn.Module):
    """A network on inputs with mean 0 and deviation 1; both are measured on the training documents and saved.

    labels: how many logits are returned outside of training, without those of detailed labels; None for all.
    """

    def __init__(
        self, network: nn.Module, mean: torch.Tensor, deviation: torch.Tensor, *, labels: int | None = None
    ) -> None:
        super().__init__()
        self.network, self.labels = network, labels
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels); those of detailed labels follow in training."""
        logits: torch.Tensor = self.network(batch._replace(vectors=self.standardize(batch)))
        return logits if self.training else logits[:, : self.labels]

    def standardize(self, batch: Batch) -> torch.Tensor:
        """The standardized vectors of a batch, float32 (all positions, dim)."""
        return (batch.vectors - self.mean).div_(self.deviation)


def pad_to_length(values: torch.Tensor, length: int) -> NDArray[np.float32]:
    """Values of the positions that were read as float32 (length,), 0 for the others."""
    padded = np.zeros(length, dtype=np.float32)
    padded[: len(values)] = values[:length].numpy()
    return padded


def _ordered_columns(order: tuple[str, ...] | None, classes: list[Any]) -> torch.Tensor | None:
    """The columns of the classes, from the lowest label to the highest."""
    if order is None:
        return None
    columns = {str(label): column for column, label in enumerate(classes)}
    if len(set(order)) < len(order):
        twice = next(label for label in order if order.count(label) > 1)
        raise CallError(f"order names the label '{twice}' twice. Name every label once, the lowest first.")
    missing = [label for label in columns if label not in order]
    if missing:
        raise CallError(f"order lacks the label '{missing[0]}'. Name every label, the lowest first.")
    return torch.tensor([columns[label] for label in order if label in columns])


def _training_data(examples: Examples, sequences: Sequences, labels: int, order: torch.Tensor | None) -> TrainingData:
    # with weights of mean 1 a learning rate means the same for any scale of the sample weights
    mean = examples.sample_weight.mean()
    weight = (examples.loss_weight / mean).astype(np.float32)
    sample_weight = (examples.sample_weight / mean).astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    targets: NDArray[Any] = examples.y.astype(np.float32 if examples.multilabel else np.int64)
    return TrainingData(
        sequences,
        targets=torch.from_numpy(targets),
        weight=torch.from_numpy(weight),
        sample_weight=torch.from_numpy(np.broadcast_to(sample_weight, weight.shape).copy()),
        labels=labels,
        order=order,
        groups=None if examples.groups is None else examples.groups.tolist(),
        fit_only=examples.fit_only,
    )


def _stopping_note(stopping: Stopping, data: TrainingData, validation: torch.Tensor) -> str | None:
    """The note for the user if there is no validation split."""
    if len(validation):
        return None
    if stopping.validation_fraction and data.fit_only is not None:
        return (
            "Too few documents per label that may validate, which copies and documents that the encoder saw may not: "
            "all epochs were run."
        )
    if stopping.validation_fraction:
        return "Too few documents per label for a validation split: all epochs were run."
    values, defaults = stopping.get_params(), Stopping().get_params()
    for name in ("patience", "monitor"):
        if values[name] != defaults[name]:
            return f"{name} has no effect without a validation split. Set validation_fraction, for example to 0.1."
    return None


def _imbalance_note(imbalance: Imbalance, class_weight: ClassWeight) -> str | None:
    """The note for the user if both the training and class weights favor rare labels."""
    if class_weight == "none":
        return None
    if imbalance.sampler not in ("instance", "weighted"):
        cause = f"the sampler {imbalance.sampler}"
    elif imbalance.loss == "logit_adjusted":
        cause = "the loss logit_adjusted"
    else:
        return None
    return f"Rare labels are favored twice, by {cause} and by class_weight. Set class_weight to none."


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block, and restore their state afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
