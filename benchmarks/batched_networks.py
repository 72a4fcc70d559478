"""Whether several small networks learn faster at once: a step of `mlp`, one network after the other and all stacked.

    python -m benchmarks.batched_networks [--networks 5]... [--threads 1]... [--steps 50] [--rounds 7] [--json]

The network is `mlp`'s by its defaults, over made-up documents of all-MiniLM-L6-v2's three vectors and 20 labels; loss,
optimiser, dropout, clipping and batch are those of its training. Stacked, each matrix is one of (networks, inputs,
outputs) and a layer is one batched product; what is learned is the same. Figures are medians over rounds in random
order.
"""

from collections.abc import Callable

import click
import torch
from torch import nn

from benchmarks.measuring import Claim, Topic, median_seconds, print_topic
from heads.classifiers.mlp import MLPHead, PooledMLP
from heads.training.config import Optimization
from heads.training.dropout import Dropout
from heads.training.optimizers import make_optimizer

DIM, LABELS = 3 * 384, 20
SMOOTHING = 0.1


class Stacked(nn.Module):
    """Networks like `PooledMLP`, started as they were: vectors (networks, documents, dim) -> logits of each."""

    def __init__(self, networks: list[PooledMLP], dropout: float) -> None:
        super().__init__()
        layers = [[layer for layer in each.layers if isinstance(layer, nn.Linear)] for each in networks]
        self.matrices = nn.ParameterList(
            nn.Parameter(torch.stack([layer.weight.detach().T for layer in same])) for same in zip(*layers, strict=True)
        )
        self.offsets = nn.ParameterList(
            nn.Parameter(torch.stack([layer.bias.detach() for layer in same])) for same in zip(*layers, strict=True)
        )
        self.dropout = Dropout(dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (networks, documents, labels)."""
        for place, (matrix, offset) in enumerate(zip(self.matrices, self.offsets, strict=True)):
            vectors = torch.baddbmm(offset[:, None], self.dropout(vectors.relu() if place else vectors), matrix)
        return vectors


def one_by_one(networks: list[PooledMLP], vectors: torch.Tensor, truth: torch.Tensor, steps: int) -> Callable[[], None]:
    """What takes so many steps of each network in turn."""
    training = Optimization()
    optimizers = [make_optimizer(each, training.optimizer, training.lr, training.weight_decay) for each in networks]

    def learn() -> None:
        for network, optimizer, read, told in zip(networks, optimizers, vectors, truth, strict=True):
            for _ in range(steps):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network.layers(read), told, label_smoothing=SMOOTHING).backward()  # type: ignore[no-untyped-call]  # torch
                nn.utils.clip_grad_norm_(network.parameters(), training.max_grad_norm)
                optimizer.step()

    return learn


def stacked(networks: list[PooledMLP], vectors: torch.Tensor, truth: torch.Tensor, steps: int) -> Callable[[], None]:
    """What takes so many steps of all networks together; each one's gradient is clipped by its own length."""
    training, network = Optimization(), Stacked(networks, MLPHead().dropout)
    # offsets are matrices here, but no weights: as in one network they do not decay
    optimizer = torch.optim.AdamW(
        [
            {"params": list(network.matrices), "weight_decay": training.weight_decay},
            {"params": list(network.offsets), "weight_decay": 0.0},
        ],
        lr=training.lr,
        fused=True,
    )

    def learn() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            scores = network(vectors).flatten(0, 1)
            loss = nn.functional.cross_entropy(scores, truth.flatten(), label_smoothing=SMOOTHING)
            # the mean over documents of each, and the sum of networks
            (loss * len(networks)).backward()  # type: ignore[no-untyped-call]  # torch
            slopes = [weight.grad for weight in network.parameters() if weight.grad is not None]
            length = torch.stack([slope.flatten(1).square().sum(dim=1) for slope in slopes]).sum(dim=0).sqrt()
            share = (training.max_grad_norm / (length + 1e-6)).clamp(max=1)
            for slope in slopes:
                slope.mul_(share.view(-1, *[1] * (slope.dim() - 1)))
            optimizer.step()

    return learn


def made(count: int) -> tuple[list[PooledMLP], torch.Tensor, torch.Tensor]:
    """Networks, a batch for each, float32 (networks, documents, DIM), and its labels, int64 (networks, documents)."""
    torch.manual_seed(0)
    batch = Optimization().batch_size
    networks = [MLPHead().build(DIM, LABELS) for _ in range(count)]
    assert all(isinstance(each, PooledMLP) for each in networks)
    vectors, truth = torch.randn(count, batch, DIM), torch.randint(LABELS, (count, batch))
    return [each for each in networks if isinstance(each, PooledMLP)], vectors, truth


def measured(count: int, threads: int, steps: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of a step of one network: after one another, and stacked."""
    torch.set_num_threads(threads)
    ways = {"one by one": one_by_one(*made(count), steps), "stacked": stacked(*made(count), steps)}
    for way in ways.values():
        way()  # the first one sets up memory
    took = median_seconds(ways, rounds)
    alone, together = (1000 * took[name] / (steps * count) for name in ways)
    return alone, together


@click.command()
@click.option("--networks", "counts", type=click.IntRange(2), multiple=True, default=(5, 10), show_default=True)
@click.option("--threads", "lanes", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A claim a line.")
def main(counts: tuple[int, ...], lanes: tuple[int, ...], steps: int, rounds: int, as_json: bool) -> None:
    """Print the table."""
    rows, claims = [["networks", "threads", "one by one, ms a step", "stacked", "times as fast"]], []
    for count in counts:
        for threads in lanes:
            alone, together = measured(count, threads, steps, rounds)
            rows.append([str(count), str(threads), f"{alone:.2f}", f"{together:.2f}", f"{alone / together:.2f}"])
            claims.append(
                Claim(f"{count} networks, {threads} threads: times as fast", alone / together, 1.0, alone > together)
            )
    print_topic(Topic("a step of one network of mlp", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
