"""The dry run of `embed`: sizes from tokenizing the corpus, or a sample of a large one, time from encoding a sample."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from data.documents import Corpus
from data.errors import RecipeMismatch
from featurestore import FeatureStore, free_memory
from stages.embed.batching.budget import TokenBudget, create_budget
from stages.embed.encoder.encoder import Encoder
from stages.embed.network.torch_network import resolve_device
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.encode_slice import encode_slice
from stages.embed.pipeline.length_buckets import iter_length_buckets
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart
from stages.embed.windows.window_arrays import Integers, Windows

SIZED_DOCUMENTS = 100_000  # tokenized, about, of at least twice as many distinct texts
SAMPLE_SECONDS = 10.0
SAMPLE_DOCUMENTS = 512
SAMPLE_CHARACTERS = 1_000_000
_CHUNKS = ("cls", "mean", "max")
# a head's copy of the vectors that it reads, and the copy from which it is assembled
_COPIES = 2


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What `embed` would do. With several encoders, the sizes of the texts are those of the one with most to encode.

    documents: rows of the corpus, or of the part.
    distinct: distinct texts among them.
    already_stored: distinct texts that the store has.
    tokenized: distinct texts that were tokenized; if these are not all, tokens, windows and sizes are estimates.
    tokens, windows: of the distinct texts.
    dropped_tokens, dropped_share: tokens in no window, and their share of all tokens.
    mostly_unknown: texts with more tokens that the encoder's vocabulary lacks than others.
    bytes: by which the stores would grow.
    head_bytes: the largest array that a head reads of the whole corpus.
    memory: bytes free on this machine now; None if the system does not say.
    fits: whether a head's vectors fit into memory; None if the free memory is unknown.
    device: where the sample was encoded.
    sample_windows: how many windows were timed.
    tokens_per_second: the documents' own tokens.
    seconds: for the texts that are not stored yet, tokenizing included; None if there are none.
    encoders: how many encoders there are, four for one that was cross-fitted on three folds.
    """

    documents: int
    distinct: int
    already_stored: int
    tokenized: int
    tokens: int
    windows: int
    dropped_tokens: int
    dropped_share: float
    mostly_unknown: int
    bytes: int
    head_bytes: int
    memory: int | None
    fits: bool | None
    device: str
    sample_windows: int
    tokens_per_second: float
    seconds: float | None
    encoders: int = 1

    def scaled_to_encoders(self, encoders: int, share: float) -> Self:
        """The same for several encoders, which have `share` times as much to encode as the one with most."""
        seconds = None if self.seconds is None else share * self.seconds
        return replace(self, encoders=encoders, bytes=round(share * self.bytes), seconds=seconds)

    def scaled_to(self, devices: Sequence[str]) -> Self:
        """The same with one process per device, the first of which was timed; processes on a CPU share its cores."""
        if len(devices) == 1:
            return self
        speedup = max(len(set(devices)), 1)
        return replace(
            self,
            device=",".join(devices),
            tokens_per_second=speedup * self.tokens_per_second,
            seconds=None if self.seconds is None else self.seconds / speedup,
        )

    def to_json(self) -> dict[str, Any]:
        """Every value by its name."""
        return asdict(self)


@dataclass(frozen=True)
class _Sizes:
    """Sums over documents. positions: all that the encoder reads, special tokens included."""

    tokens: int = 0
    dropped: int = 0
    mostly_unknown: int = 0
    windows: int = 0
    positions: int = 0
    bytes: int = 0
    head_bytes: int = 0

    @classmethod
    def of(cls, windows: Windows, encoder: Encoder) -> Self:
        """The sums over some documents. Bytes as in a shard's layout, without the few kilobytes per shard itself."""
        recipe, count = encoder.recipe, len(windows.length)
        vectors = {name: int(encoder.pooling.vector_counts(name, windows.length).sum()) for name in recipe.keep}
        stored_item = 4 if recipe.dtype == "float32" else 2
        head_item = 2 if recipe.dtype == "float16" else 4
        views = {name: amount for name, amount in vectors.items() if name not in _CHUNKS}
        views["chunks"] = sum(vectors[name] for name in _CHUNKS if name in vectors)
        tokens, offsets = int(windows.length.sum()), 16 * count + 64 * len(windows)
        return cls(
            tokens=int(windows.tokens.sum()),
            dropped=int(windows.dropped.sum()),
            mostly_unknown=windows.mostly_unknown,
            windows=count,
            positions=tokens + count * encoder.extra_positions,
            bytes=sum(vectors.values()) * stored_item * encoder.dim * len(recipe.layers) + 4 * tokens + offsets,
            head_bytes=max(views.values()) * head_item * encoder.dim * len(recipe.layers),
        )

    def scaled(self, factor: float) -> "_Sizes":
        return _Sizes(**{name: round(value * factor) for name, value in asdict(self).items()})

    def __add__(self, other: "_Sizes") -> "_Sizes":
        summands = asdict(other)
        return _Sizes(**{name: value + summands[name] for name, value in asdict(self).items()})


