"""How many positions a batch has: as asked, as remembered, or as a trial on the corpus itself finds; less where memory
runs out."""

import hashlib
import json
import os
import platform
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from data.atomic_write import cache_folder, write_cache
from stages.embed.batching.token_batches import CPU_BATCH_COST, GPU_BATCH_COST, batches
from stages.embed.encoder.encoder import Encoder
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.window_arrays import Integers

# a processor's caches hold the batches of small budgets; a card is filled by large ones alone
DEFAULT = 4096
CANDIDATES = (1024, 2048, 4096, 8192, 16384)
GPU_DEFAULT = 65_536
GPU_CANDIDATES = (16_384, 32_768, 65_536, 131_072)
# a smaller budget takes less memory: it may be slower by so much
_NEARLY = 1.02
_ROUNDS = 3
_NO_MEMORY = re.compile(r"out of memory|allocate memory|not enough memory|bad[_ ]alloc", re.IGNORECASE)


class Batching(Protocol):
    """Cuts windows to batches, and is told when one was too large. timed: it measures how long each batch takes."""

    timed: bool

    def batches(self, positions: Integers) -> Iterator[Integers]:
        """Rows of windows that have so many positions, a batch at a time; see `batches`."""

    def halve(self, positions: int) -> None:
        """The last batch, of so many positions with padding, did not fit into memory."""


class Budget:
    """Positions a batch at most, padding included. cost: see `batches`. halved: how often memory ran out."""

    timed = False

    def __init__(self, positions: int, cost: float = CPU_BATCH_COST) -> None:
        self.positions = positions
        self.cost = cost
        self.halvings = 0

    def batches(self, positions: Integers) -> Iterator[Integers]:
        """Batches within the budget."""
        return batches(positions, self.positions, self.cost)

    def halve(self, positions: int) -> None:
        """Half of what was too much from now on."""
        self.positions = max(min(self.positions, positions // 2), 1)
        self.halvings += 1


class BudgetTuner:
    """Several budgets side by side on one slice: what it encodes is kept, so trying costs next to nothing.

    Windows are dealt out like cards, longest first, so that every budget has the same lengths; each has several turns,
    in random order, of which its fastest counts. A turn has as many positions as the largest budget, or more.
    """

    timed = True

    def __init__(self, budget: Budget, candidates: tuple[int, ...] | None = None) -> None:
        self._budget = budget
        self._candidates = candidates or CANDIDATES
        self._running = budget.positions
        self._rates: dict[int, float] = {}

    def batches(self, positions: Integers) -> Iterator[Integers]:
        """Batches of each budget in turn; of the one at hand where the slice is too small for two to be tried."""
        total = int(positions.sum())
        tried = [budget for place, budget in enumerate(self._candidates) if (place + 1) * budget <= total]
        if len(tried) < 2:
            self._running = self._budget.positions
            yield from self._budget.batches(positions)
            return
        turns = tried * min(total // (len(tried) * tried[-1]), _ROUNDS)
        order = np.argsort(-positions, kind="stable")
        dealt = list(zip(turns, (order[first :: len(turns)] for first in range(len(turns))), strict=True))
        random.shuffle(dealt)
        for self._running, rows in dealt:
            started = time.perf_counter()
            for batch in batches(positions[rows], self._running, self._budget.cost):
                yield rows[batch]
            rate = float(positions[rows].sum()) / (time.perf_counter() - started)
            self._rates[self._running] = max(rate, self._rates.get(self._running, 0.0))

    def halve(self, positions: int) -> None:
        """Only smaller ones are tried from now on."""
        self._candidates = tuple(budget for budget in self._candidates if budget < self._running)
        self._rates = {budget: rate for budget, rate in self._rates.items() if budget < self._running}
        self._budget.halve(min(positions, self._running))

    def settle(self) -> bool:
        """Give the budget the fastest of those tried, or the smallest that nearly is; False where none was."""
        if not self._rates:
            return False
        enough = max(self._rates.values()) / _NEARLY
        self._budget.positions = min(budget for budget, rate in self._rates.items() if rate >= enough)
        return True


def candidates(encoder: Encoder) -> tuple[int, ...]:
    """Budgets worth trying on the encoder's device."""
    return GPU_CANDIDATES if encoder.is_asynchronous else CANDIDATES


def create_budget(encoder: Encoder) -> Budget:
    """As asked or remembered; the usual one of the encoder's device where there is none."""
    usual, cost = (GPU_DEFAULT, GPU_BATCH_COST) if encoder.is_asynchronous else (DEFAULT, CPU_BATCH_COST)
    return Budget(find_known_budget(encoder) or usual, cost)


def find_known_budget(encoder: Encoder) -> int | None:
    """The budget asked for, or what a trial found here before; None where there was none."""
    if encoder.batch_tokens is not None:
        return encoder.batch_tokens
    try:
        found = json.loads(_place(encoder).read_text())["budget"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if type(found) is int and 1 <= found <= 2**24 else None


def save_budget(encoder: Encoder, positions: int) -> None:
    """Keep what a trial found in the user's cache; a cache that cannot be written to is done without."""
    write_cache(_place(encoder), json.dumps({"budget": positions}).encode())


def _place(encoder: Encoder) -> Path:
    """A file for each encoder, precision and length of windows on each device."""
    import torch

    device = resolve_device(encoder.device)
    machine: list[object] = [platform.node(), platform.machine(), os.cpu_count(), torch.get_num_threads()]
    if device.startswith("cuda"):
        machine = [torch.cuda.get_device_name(device)]
    recipe = encoder.recipe
    about = [recipe.weights, recipe.precision, recipe.backend, recipe.window, device, *machine]
    return cache_folder() / "budgets" / f"{hashlib.sha256(canonical_json(about)).hexdigest()[:16]}.json"


def is_out_of_memory(error: Exception) -> bool:
    """Whether a library says that a batch was too large; torch, ONNX Runtime and NumPy each have their own error."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def empty_gpu_cache() -> None:
    """What torch keeps of a device's memory for later goes back to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
