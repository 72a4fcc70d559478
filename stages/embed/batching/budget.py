"""The token budget of a batch: requested, remembered, or tuned on the corpus; halved when memory runs out."""

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
from stages.embed.batching.token_batches import CPU_BATCH_COST, GPU_BATCH_COST, split_into_batches
from stages.embed.encoder.encoder import Encoder
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.window_arrays import Integers

# the caches of a CPU hold the batches of small budgets; only large batches use a GPU fully
CPU_DEFAULT = 4096
CPU_CANDIDATES = (1024, 2048, 4096, 8192, 16384)
GPU_DEFAULT = 65_536
GPU_CANDIDATES = (16_384, 32_768, 65_536, 131_072)
# a smaller budget needs less memory: it is chosen if it is slower by at most this factor
_TOLERATED_SLOWDOWN = 1.02
_ROUNDS = 3
_NO_MEMORY = re.compile(r"out of memory|allocate memory|not enough memory|bad[_ ]alloc", re.IGNORECASE)


class BatchStrategy(Protocol):
    """Splits windows into batches, and reacts to a batch that did not fit into memory.

    is_timed: whether it measures how long each batch takes, so that batches must not overlap.
    """

    is_timed: bool

    def split(self, positions: Integers) -> Iterator[Integers]:
        """Rows of windows, one batch at a time; see `split_into_batches`."""

    def halve(self, positions: int) -> None:
        """Use smaller batches: the last one, of `positions` with padding, did not fit into memory."""


class TokenBudget:
    """Batches of at most `positions` positions, padding included.

    cost: fixed cost per batch, see `split_into_batches`. halvings: how often memory ran out.
    """

    is_timed = False

    def __init__(self, positions: int, cost: float = CPU_BATCH_COST) -> None:
        self.positions = positions
        self.cost = cost
        self.halvings = 0

    def split(self, positions: Integers) -> Iterator[Integers]:
        """Batches within the budget."""
        return split_into_batches(positions, self.positions, self.cost)

    def halve(self, positions: int) -> None:
        """Halve the budget, or the batch that did not fit if that is smaller."""
        self.positions = max(min(self.positions, positions // 2), 1)
        self.halvings += 1


class BudgetTuner:
    """Compares several budgets on one slice; the vectors that it computes are kept, so tuning costs next to nothing.

    Windows are dealt to the budgets in turn, longest first, so that every budget gets the same lengths. Each budget has
    several turns in random order, and its fastest counts. A turn has at least as many positions as the largest budget.
    """

    is_timed = True

    def __init__(self, budget: TokenBudget, candidates: tuple[int, ...] | None = None) -> None:
        self._budget = budget
        self._candidates = candidates or CPU_CANDIDATES
        self._current = budget.positions
        self._rates: dict[int, float] = {}

    def split(self, positions: Integers) -> Iterator[Integers]:
        """Batches of each budget in turn; of the current budget if the slice is too small to compare two."""
        total = int(positions.sum())
        compared = [budget for rank, budget in enumerate(self._candidates, start=1) if rank * budget <= total]
        if len(compared) < 2:
            self._current = self._budget.positions
            yield from self._budget.split(positions)
            return
        turns = compared * min(total // (len(compared) * compared[-1]), _ROUNDS)
        order = np.argsort(-positions, kind="stable")
        dealt = list(zip(turns, (order[first :: len(turns)] for first in range(len(turns))), strict=True))
        random.shuffle(dealt)
        for self._current, rows in dealt:
            started = time.perf_counter()
            for batch in split_into_batches(positions[rows], self._current, self._budget.cost):
                yield rows[batch]
            rate = float(positions[rows].sum()) / (time.perf_counter() - started)
            self._rates[self._current] = max(rate, self._rates.get(self._current, 0.0))

    def halve(self, positions: int) -> None:
        """From now on compare only smaller budgets."""
        self._candidates = tuple(budget for budget in self._candidates if budget < self._current)
        self._rates = {budget: rate for budget, rate in self._rates.items() if budget < self._current}
        self._budget.halve(min(positions, self._current))

    def apply_fastest(self) -> bool:
        """Set the budget to the smallest that is about as fast as the fastest; False if none was measured."""
        if not self._rates:
            return False
        enough = max(self._rates.values()) / _TOLERATED_SLOWDOWN
        self._budget.positions = min(budget for budget, rate in self._rates.items() if rate >= enough)
        return True


class BudgetSelection:
    """The budget of one run: the requested or remembered one, else one that is tuned once while the run goes on."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.budget = create_budget(encoder)
        self.needs_tuning = find_known_budget(encoder) is None
        self.candidates = candidate_budgets(encoder)

    def start_tuning(self) -> BudgetTuner:
        """A tuner for the next slice; each run has one."""
        self.needs_tuning = False
        return BudgetTuner(self.budget, self.candidates)

    def finish_tuning(self, tuner: BudgetTuner) -> None:
        """Use and save the budget that `tuner` found fastest, if it measured any."""
        if tuner.apply_fastest():
            save_budget(self._encoder, self.budget.positions)

    def save_halved(self) -> None:
        """Save the budget if memory ran out, unless the user requested a budget."""
        if self.budget.halvings and self._encoder.batch_tokens is None:
            save_budget(self._encoder, self.budget.positions)


def candidate_budgets(encoder: Encoder) -> tuple[int, ...]:
    """Budgets that are worth comparing on the encoder's device."""
    return GPU_CANDIDATES if encoder.is_asynchronous else CPU_CANDIDATES


def create_budget(encoder: Encoder) -> TokenBudget:
    """The requested or remembered budget, else the default of the encoder's device."""
    default, cost = (GPU_DEFAULT, GPU_BATCH_COST) if encoder.is_asynchronous else (CPU_DEFAULT, CPU_BATCH_COST)
    return TokenBudget(find_known_budget(encoder) or default, cost)


def find_known_budget(encoder: Encoder) -> int | None:
    """The requested budget, or the one that an earlier run saved on this machine; None if there is neither."""
    if encoder.batch_tokens is not None:
        return encoder.batch_tokens
    try:
        budget = json.loads(_cache_path(encoder).read_text())["budget"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return budget if type(budget) is int and 1 <= budget <= 2**24 else None


def save_budget(encoder: Encoder, positions: int) -> None:
    """Save a budget in the user's cache; a cache that cannot be written is not used."""
    write_cache(_cache_path(encoder), json.dumps({"budget": positions}).encode())


def _cache_path(encoder: Encoder) -> Path:
    """One file per encoder, precision and window length on each device."""
    import torch

    device = resolve_device(encoder.device)
    machine: list[object] = [platform.node(), platform.machine(), os.cpu_count(), torch.get_num_threads()]
    if device.startswith("cuda"):
        machine = [torch.cuda.get_device_name(device)]
    recipe = encoder.recipe
    key = [recipe.weights, recipe.precision, recipe.backend, recipe.window, device, *machine]
    return cache_folder() / "budgets" / f"{hashlib.sha256(canonical_json(key)).hexdigest()[:16]}.json"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that a batch was too large; torch, ONNX Runtime and NumPy each raise their own."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def empty_gpu_cache() -> None:
    """Return the GPU memory that torch keeps for later allocations to the GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
