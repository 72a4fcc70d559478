"""Training steps of several `mlp` networks: one network after the other, and all of them in batched products.

    python -m benchmarks.batched_networks [--networks 5]... [--threads 1]... [--steps 50] [--rounds 7] [--json]

The networks are those of `mlp` with its defaults. They read random documents of the size of all-MiniLM-L6-v2's three
views, with 20 labels. Loss, optimizer, dropout, clipping and batch size are those of the head's training. Stacked, each
parameter has the shape (networks, inputs, outputs), and a layer is one batched product; the networks learn the same.
Values are medians over rounds in random order.
"""

from collections.abc import Callable

import click
import torch
from torch import nn

from benchmarks.measuring import Claim, Topic, median_seconds, print_topic
from heads.classifiers.mlp import MLPHead, PooledMLP
from heads.training.config import Optimization
from heads.training.dropout import Dropout
from heads.training.optimizers import Optimizer

DIM, LABELS, BATCH_SIZE = 3 * 384, 20, 64
SMOOTHING = 0.1


class StackedMLP(nn.Module):
    """Several `PooledMLP` with equal initial weights: (networks, documents, dim) -> logits of each network."""

    def __init__(self, networks: list[PooledMLP], dropout: float) -> None:
        super().__init__()
        layers = [[layer for layer in network.layers if isinstance(layer, nn.Linear)] for network in networks]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.stack([layer.weight.detach().T for layer in same])) for same in zip(*layers, strict=True)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.stack([layer.bias.detach() for layer in same])) for same in zip(*layers, strict=True)
        )
        self.dropout = Dropout(dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (networks, documents, labels)."""
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            vectors = torch.baddbmm(bias[:, None], self.dropout(vectors.relu() if index else vectors), weight)
        return vectors


def serial_training(
    networks: list[PooledMLP], vectors: torch.Tensor, y: torch.Tensor, steps: int
) -> Callable[[], None]:
    """A function that takes `steps` steps with each network, one network after the other."""
    training = Optimization()
    optimizers = [Optimizer(network, training.optimizer, training.lr, training.weight_decay) for network in networks]

    def train() -> None:
        for network, optimizer, batch, labels in zip(networks, optimizers, vectors, y, strict=True):
            for _ in range(steps):
                nn.functional.cross_entropy(network.layers(batch), labels, label_smoothing=SMOOTHING).backward()  # type: ignore[no-untyped-call]  # torch
                nn.utils.clip_grad_norm_(network.parameters(), training.max_grad_norm)
                optimizer.step()

    return train


def stacked_training(
    networks: list[PooledMLP], vectors: torch.Tensor, y: torch.Tensor, steps: int
) -> Callable[[], None]:
    """A function that takes `steps` steps with all networks at once; the gradient of each network is clipped alone."""
    training, network = Optimization(), StackedMLP(networks, MLPHead().dropout)
    # stacked biases are matrices, which would decay; those of a single network do not
    optimizer = torch.optim.AdamW(
        [
            {"params": list(network.weights), "weight_decay": training.weight_decay},
            {"params": list(network.biases), "weight_decay": 0.0},
        ],
        lr=training.lr,
        fused=True,
    )

    def train() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            logits = network(vectors).flatten(0, 1)
            loss = nn.functional.cross_entropy(logits, y.flatten(), label_smoothing=SMOOTHING)
            # the mean over the documents of each network, summed over networks
            (loss * len(networks)).backward()  # type: ignore[no-untyped-call]  # torch
            gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
            squares = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients]
            norm = torch.stack(squares).sum(dim=0).sqrt()
            scale = (training.max_grad_norm / (norm + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
            optimizer.step()

    return train


def draw_networks(count: int) -> tuple[list[PooledMLP], torch.Tensor, torch.Tensor]:
    """Networks, one batch for each, float32 (networks, documents, DIM), and labels, int64 (networks, documents)."""
    torch.manual_seed(0)
    networks = [MLPHead().build(DIM, LABELS) for _ in range(count)]
    assert all(isinstance(network, PooledMLP) for network in networks)
    vectors, y = torch.randn(count, BATCH_SIZE, DIM), torch.randint(LABELS, (count, BATCH_SIZE))
    return [network for network in networks if isinstance(network, PooledMLP)], vectors, y


def milliseconds_per_step(count: int, threads: int, steps: int, rounds: int) -> tuple[float, float]:
    """The time of one step of one network: one after the other, and stacked."""
    torch.set_num_threads(threads)
    variants = {
        "one by one": serial_training(*draw_networks(count), steps),
        "stacked": stacked_training(*draw_networks(count), steps),
    }
    for train in variants.values():
        train()  # the first call allocates memory
    seconds = median_seconds(variants, rounds)
    serial, stacked = (1000 * seconds[name] / (steps * count) for name in variants)
    return serial, stacked


@click.command()
@click.option("--networks", "counts", type=click.IntRange(2), multiple=True, default=(5, 10), show_default=True)
@click.option("--threads", "thread_counts", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(counts: tuple[int, ...], thread_counts: tuple[int, ...], steps: int, rounds: int, as_json: bool) -> None:
    """Print a table with one row per setup, or with --json one object per claim and line."""
    rows, claims = [["networks", "threads", "one by one, ms per step", "stacked", "times as fast"]], []
    for count in counts:
        for threads in thread_counts:
            serial, stacked = milliseconds_per_step(count, threads, steps, rounds)
            rows.append([str(count), str(threads), f"{serial:.2f}", f"{stacked:.2f}", f"{serial / stacked:.2f}"])
            claims.append(
                Claim(f"{count} networks, {threads} threads: times as fast", serial / stacked, 1.0, serial > stacked)
            )
    print_topic(Topic("one step of one network of mlp", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
