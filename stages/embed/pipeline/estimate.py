"""What stage one would do, before it does it: sizes from tokenising everything, time from encoding a sample."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from data.documents import Corpus
from data.errors import RecipeMismatch
from featurestore import FeatureStore, free_memory
from stages.embed.batching.budget import Budget, create_budget
from stages.embed.encoder.encoder import Encoder
from stages.embed.network.torch_network import resolve_device
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.encode_slice import encode_slice
from stages.embed.pipeline.length_buckets import iter_length_buckets
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart
from stages.embed.windows.window_arrays import Integers, Windows

SAMPLE_SECONDS = 10.0
SAMPLE_DOCUMENTS = 512
SAMPLE_CHARACTERS = 1_000_000
_CHUNKS = ("cls", "mean", "max")
# a head's copy of what it reads, and the one that is made while it is put together
_COPIES = 2


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What `embed` would do.

    documents: rows of the corpus, or of the part. distinct: texts among them; already_stored: those that the store has.
    tokens, windows: of the distinct texts; dropped_tokens: those of them in no window, dropped_share: of all tokens.
    bytes: that the store would grow by. head_bytes: the largest that a head holds of the whole corpus;
    memory: bytes free on this machine now, None where it does not say; fits: whether a head has room, None with memory.
    device: where the sample was encoded. sample_windows: how many were timed. tokens_per_second: the documents' own.
    seconds: for what is left to encode, tokenising included; None where nothing was left to sample.
    """

    documents: int
    distinct: int
    already_stored: int
    tokens: int
    windows: int
    dropped_tokens: int
    dropped_share: float
    bytes: int
    head_bytes: int
    memory: int | None
    fits: bool | None
    device: str
    sample_windows: int
    tokens_per_second: float
    seconds: float | None

    def on(self, devices: Sequence[str]) -> Self:
        """The same with a process on each device, of which the first was timed; processors share their cores."""
        if len(devices) == 1:
            return self
        times = max(len(set(devices)), 1)
        seconds = None if self.seconds is None else self.seconds / times
        return replace(
            self, device=",".join(devices), tokens_per_second=times * self.tokens_per_second, seconds=seconds
        )

    def to_json(self) -> dict[str, Any]:
        """Every figure by its name."""
        return asdict(self)


@dataclass(frozen=True)
class _Sizes:
    """Sums over documents. positions: what the encoder reads, special tokens included."""

    tokens: int = 0
    dropped: int = 0
    windows: int = 0
    positions: int = 0
    bytes: int = 0
    head_bytes: int = 0

    @classmethod
    def of(cls, windows: Windows, encoder: Encoder) -> Self:
        """Of some documents. Bytes as layout.py lays them out, without each shard's few kilobytes of its own."""
        recipe, count = encoder.recipe, len(windows.length)
        vectors = {name: int(encoder.pooling.vector_counts(name, windows.length).sum()) for name in recipe.keep}
        number = 4 if recipe.dtype == "float32" else 2
        read = 2 if recipe.dtype == "float16" else 4
        held = {name: amount for name, amount in vectors.items() if name not in _CHUNKS}
        held["chunks"] = sum(vectors[name] for name in _CHUNKS if name in vectors)
        work, around = int(windows.length.sum()), 16 * count + 64 * len(windows)
        return cls(
            tokens=int(windows.tokens.sum()),
            dropped=int(windows.dropped.sum()),
            windows=count,
            positions=work + count * encoder.extra_positions,
            bytes=sum(vectors.values()) * number * encoder.dim * len(recipe.layers) + 4 * work + around,
            head_bytes=max(held.values()) * read * encoder.dim * len(recipe.layers),
        )

    def __add__(self, other: "_Sizes") -> "_Sizes":
        mine, others = asdict(self), asdict(other)
        return _Sizes(**{name: mine[name] + others[name] for name in mine})


def estimate(corpus: Corpus, encoder: Encoder, store: FeatureStore | None, part: CorpusPart = WHOLE_CORPUS) -> Estimate:
    """Tokenise everything, and encode a random sample of the texts that `store` lacks for ten seconds or less.

    Nothing is written. store: None where there is none yet. Raises RecipeMismatch for a store of another recipe.
    """
    if store is not None and (differences := store.recipe.differences(encoder.recipe)):
        raise RecipeMismatch(f"{store.name}: {'; '.join(differences)}. Name another --store.")
    texts = DistinctTexts.of(corpus, part)
    missing = texts.missing(store)
    lacking = set(texts.keys[missing])
    started = time.perf_counter()
    whole = left = _Sizes()
    for pool in iter_length_buckets(texts.pairs(texts.rows), encoder):
        rows = np.array([row for row, key in enumerate(pool.keys) if key in lacking], dtype=np.int64)
        whole, left = whole + _Sizes.of(pool.windows, encoder), left + _Sizes.of(pool.windows.select(rows), encoder)
    tokenising = time.perf_counter() - started
    sample = _sample(texts.texts(missing), encoder)
    memory = free_memory()
    return Estimate(
        documents=int(texts.inside.sum()),
        distinct=len(texts.rows),
        already_stored=len(texts.rows) - len(missing),
        tokens=whole.tokens,
        windows=whole.windows,
        dropped_tokens=whole.dropped,
        dropped_share=whole.dropped / max(whole.tokens, 1),
        bytes=left.bytes,
        head_bytes=whole.head_bytes,
        memory=memory,
        fits=None if memory is None else _COPIES * whole.head_bytes <= memory,
        device=resolve_device(encoder.device),
        sample_windows=sample.windows,
        tokens_per_second=sample.tokens / sample.seconds if sample.seconds else 0.0,
        seconds=(
            left.positions * sample.seconds / sample.positions + tokenising * len(missing) / len(texts.rows)
            if sample.positions
            else None
        ),
    )


@dataclass
class _Sample:
    windows: int = 0
    tokens: int = 0
    positions: int = 0
    seconds: float = 0.0
    batches: int = 0

    def batch_done(self, windows: int, tokens: int, positions: int, padded: int, seconds: float) -> None:  # noqa: ARG002
        self.batches += 1
        if self.batches == 2:  # the first batch also pays for what a device sets up once
            self.windows = self.tokens = self.positions = 0
            self.seconds = 0.0
        self.windows += windows
        self.tokens += tokens
        self.positions += positions
        self.seconds += seconds


class _Mixed(Budget):
    """Batches of all lengths in random order, so that a sample cut short is one of all."""

    def batches(self, positions: Integers) -> Iterator[Integers]:
        cut = list(super().batches(positions))
        random.Random(0).shuffle(cut)
        yield from cut


def _sample(texts: Sequence[str], encoder: Encoder) -> _Sample:
    chosen: list[str] = []
    characters = 0
    for row in random.Random(0).sample(range(len(texts)), min(len(texts), SAMPLE_DOCUMENTS)):
        chosen.append(texts[row])
        characters += len(texts[row])
        if characters > SAMPLE_CHARACTERS:
            break
    sample = _Sample()
    if chosen:
        windows = encoder.tokenizer.tokenize(chosen, encoder.windowing)
        _ = encoder.network
        usual = create_budget(encoder)
        budget = _Mixed(usual.positions, usual.cost)
        encode_slice(chosen, windows, encoder, budget, sample.batch_done, _after(SAMPLE_SECONDS))
    return sample


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end
