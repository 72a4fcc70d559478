"""Chooses a backend: the fastest installed one that agrees with torch on the corpus; measured once per machine."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import cache_folder, write_cache
from data.errors import EmbedOnceError
from data.text_format import join_words
from featurestore import Recipe
from stages.embed.batching.sample import Sample, draw_sample, estimate_tokens
from stages.embed.encoder.encoder import Encoder
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.network.backends import BACKENDS, is_installed, package_versions
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.window_arrays import Integers

# of the benchmark: with another number, results that a machine has saved are measured again
FORMAT = 3
# for a smaller corpus the benchmark would cost more than it saves
LEAST_TOKENS = 200_000
# of the float32 values kept, absolute and relative
TOLERANCE = 1e-4
# another backend has to be faster than torch by this factor: less is within the noise of the benchmark
_LEAST_SPEEDUP = 1.05
_ROUNDS = 3
# one round encodes this share of the corpus, at most this many positions
_SHARE = 1 / 200
_MOST_POSITIONS = 16_384


@dataclass(frozen=True)
class BackendBenchmark:
    """Tokens per second of the backends that agree with torch, and why others were rejected."""

    speeds: dict[str, float]
    rejected: dict[str, str]

    @property
    def fastest(self) -> str:
        """The backend to use; torch unless another one is faster beyond noise."""
        best = max(self.speeds, key=self.speeds.__getitem__)
        return best if self.speeds[best] >= _LEAST_SPEEDUP * self.speeds["torch"] else "torch"

    def describe(self, *, measured: str) -> str:
        """One sentence for the user. measured: on what, or when."""
        speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in self.speeds.items())
        others = "".join(f"; not {name}: {reason}" for name, reason in self.rejected.items())
        return f"Backend {self.fastest}: the fastest that agrees with torch, {measured} (tokens/s: {speeds}{others})."


def choose_backend(
    texts: Sequence[str], encoder: Encoder, device: str, reopen: Callable[[str], Encoder]
) -> tuple[str, str | None]:
    """Choose the backend for a corpus.

    Args:
        texts: the texts of the corpus, of which a sample is encoded.
        encoder: the encoder in torch.
        device: the requested device, "auto" or a name of torch's.
        reopen: a function from a backend's name to the same encoder in that backend.

    Returns:
        The backend, and a sentence that gives the reason if there was a choice.
    """
    others = [name for name in BACKENDS if name != "torch" and is_installed(name)]
    if encoder.recipe.precision != "float32" or not others or resolve_device(device) != "cpu":
        return "torch", None
    path = _cache_path(encoder.recipe, others)
    saved = _read_benchmark(path)
    if saved is not None:
        return saved.fastest, saved.describe(measured="measured earlier on this machine")
    tokens = estimate_tokens(texts, encoder)
    if tokens < LEAST_TOKENS:
        return "torch", f"Backend torch: for about {tokens:,} tokens it does not pay to try {join_words(others)}."
    positions = min(int(tokens * _SHARE), _MOST_POSITIONS)
    benchmark = benchmark_backends(texts, encoder, [reopen(name) for name in others], positions)
    # if the cache cannot be written, the backends are measured again next time
    write_cache(path, json.dumps(asdict(benchmark)).encode())
    return benchmark.fastest, benchmark.describe(measured="measured on this corpus")


def benchmark_backends(
    texts: Sequence[str], reference: Encoder, others: Sequence[Encoder], positions: int
) -> BackendBenchmark:
    """Time several backends on one sample.

    Args:
        texts: the corpus that the sample is drawn from.
        reference: the encoder in torch, with which the others have to agree.
        others: the same encoder in other backends; one that fails or differs is rejected.
        positions: about how many positions the sample has.
    """
    sample = draw_sample(texts, reference, positions)
    # an encoder may have a budget of its own, but values are compared batch by batch
    batches = list(sample.split_into_batches(reference))
    expected, agreeing, rejected = _encode(reference, sample, batches), [reference], {}
    for encoder in others:
        try:
            difference = _describe_difference(_encode(encoder, sample, batches), expected)
        except EmbedOnceError as error:
            difference = str(error)
        if difference:
            rejected[encoder.recipe.backend] = difference
        else:
            agreeing.append(encoder)
    seconds = {encoder.recipe.backend: float("inf") for encoder in agreeing}
    for _ in range(_ROUNDS):  # alternating, so that other load on the machine affects all alike
        for encoder in agreeing:
            started = time.perf_counter()
            _encode(encoder, sample, sample.split_into_batches(encoder))
            name = encoder.recipe.backend
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return BackendBenchmark({name: sample.tokens / best for name, best in seconds.items()}, rejected)


def _encode(encoder: Encoder, sample: Sample, batches: Iterable[Integers]) -> list[dict[str, NDArray[np.float32]]]:
    return [encoder.encode_batch(sample.windows, rows) for rows in batches]


def _describe_difference(
    batches: Sequence[dict[str, NDArray[np.float32]]], expected: Sequence[dict[str, NDArray[np.float32]]]
) -> str:
    """How far the values are from torch's; "" if all agree."""
    pairs = [(one[name], other[name]) for one, other in zip(batches, expected, strict=True) for name in other]
    if all(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in pairs):
        return ""
    largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    return f"its values differ from torch's by up to {largest:.1g}"


def _cache_path(recipe: Recipe, others: Sequence[str]) -> Path:
    """One file per machine, number of threads, encoder, and versions of the packages: the result depends on all."""
    import torch

    machine = [platform.node(), platform.machine(), platform.processor(), torch.get_num_threads()]
    encoder = [recipe.weights, recipe.config, list(recipe.layers), recipe.window]
    key = [FORMAT, machine, encoder, {name: package_versions(name) for name in others}]
    return cache_folder() / "backend_benchmarks" / f"{hashlib.sha256(canonical_json(key)).hexdigest()}.json"


def _read_benchmark(path: Path) -> BackendBenchmark | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        speeds = {str(name): float(speed) for name, speed in content["speeds"].items() if name in BACKENDS}
        rejected = {str(name): str(reason) for name, reason in content["rejected"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return BackendBenchmark(speeds, rejected) if "torch" in speeds else None
