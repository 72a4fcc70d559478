"""Chooses a backend and, on CPUs with instructions for bfloat16, a number type: the fastest that stays near to torch.

A trial on a sample of the corpus, once per machine and encoder. Another backend has to give the values of torch.
Another number type has to be much faster, and its distance to float32 is measured.
"""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import cache_folder, write_cache
from data.devices import computes_bfloat16_well
from data.errors import EmbedOnceError
from data.text_format import join_words
from featurestore import Recipe
from stages.embed.batching.float32_similarity import compare_mean_vectors
from stages.embed.batching.sample import Sample, draw_sample, estimate_tokens
from stages.embed.encoder.encoder import Encoder
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.network.backends import (
    AUTO,
    BACKENDS,
    BFLOAT16,
    FLOAT32,
    PRECISIONS,
    is_installed,
    package_versions,
)
from stages.embed.network.static import StaticNetwork
from stages.embed.network.torch_network import resolve_device
from stages.embed.windows.window_arrays import Integers

# of the benchmark: with another number, results that a machine has saved are measured again
FORMAT = 4
# for a smaller corpus the benchmark would cost more than it saves
LEAST_TOKENS = 200_000
# of the float32 values kept, absolute and relative
TOLERANCE = 1e-4
# the mean cosine similarity with float32 that another number type must have
LEAST_SIMILARITY = 0.999
# another backend has to be faster than torch by this factor: less is within the noise of the benchmark
_LEAST_SPEEDUP = 1.05
# another number type has to be faster than the fastest float32 by this factor: less is not worth its error
_LEAST_PRECISION_SPEEDUP = 1.2
_ROUNDS = 3
# one round encodes this share of the corpus, at most this many positions
_SHARE = 1 / 200
_MOST_POSITIONS = 16_384

