"""The dry run of `finetune`: time from a few steps of training, memory and disk from the sizes of the network."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from featurestore import free_memory, keep_freed_memory
from heads.core.inputs import encode
from heads.training.network_head import seeded
from heads.training.samplers import RankBatch
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.pipeline.length_buckets import stored_bytes
from stages.finetune.preparation import FinetuneRequest, prepare
from stages.finetune.task import Fold

if TYPE_CHECKING:
    from stages.finetune.classifier import EncoderClassifier
    from stages.finetune.training import Training

__all__ = ["FinetuneEstimate", "activation_bytes", "estimate"]

TIMED_SECONDS = 20.0
# numbers that backpropagation keeps per position, layer and dimension: the inputs of the linear layers, of the
# activation, of norms and of dropout; counted for BERT, whose inner layer is four times as wide
KEPT_NUMBERS = 20
# and per position, layer, head and position that it attends to: on a CPU, attention with dropout is not fused, and its
# weights, those after dropout, and the mask are kept
KEPT_ATTENTION = 3
FORWARD_SHARE = 1 / 3  # of the time of a step: the backward pass computes two products for each one of the forward pass


@dataclass(frozen=True, kw_only=True)
class FinetuneEstimate:
    """What `finetune` would do. Bytes, seconds, and numbers of documents, steps and parameters.

    seconds: of training, validation and encoding. memory: weights, gradients, moments and the largest step.
    kept_bytes: of the encoder and the store. checkpoint_bytes: while it trains, at most.
    """

    encoder: str
    device: str
    precision: str
    learned: int
    scored: int
    parameters: int
    trained_parameters: int
    trainings: int
    steps: int
    seconds: float
    memory: int
    free_memory: int | None
    kept_bytes: int
    checkpoint_bytes: int


def estimate(request: FinetuneRequest, *, notify: Callable[[str], None]) -> FinetuneEstimate:
    """Time a few steps of the last training; nothing is written. Raises as `prepare` does."""
    prepared = prepare(request, notify)
    settings, fold, training = request.settings, prepared.folds[-1], prepared.open_training()
    classes, y = encode(prepared.task.target.names[fold.learned])
    with seeded(settings.seed), silence_transformers():
        classifier = training.build(len(classes))
        seconds_per_position = _time_steps(training, classifier, fold, y, classes.tolist())
    positions = training.positions
    learned = settings.epochs * sum(int(positions[each.learned].sum()) for each in prepared.folds)
    scored = sum(int(positions[each.scored].sum()) for each in prepared.folds)
    scored *= 1 if settings.validate_on == "folds" else settings.epochs
    # the test documents, which are encoded too, have about the same lengths
    scale = len(prepared.corpus.documents) / max(len(positions), 1)
    seconds = seconds_per_position * (learned + FORWARD_SHARE * (scored + scale * positions.sum()))
    parameters = sum(weight.numel() for weight in classifier.parameters())
    trained = classifier.trained_parameters
    return FinetuneEstimate(
        encoder=prepared.name,
        device=str(classifier.device),
        precision="bfloat16" if prepared.bfloat16 else "float32",
        learned=len(fold.learned),
        scored=len(fold.scored),
        parameters=parameters,
        trained_parameters=trained,
        trainings=len(prepared.folds),
        steps=sum(settings.epochs * -(-len(each.learned) // settings.batch_size) for each in prepared.folds),
        seconds=float(seconds),
        memory=4 * parameters + 12 * trained + activation_bytes(training, classifier),
        free_memory=torch.cuda.mem_get_info()[0] if classifier.device.type == "cuda" else free_memory(),
        kept_bytes=4 * parameters + int(scale * stored_bytes(training.windows, training.encoder).sum()),
        checkpoint_bytes=2 * (4 * parameters + 8 * trained),
    )


@keep_freed_memory()
def _time_steps(
    training: "Training", classifier: "EncoderClassifier", fold: Fold, y: NDArray[Any], classes: list[Any]
) -> float:
    """Seconds per position of a step, without its optimizer, which takes little time."""
    losses, targets, weight = training.losses(y, classes)

    def time_step(batch: RankBatch) -> float:
        classifier.zero_grad()  # of an attempt that did not fit
        started = time.perf_counter()
        for documents, windows in training.micro_batches.split(fold.learned[batch.rows]):
            of_part = torch.from_numpy(batch.rows[documents])
            with torch.autocast(classifier.device.type, torch.bfloat16, enabled=training.bfloat16):
                logits = classifier(windows)
            values = (each[of_part].to(logits.device) for each in (targets, weight))
            losses(logits.float(), *values).sum().backward()  # type: ignore[no-untyped-call]  # torch's own gap
        return time.perf_counter() - started

    seconds, read, deadline = 0.0, 0, math.inf
    classifier.train()
    for number, batch in enumerate(training.batches(fold, y, weight).of_epoch(0)):
        rows = fold.learned[batch.rows]
        step_seconds = training.micro_batches.retry(rows, partial(time_step, batch))
        if number == 0 and len(y) > training.settings.batch_size:  # its time includes what a device sets up once
            deadline = time.perf_counter() + TIMED_SECONDS
            continue
        seconds, read = seconds + step_seconds, read + int(training.positions[rows].sum())
        if time.perf_counter() > deadline:
            break
    classifier.zero_grad()
    return seconds / max(read, 1)


def activation_bytes(training: "Training", classifier: "EncoderClassifier") -> int:
    """What backpropagation keeps of the largest step."""
    config: Any = classifier.encoder.config
    longest = int(training.positions.max()) * training.settings.batch_size
    positions = min(longest, training.micro_batches.limit)
    window = int(training.windows.length.max()) + training.encoder.extra_positions
    heads = getattr(config, "num_attention_heads", 0)
    attention = KEPT_ATTENTION * heads * window if classifier.device.type == "cpu" else 0
    return int(4 * positions * config.num_hidden_layers * (KEPT_NUMBERS * training.encoder.dim + attention))
