"""The cost of `finetune` next to a plain PyTorch loop, on the same batches, in float32, in one process.

    python -m benchmarks.finetune_cost --steps 20 --rounds 5

Each round draws other batches of Reuters-52 and trains on them with both, in random order. Time is that of the process
on its cores, which other programs on the machine hardly change, and the clock's. Both include loading the network and
what is done once per training, but no checkpoints, which `finetune` writes every two minutes.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.measuring import Topic, at_most, print_topic
from heads.core.inputs import encode
from heads.training.optimizers import learning_rate_factor
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Windows, expand_ranges
from stages.finetune.preparation import FinetuneRequest, prepare
from stages.finetune.settings import FinetuneSettings
from stages.finetune.task import Fold
from stages.finetune.training import Training

BAR = 1.2


@dataclass(frozen=True)
class Seconds:
    """Of one training: of the process on its cores, and of the clock."""

    process: float
    clock: float


def measure(work: Callable[[], object]) -> Seconds:
    """Time `work`."""
    process, clock = time.process_time(), time.perf_counter()
    work()
    return Seconds(time.process_time() - process, time.perf_counter() - clock)


def train_with_finetune(training: Training, fold: Fold) -> Callable[[], object]:
    """One epoch by `finetune`, without validation."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            training.run(fold, Path(folder), lambda _: None)

    return work


def train_with_plain_loop(training: Training, fold: Fold) -> Callable[[], object]:
    """The same epoch as one writes it by hand: a batch is padded to its longest window."""
    classes, y = encode(training.task.target.names[fold.learned])
    _, targets, weight = training.losses(y, classes.tolist())
    batches = [batch.rows for batch in training.batches(fold, y, weight).of_epoch(0)]

    def work() -> None:
        classifier = training.build(len(classes))
        encoder, layer = classifier.encoder, classifier.layer
        optimizer = torch.optim.AdamW([*encoder.parameters(), *layer.parameters()], lr=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, len(batches), 0.1)
        )
        loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
        encoder.train()
        for rows in batches:
            ids, mask, owners = padded(training.windows, fold.learned[rows], training.encoder)
            hidden = encoder(ids, attention_mask=mask).last_hidden_state
            vectors = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            logits = layer(nn.functional.dropout(vectors, 0.1))
            counts = torch.bincount(owners).to(logits.dtype)
            pooled = torch.zeros(len(rows), logits.shape[1]).index_add(0, owners, logits) / counts[:, None]
            loss = loss_of(pooled, targets[torch.from_numpy(rows)])
            loss.backward()
            nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    return work


def padded(
    windows: Windows, rows: NDArray[np.int64], encoder: Encoder
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and mask of all windows of some documents, and the document of each window."""
    counts = np.diff(windows.offsets)[rows]
    ids, lengths = encoder.padded_batch(windows, expand_ranges(windows.offsets[:-1][rows], counts))
    mask = torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
    return torch.from_numpy(ids), mask.long(), torch.from_numpy(np.repeat(np.arange(len(rows)), counts))


def main() -> None:
    """Print the table, or one JSON object per claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = FinetuneSettings(epochs=1, validate_on="folds", folds=2)
    prepared = prepare(FinetuneRequest(source="reuters52", settings=settings, precision="float32"), lambda _: None)
    training = prepared.open_training()
    measured: dict[str, list[Seconds]] = {"finetune": [], "plain loop": []}
    rng = np.random.default_rng(0)
    for number in range(arguments.rounds):
        documents = rng.choice(prepared.folds[-1].learned, arguments.steps * settings.batch_size, replace=False)
        fold = Fold(None, documents, np.arange(0))
        with_seed = replace(training, settings=replace(settings, seed=number))
        variants: list[tuple[str, Any]] = [("finetune", train_with_finetune), ("plain loop", train_with_plain_loop)]
        random.Random(number).shuffle(variants)
        for name, make in variants:
            measured[name].append(measure(make(with_seed, fold)))
            print(f"round {number + 1}: {name} {measured[name][-1]}", flush=True)
    print_topic(summarize(measured, arguments.steps), as_json=arguments.json)


def summarize(measured: dict[str, list[Seconds]], steps: int) -> Topic:
    """Medians, and the median ratio of the rounds."""
    rows = [["training", "seconds per step on the cores", "by the clock"]]
    for name, seconds in measured.items():
        medians = (statistics.median(getattr(each, kind) for each in seconds) for kind in ("process", "clock"))
        rows.append([name, *(f"{median / steps:.2f}" for median in medians)])
    pairs = zip(measured["finetune"], measured["plain loop"], strict=True)
    ratio = statistics.median(ours.process / plain.process for ours, plain in pairs)
    claim = at_most("time of finetune over that of a plain loop, median of the rounds", round(ratio, 3), BAR)
    return Topic("Cost of fine-tuning", rows, [claim])


if __name__ == "__main__":
    main()
