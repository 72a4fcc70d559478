"""An encoder whose vectors a test can compute by hand, and which counts its batches."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from data.documents import Corpus, Document
from stages.embed import Encoder


class CountingNetwork:
    """A network whose vector at a position is (token id, position, 1, 0, ...).

    batches: the shape of each batch so far. seconds: how long a batch takes. interrupt_after: the number of batches
    after which it raises KeyboardInterrupt.
    """

    def __init__(self, dim: int, seconds: float = 0.0, interrupt_after: int | None = None) -> None:
        self.dim = dim
        self.seconds = seconds
        self.interrupt_after = interrupt_after
        self.batches: list[tuple[int, int]] = []
        self.windows = 0

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        if len(self.batches) == self.interrupt_after:
            raise KeyboardInterrupt
        time.sleep(self.seconds)
        self.batches.append((ids.shape[0], ids.shape[1]))
        self.windows += len(ids)
        hidden = torch.zeros(*ids.shape, self.dim)
        hidden[..., 0] = ids
        hidden[..., 1] = torch.arange(ids.shape[1])
        hidden[..., 2] = 1
        return [hidden]


def counting(encoder: Encoder, **options: Any) -> tuple[Encoder, CountingNetwork]:
    """`encoder` with a counting network instead of its own."""
    network = CountingNetwork(encoder.dim, **options)
    return replace(encoder, open_network=lambda _: network), network


def corpus(texts: Sequence[str], name: str = "sample") -> Corpus:
    """A single-label corpus with the labels "no" and "yes" in turn."""
    documents = [Document(f"d{row}", text, ("yes" if row % 2 else "no",), "train") for row, text in enumerate(texts)]
    return Corpus(name, f"{name}.csv", documents, "single", None, ())