def estimate(corpus: Corpus, encoder: Encoder, store: FeatureStore | None, part: CorpusPart = WHOLE_CORPUS) -> Estimate:
    """Tokenize a corpus, or a sample of a large one, and encode a random sample of what is missing for ten seconds.

    Nothing is written.

    Args:
        corpus: documents with labels and splits.
        encoder: its network is loaded only if texts are missing.
        store: None if there is none yet.
        part: only this part of the corpus is counted.

    Raises:
        RecipeMismatch: the store has another recipe.
    """
    if store is not None and (differences := store.recipe.differences(encoder.recipe)):
        raise RecipeMismatch(f"{store.name}: {'; '.join(differences)}. Choose another --store.")
    texts = DistinctTexts.of(corpus, part)
    missing = texts.missing(store)
    tokenized = texts.rows[:: max(len(texts.rows) // SIZED_DOCUMENTS, 1)]
    started = time.perf_counter()
    whole, remaining = _measure_sizes(texts, tokenized, missing, encoder)
    tokenizing = (time.perf_counter() - started) * len(texts.rows) / max(len(tokenized), 1)
    sample = _encode_sample(texts.sample(missing), encoder)
    memory = free_memory()
    return Estimate(
        documents=int(texts.in_part.sum()),
        distinct=len(texts.rows),
        already_stored=len(texts.rows) - len(missing),
        tokenized=len(tokenized),
        tokens=whole.tokens,
        windows=whole.windows,
        dropped_tokens=whole.dropped,
        dropped_share=whole.dropped / max(whole.tokens, 1),
        mostly_unknown=whole.mostly_unknown,
        bytes=remaining.bytes,
        head_bytes=whole.head_bytes,
        memory=memory,
        fits=None if memory is None else _COPIES * whole.head_bytes <= memory,
        device=resolve_device(encoder.device),
        sample_windows=sample.windows,
        tokens_per_second=sample.tokens / sample.seconds if sample.seconds else 0.0,
        seconds=(
            remaining.positions * sample.seconds / sample.positions + tokenizing * len(missing) / len(texts.rows)
            if sample.positions
            else None
        ),
    )


def _measure_sizes(
    texts: DistinctTexts, tokenized: Integers, missing: Integers, encoder: Encoder
) -> tuple[_Sizes, _Sizes]:
    """The sizes of all distinct texts and of the missing ones, scaled by characters if only some are tokenized."""
    whole = remaining = _Sizes()
    missing_keys = set(texts.keys[missing]) if len(tokenized) == len(texts.rows) else set()
    for buckets in iter_length_buckets(texts.pairs(tokenized), encoder):
        rows = np.array([row for row, key in enumerate(buckets.keys) if key in missing_keys], dtype=np.int64)
        whole = whole + _Sizes.of(buckets.windows, encoder)
        remaining = remaining + _Sizes.of(buckets.windows.select(rows), encoder)
    if len(tokenized) == len(texts.rows):
        return whole, remaining
    characters = [texts.characters(rows) for rows in (texts.rows, missing, tokenized)]
    return whole.scaled(characters[0] / max(characters[2], 1)), whole.scaled(characters[1] / max(characters[2], 1))


@dataclass
class _Sample:
    windows: int = 0
    tokens: int = 0
    positions: int = 0
    seconds: float = 0.0
    batches: int = 0

    def add_batch(self, windows: int, tokens: int, positions: int, padded_positions: int, seconds: float) -> None:  # noqa: ARG002
        self.batches += 1
        if self.batches == 2:  # the time of the first batch includes what a device sets up once
            self.windows = self.tokens = self.positions = 0
            self.seconds = 0.0
        self.windows += windows
        self.tokens += tokens
        self.positions += positions
        self.seconds += seconds


class _ShuffledBudget(TokenBudget):
    """Batches in random order, so that the first of them are a sample of all lengths."""

    def split(self, positions: Integers) -> Iterator[Integers]:
        batches = list(super().split(positions))
        random.Random(0).shuffle(batches)
        yield from batches


def _encode_sample(texts: Sequence[str], encoder: Encoder) -> _Sample:
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
        _ = encoder.network  # loading it is not timed
        budget = create_budget(encoder)
        shuffled = _ShuffledBudget(budget.positions, budget.cost)
        encode_slice(chosen, windows, encoder, shuffled, sample.add_batch, _deadline(SAMPLE_SECONDS))
    return sample


def _deadline(seconds: float) -> Callable[[], bool]:
    """A function that is true once `seconds` from now have passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end
