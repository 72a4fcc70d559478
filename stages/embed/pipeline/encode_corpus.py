"""Stage one itself: documents that the store lacks go to the encoder in slices, and from there to shards."""

import random
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

import numpy as np

from data.documents import Corpus
from data.errors import EmbedOnceError, RecipeMismatch, StorageFailed
from featurestore import FeatureStore, ShardContent, text_key
from stages.embed.batching.budget import (
    DEFAULT,
    Batching,
    Budget,
    BudgetTuner,
    candidates,
    create_budget,
    find_known_budget,
    save_budget,
)
from stages.embed.batching.quantization_error import measure_float32_similarity
from stages.embed.encoder.encoder import Encoder
from stages.embed.network.backends import INT8
from stages.embed.pipeline.background import BackgroundWriter, prefetch, return_freed_memory
from stages.embed.pipeline.corpus import save_corpus
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.encode_slice import encode_slice
from stages.embed.pipeline.interrupt import Interrupts
from stages.embed.pipeline.length_buckets import LengthBuckets, iter_length_buckets
from stages.embed.pipeline.progress import EmbedCounters, EmbedProgress, EmbedReport, Progress
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart
from stages.embed.windows.window_arrays import Integers

__all__ = ["EmbedProgress", "EmbedReport", "embed", "encode"]

# a shard closes at these: a kill loses what is open
SHARD_BYTES = 32 * 2**20
SHARD_SECONDS = 30.0
SLICE_SECONDS = 5.0
# a slice before the encoder's speed is known
FIRST_SLICE_BATCHES = 3
# a trial of budgets takes so many slices' time at most, and at least as much has to come behind it
TRIAL_SLICES = 4


def embed(
    corpus: Corpus,
    encoder: Encoder,
    store: FeatureStore,
    progress: Progress | None = None,
    part: CorpusPart = WHOLE_CORPUS,
) -> EmbedReport:
    """Encode the documents of `corpus`, or of a part of it, that `store` lacks, and remember all of the corpus in it.

    Each distinct text is encoded once. The report is kept in the store as a record. Ctrl-C finishes the batch at hand,
    commits what is finished and goes on to the caller as KeyboardInterrupt; a second one does so at once. The next call
    takes up from there. Raises RecipeMismatch, StorageFailed, and EmbedOnceError where a number is too large for the
    number type kept.
    """
    if store.recipe.fingerprint != encoder.recipe.fingerprint:
        different = "; ".join(store.recipe.differences(encoder.recipe))
        raise RecipeMismatch(f"{store.name}: {different}. Name another --store, or ask for what this one holds.")
    started = time.perf_counter()
    texts = DistinctTexts.of(corpus, part)
    notes = save_corpus(corpus, texts.keys, store)
    missing = texts.missing(store)
    work = _Work(encoder, store, progress)
    moved = None
    if len(missing):
        if encoder.recipe.precision == INT8:
            moved = measure_float32_similarity(texts.texts(missing), encoder)
        work.run(texts, missing)
    report = work.counters.report(
        documents=int(texts.inside.sum()),
        distinct=len(texts.rows),
        already_stored=len(texts.rows) - len(missing),
        seconds=time.perf_counter() - started,
        failed=_ids(texts, work.failed),
        notes=notes if moved is None else (*notes, moved.sentence(encoder.recipe.precision)),
        float32_similarity=moved,
        part="" if part == WHOLE_CORPUS else str(part),
        missing_in_other_parts=texts.missing_in_other_parts(store),
        batch_tokens=work.budget.positions if len(missing) else 0,
        halvings=work.budget.halvings,
    )
    if len(missing):
        store.save_record("embed", {"corpus": corpus.name, "encoder": encoder.notes, **report.to_json()})
    return report


def _ids(texts: DistinctTexts, failed: Set[str]) -> tuple[str, ...]:
    """Documents whose text has one of these keys."""
    if not failed:
        return ()
    named = zip(texts.keys, texts.documents.ids, strict=True)
    return tuple(identifier for key, identifier in named if key in failed)


def encode(texts: Sequence[str], encoder: Encoder) -> ShardContent:
    """Encode `texts`: one document each, in their order, as a shard of `embed` holds them.

    Raises EmbedOnceError, naming the first, where vectors are not finite.
    """
    windows = encoder.tokenizer.tokenize(texts, encoder.windowing)
    budget = create_budget(encoder)
    encoded = encode_slice([text_key(text) for text in texts], windows, encoder, budget)
    if len(encoded.failed):
        raise EmbedOnceError(
            f"The encoder gives no finite vectors for {len(encoded.failed):,} of {len(texts):,} texts; "
            f"the first is number {encoded.failed[0] + 1:,}. Leave them out."
        )
    return encoded.content


