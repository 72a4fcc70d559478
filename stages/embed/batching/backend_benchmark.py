"""Which backend: the fastest one installed that agrees with torch on the corpus at hand, tried once a machine."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import cache_folder, write_cache
from data.errors import EmbedOnceError
from featurestore import Recipe
from stages.embed.batching.sample import Sample, estimate_tokens, sample
from stages.embed.encoder.encoder import Encoder
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.network.backends import BACKENDS, is_installed, package_versions
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.window_arrays import Integers

# of what is tried: another number tries anew what a machine remembers
FORMAT = 2
# below this the trial would cost more than it saves
LEAST_TOKENS = 200_000
# of the float32 numbers kept, absolute and relative
TOLERANCE = 1e-4
# a backend has to be so much faster than torch, or torch it is: less is within the noise of a trial
_GAIN = 1.05
_ROUNDS = 3
# a round takes this share of the work at hand, up to so many positions
_SHARE = 1 / 200
_MOST_POSITIONS = 16_384


@dataclass(frozen=True)
class BackendBenchmark:
    """Tokens a second of the backends that agree with torch, and why others were left out."""

    speeds: dict[str, float]
    left_out: dict[str, str]

    @property
    def fastest(self) -> str:
        """The backend to take; torch where no other is faster beyond noise."""
        best = max(self.speeds, key=self.speeds.__getitem__)
        return best if self.speeds[best] >= _GAIN * self.speeds["torch"] else "torch"

    def sentence(self, *, when: str) -> str:
        """What a person should know of it."""
        speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in self.speeds.items())
        others = "".join(f"; not {name}: {reason}" for name, reason in self.left_out.items())
        return f"Backend {self.fastest}, the fastest that agrees with torch, {when} (tokens/s: {speeds}{others})."


def choose_backend(
    texts: Sequence[str], encoder: Encoder, device: str, reopen: Callable[[str], Encoder]
) -> tuple[str, str | None]:
    """The backend for `texts`, and a sentence that says why, where there was a choice.

    encoder: in torch. reopen: a backend -> the same encoder with it.
    """
    others = [name for name in BACKENDS if name != "torch" and is_installed(name)]
    if encoder.recipe.precision != "float32" or not others or resolve_device(device) != "cpu":
        return "torch", None
    key = _key(encoder.recipe, others)
    known = _remembered(key)
    if known is not None:
        return known.fastest, known.sentence(when="as tried on this machine before")
    tokens = estimate_tokens(texts, encoder)
    if tokens < LEAST_TOKENS:
        return "torch", f"Backend torch: with about {tokens:,} tokens, trying {' and '.join(others)} would not pay."
    trial = benchmark_backends(
        texts, encoder, [reopen(name) for name in others], min(int(tokens * _SHARE), _MOST_POSITIONS)
    )
    _remember(key, trial)
    return trial.fastest, trial.sentence(when="as tried on this corpus")


def benchmark_backends(
    texts: Sequence[str], reference: Encoder, others: Sequence[Encoder], positions: int
) -> BackendBenchmark:
    """Run all on one sample of about so many positions; a backend that fails or differs is left out."""
    tried = sample(texts, reference, positions)
    batches = list(tried.batches(reference))  # each may have a budget of its own: these are for comparing
    expected, agreeing, left_out = _run(reference, tried, batches), [reference], {}
    for encoder in others:
        try:
            differs = _difference(_run(encoder, tried, batches), expected)
        except EmbedOnceError as error:
            differs = str(error)
        if differs:
            left_out[encoder.recipe.backend] = differs
        else:
            agreeing.append(encoder)
    seconds = {encoder.recipe.backend: float("inf") for encoder in agreeing}
    for _ in range(_ROUNDS):  # in turns, so that what else the machine does falls on all
        for encoder in agreeing:
            started = time.perf_counter()
            _run(encoder, tried, tried.batches(encoder))
            name = encoder.recipe.backend
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return BackendBenchmark({name: tried.tokens / best for name, best in seconds.items()}, left_out)


def _run(encoder: Encoder, tried: Sample, batches: Iterable[Integers]) -> list[dict[str, NDArray[np.float32]]]:
    return [encoder.encode_batch(tried.windows, rows) for rows in batches]


def _difference(
    found: Sequence[dict[str, NDArray[np.float32]]], expected: Sequence[dict[str, NDArray[np.float32]]]
) -> str:
    """ "" where all numbers agree with torch's."""
    pairs = [(one[name], other[name]) for one, other in zip(found, expected, strict=True) for name in other]
    if all(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in pairs):
        return ""
    return f"its numbers are up to {max(float(np.abs(one - other).max()) for one, other in pairs):.1g} from torch's"


def _key(recipe: Recipe, others: Sequence[str]) -> str:
    """Of all that the answer depends on: the machine, its threads, the encoder, the versions of the programs."""
    import torch

    machine = [platform.node(), platform.machine(), platform.processor(), torch.get_num_threads()]
    encoder = [recipe.weights, recipe.config, list(recipe.layers), recipe.window]
    return hashlib.sha256(
        canonical_json([FORMAT, machine, encoder, {name: package_versions(name) for name in others}])
    ).hexdigest()


def _path(key: str) -> Path:
    return cache_folder() / "trials" / f"{key}.json"


def _remembered(key: str) -> BackendBenchmark | None:
    try:
        content: dict[str, Any] = json.loads(_path(key).read_text(encoding="utf-8"))
        speeds = {str(name): float(speed) for name, speed in content["speeds"].items() if name in BACKENDS}
        left_out = {str(name): str(reason) for name, reason in content["left_out"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return BackendBenchmark(speeds, left_out) if "torch" in speeds else None


def _remember(key: str, trial: BackendBenchmark) -> None:
    path = _path(key)
    # if the cache cannot be written, the backends are measured again next time
    write_cache(path, json.dumps({"speeds": trial.speeds, "left_out": trial.left_out}).encode())
