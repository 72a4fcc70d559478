"""An encoder whose vectors a test can work out by hand, and which counts what it is given."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from data.documents import Corpus, Document
from stages.embed import Encoder


class CountingNetwork:
    """The vector at a position is (token id, position, 1, 0, ...); `batches` holds the shape of each call.

    seconds: what a batch takes. interrupt_after: batches after which an interrupt comes.
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


def counting(encoder: Encoder, **settings: Any) -> tuple[Encoder, CountingNetwork]:
    """`encoder` with a counting network in the place of its own."""
    network = CountingNetwork(encoder.dim, **settings)
    return replace(encoder, open_network=lambda _: network), network


def corpus(texts: Sequence[str], name: str = "sample") -> Corpus:
    documents = [Document(f"d{row}", text, ("yes" if row % 2 else "no",), "train") for row, text in enumerate(texts)]
    return Corpus(name, f"{name}.csv", documents, "single", None, ())