Vectors = list[dict[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class Variant:
    """A backend, and the number type that it computes in."""

    backend: str
    precision: str = FLOAT32

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """The variant of a recipe."""
        return cls(recipe.backend, recipe.precision)

    @classmethod
    def parse(cls, name: str) -> Self:
        """The variant of a name; raises ValueError for a name that is none."""
        backend, _, precision = name.partition(" in ")
        variant = cls(backend, precision or FLOAT32)
        if variant.precision not in PRECISIONS.get(backend, ()):
            raise ValueError(name)
        return variant

    @property
    def name(self) -> str:
        """The name in messages: "torch", or "torch in bfloat16"."""
        return self.backend if self.precision == FLOAT32 else f"{self.backend} in {self.precision}"


@dataclass(frozen=True)
class BackendBenchmark:
    """Tokens per second of the variants by name, the reference first; why others were rejected.

    similarities: mean cosine similarity with float32 of the variants in other number types.
    """

    speeds: dict[str, float]
    rejected: dict[str, str]
    similarities: dict[str, float] = field(default_factory=dict)

    @property
    def fastest(self) -> Variant:
        """The variant to use; the reference unless another one is faster beyond noise, or in bfloat16 much faster."""
        exact = self._fastest_exact
        best = max(self.speeds, key=self.speeds.__getitem__)
        pays = self.speeds[best] >= _LEAST_PRECISION_SPEEDUP * self.speeds[exact]
        return Variant.parse(best if pays else exact)

    @property
    def _fastest_exact(self) -> str:
        reference, *_ = self.speeds
        best = max((name for name in self.speeds if name in BACKENDS), key=self.speeds.__getitem__)
        return best if self.speeds[best] >= _LEAST_SPEEDUP * self.speeds[reference] else reference

    def describe(self, *, measured: str) -> str:
        """One or two sentences for the user. measured: on what, or when."""
        speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in self.speeds.items())
        others = "".join(f"; not {name}: {reason}" for name, reason in self.rejected.items())
        fastest, (reference, *_) = self.fastest, self.speeds
        numbers = f"{measured} (tokens/s: {speeds}{others})."
        if fastest.precision == FLOAT32:
            least = f" in float32, as bfloat16 is not {_LEAST_PRECISION_SPEEDUP} times as fast"
            kind = least if self.similarities else ""
            return f"Backend {fastest.backend}{kind}: the fastest that agrees with {reference}, {numbers}"
        speedup = self.speeds[fastest.name] / self.speeds[self._fastest_exact]
        return (
            f"Backend {fastest.name}: {speedup:.1f} times as fast as float32, with a mean cosine similarity of "
            f"{self.similarities[fastest.name]:.5f}, {numbers} --precision float32 is exact, but slower."
        )


def variants_to_compare(encoder: Encoder, *, backend: str, precision: str) -> list[Variant]:
    """What the options leave open on this machine, in addition to the encoder's own variant.

    Args:
        encoder: in float32; its backend is the reference.
        backend: as requested; "auto" stands for all that are installed.
        precision: as requested; "auto" stands for float32 and, on a CPU with instructions for it, bfloat16.

    Returns:
        The other variants; none if there is no choice.
    """
    reference = Variant.of(encoder.recipe)
    if reference.precision != FLOAT32 or resolve_device(encoder.device) != "cpu":
        return []
    backends = [name for name in BACKENDS if is_installed(name)] if backend == AUTO else [reference.backend]
    precisions = [FLOAT32, BFLOAT16] if precision == AUTO and computes_bfloat16_well("cpu") else [FLOAT32]
    variants = [Variant(name, kind) for kind in precisions for name in backends if kind in PRECISIONS[name]]
    return [variant for variant in variants if variant != reference]


def choose_variant(
    texts: Sequence[str],
    encoder: Encoder,
    others: Sequence[Variant],
    reopen: Callable[[Variant], Encoder],
    share: float = 1.0,
) -> tuple[Variant, str]:
    """Choose the backend and the number type for a corpus.

    Args:
        texts: the texts of the corpus or some of them, of which a sample is encoded.
        encoder: the encoder in float32.
        others: what `variants_to_compare` returned, at least one.
        reopen: a function from a variant to the same encoder in it.
        share: how much of the corpus `texts` are, above 0: the rest of it will be in the same store, and so in the same
            variant.

    Returns:
        The variant, and a sentence that gives the reason.
    """
    reference = Variant.of(encoder.recipe)
    path = _cache_path(encoder.recipe, others)
    saved = _read_benchmark(path, reference)
    if saved is not None:
        return saved.fastest, saved.describe(measured="measured earlier on this machine")
    tokens, names = estimate_tokens(texts, encoder), join_words([variant.name for variant in others])
    positions = min(int(tokens / share * _SHARE), _MOST_POSITIONS)
    if tokens / share < LEAST_TOKENS or tokens < positions:
        return reference, f"Backend {reference.name}: for about {tokens:,} tokens it does not pay to try {names}."
    benchmark = benchmark_variants(texts, encoder, [reopen(variant) for variant in others], positions)
    # if the cache cannot be written, the variants are measured again next time
    write_cache(path, json.dumps(asdict(benchmark)).encode())
    return benchmark.fastest, benchmark.describe(measured="measured on this corpus")


def benchmark_variants(
    texts: Sequence[str], reference: Encoder, others: Sequence[Encoder], positions: int
) -> BackendBenchmark:
    """Time several variants on one sample.

    Args:
        texts: the corpus that the sample is drawn from.
        reference: the encoder in float32, with which the others have to agree.
        others: the same encoder in other variants; one that fails or differs is rejected.
        positions: about how many positions the sample has.
    """
    sample = draw_sample(texts, reference, positions)
    # an encoder may have a budget of its own, but values are compared batch by batch
    batches = list(sample.split_into_batches(reference))
    expected, agreeing = _encode(reference, sample, batches), {Variant.of(reference.recipe).name: reference}
    similarities, rejected = dict[str, float](), dict[str, str]()
    for encoder in others:
        name = Variant.of(encoder.recipe).name
        try:
            actual = _encode(encoder, sample, batches)
        except EmbedOnceError as error:
            rejected[name] = str(error)
            continue
        if encoder.recipe.precision != FLOAT32:
            similarities[name] = _mean_similarity(actual, expected)
        if reason := _reject(encoder, actual, expected, similarities.get(name)):
            rejected[name] = reason
        else:
            agreeing[name] = encoder
    return BackendBenchmark(_measure_speeds(agreeing, sample), rejected, similarities)


def _measure_speeds(encoders: Mapping[str, Encoder], sample: Sample) -> dict[str, float]:
    """Tokens per second of each encoder; its fastest round counts."""
    seconds = dict.fromkeys(encoders, float("inf"))
    for _ in range(_ROUNDS):  # alternating, so that other load on the machine affects all alike
        for name, encoder in encoders.items():
            started = time.perf_counter()
            _encode(encoder, sample, sample.split_into_batches(encoder))
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return {name: sample.tokens / best for name, best in seconds.items()}


def _encode(encoder: Encoder, sample: Sample, batches: Iterable[Integers]) -> Vectors:
    return [encoder.encode_batch(sample.windows, rows) for rows in batches]


def _mean_similarity(batches: Vectors, expected: Vectors) -> float:
    pairs = zip(batches, expected, strict=True)
    similarity = compare_mean_vectors((one["mean"], other["mean"]) for one, other in pairs)
    return similarity.mean if similarity else 1.0


def _reject(encoder: Encoder, batches: Vectors, expected: Vectors, similarity: float | None) -> str:
    """Why an encoder cannot be chosen; "" if it can. similarity: with float32, None for an encoder in float32."""
    if similarity is None:
        return _describe_difference(batches, expected)
    if isinstance(encoder.network, StaticNetwork):
        return "a static model computes in the number type of its file"
    return "" if similarity >= LEAST_SIMILARITY else f"its mean cosine similarity with float32 is {similarity:.4f}"


def _describe_difference(batches: Vectors, expected: Vectors) -> str:
    """How far the values are from the reference's; "" if all agree."""
    pairs = [(one[name], other[name]) for one, other in zip(batches, expected, strict=True) for name in other]
    if all(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in pairs):
        return ""
    largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    return f"its values differ from torch's by up to {largest:.1g}"


def _cache_path(recipe: Recipe, others: Sequence[Variant]) -> Path:
    """One file per machine, number of threads, encoder, and versions of the packages: the result depends on all."""
    import torch

    machine = [platform.node(), platform.machine(), platform.processor(), torch.get_num_threads()]
    encoder = [recipe.weights, recipe.config, list(recipe.layers), recipe.window, recipe.backend]
    key = [FORMAT, machine, encoder, {variant.name: package_versions(variant.backend) for variant in others}]
    return cache_folder() / "backend_benchmarks" / f"{hashlib.sha256(canonical_json(key)).hexdigest()}.json"


def _read_benchmark(path: Path, reference: Variant) -> BackendBenchmark | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        speeds = {Variant.parse(name).name: float(speed) for name, speed in content["speeds"].items()}
        rejected = {str(name): str(reason) for name, reason in content["rejected"].items()}
        similarities = {str(name): float(value) for name, value in content["similarities"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    is_complete = next(iter(speeds), None) == reference.name
    return BackendBenchmark(speeds, rejected, similarities) if is_complete else None