class _Work:
    """One call of `embed`: the pool at hand, the slice in work, the shard that is open.

    failed: keys of the documents that were left out. budget: of each batch; it is found once the first slice has shown
    how fast the encoder is, unless it is known.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore, progress: Progress | None) -> None:
        self.counters = EmbedCounters()
        self.failed: set[str] = set()
        self.budget = Budget(DEFAULT)
        self._encoder = encoder
        self._store = store
        self._writer = BackgroundWriter(store)
        self._progress = progress
        self._interrupts = Interrupts(self._leaving)
        self._chance = random.Random()
        self._slice_positions = 0.0
        self._open: list[ShardContent] = []
        self._opened = 0.0
        self._untried = False

    def run(self, texts: DistinctTexts, rows: Integers) -> None:
        """Encode the documents numbered `rows` and commit them."""
        _ = self._encoder.network  # a device or weights that are not there are told before anything is done
        self._untried = find_known_budget(self._encoder) is None
        self.budget = create_budget(self._encoder)
        self._slice_positions = float(FIRST_SLICE_BATCHES * self.budget.positions)
        self.counters.expect(len(rows), sum(len(text) for _, text in texts.pairs(rows)))
        with self._interrupts:
            try:
                self._pools(texts.pairs(rows))
            except StorageFailed:
                raise
            except BaseException:  # an error or an interrupt: what is finished is kept
                if not self._interrupts.forced:
                    self._close()
                    self._writer.settle()
                raise
            self._close()
            self._writer.settle()
            self._store.refresh()
        if self.budget.halvings and self._encoder.batch_tokens is None:
            save_budget(self._encoder, self.budget.positions)
        if self._interrupts.requested:
            raise KeyboardInterrupt

    def _pools(self, pairs: Iterator[tuple[str, str]]) -> None:
        for pool in prefetch(lambda left: iter_length_buckets(pairs, self._encoder, left)):
            self.counters.tokenised(pool.characters, int(pool.work.sum()))
            while len(pool) and not self._interrupts.requested:
                trial = self._trial(pool)
                self._slice(pool, self._still_missing(pool), trial or self.budget)
                if trial and not self._interrupts.requested and trial.settle():
                    save_budget(self._encoder, self.budget.positions)
            if self._interrupts.requested:
                return

    def _trial(self, pool: LengthBuckets) -> BudgetTuner | None:
        """Tried once, on the second slice, where enough comes behind it to gain by what is found."""
        if not (self._untried and self.counters.documents and pool.left >= TRIAL_SLICES * self._slice_positions):
            return None
        self._untried = False
        tried = candidates(self._encoder)
        largest = min(TRIAL_SLICES * self._slice_positions, float(len(tried) * max(tried)))
        self._slice_positions = max(self._slice_positions, largest)
        return BudgetTuner(self.budget, tried)

    def _still_missing(self, pool: LengthBuckets) -> Integers:
        """The next slice, without the documents that another process has committed meanwhile."""
        rows = pool.take(self._slice_positions, SHARD_BYTES, self._chance)
        self._store.refresh()
        missing = set(self._store.missing_keys([pool.keys[row] for row in rows]))
        kept = np.array([row for row in rows if pool.keys[row] in missing], dtype=np.int64)
        self.counters.done_elsewhere(len(rows) - len(kept), int(pool.work[rows].sum() - pool.work[kept].sum()))
        return kept

    def _slice(self, pool: LengthBuckets, rows: Integers, budget: Batching) -> None:
        if not len(rows):
            return
        started = time.perf_counter()
        self._opened = self._opened if self._open else started
        keys, windows = [pool.keys[row] for row in rows], pool.windows.select(rows)
        encoded = encode_slice(
            keys, windows, self._encoder, budget, self._batch_done, lambda: self._interrupts.requested
        )
        self._open.append(encoded.content)
        self.failed.update(keys[row] for row in encoded.failed)
        self.counters.slice_done(windows.select(np.union1d(encoded.done, encoded.failed)), len(encoded.failed))
        now = time.perf_counter()
        self._slice_positions = max(SLICE_SECONDS * float(pool.positions[rows].sum()) / (now - started), 1.0)
        # the next slice takes about as long again: a shard is closed before its time is over, not after
        size = sum(content.size for content in self._open)
        if size >= SHARD_BYTES or now - self._opened + SLICE_SECONDS > SHARD_SECONDS:
            self._close()

    def _batch_done(self, windows: int, tokens: int, positions: int, padded: int, seconds: float) -> None:
        self.counters.batch_done(windows, tokens, positions, padded, seconds)
        if self._progress is not None:
            self._progress(self.counters.progress())

    def _leaving(self) -> None:
        if self._progress is not None:
            self._progress(replace(self.counters.progress(), interrupted=True))

    def _close(self) -> None:
        contents = [content for content in self._open if content.keys]
        if contents:
            self._writer.commit(contents)
            return_freed_memory()
            self.counters.shards += 1
        self._open = []  # only now: an interrupt while the shard before is waited for leaves these to be committed
