"""Encodes the documents that a store lacks: slice by slice, into shards."""

import random
import time
from collections.abc import Set
from dataclasses import replace

import numpy as np

from data.documents import Corpus
from data.errors import RecipeMismatch, StorageFailed
from data.interrupt import Interrupts
from featurestore import FeatureStore
from stages.embed.batching.budget import BatchStrategy, BudgetSelection, BudgetTuner
from stages.embed.batching.float32_similarity import measure_float32_similarity
from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.background import BackgroundWriter, prefetch
from stages.embed.pipeline.corpus import save_corpus
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.encode_slice import encode_slice
from stages.embed.pipeline.length_buckets import LengthBuckets, iter_length_buckets
from stages.embed.pipeline.progress import EmbedCounters, EmbedProgress, EmbedReport, Progress
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart
from stages.embed.windows.window_arrays import Integers

__all__ = ["EmbedProgress", "EmbedReport", "embed"]

# how long encoding a slice takes, about
SLICE_SECONDS = 5.0
# the size of a slice before the encoder's speed is known
FIRST_SLICE_BATCHES = 3
# tuning the budget takes at most the time of this many slices, and at least as much work has to be left
TUNING_SLICES = 4


def embed(
    corpus: Corpus,
    encoder: Encoder,
    store: FeatureStore,
    progress: Progress | None = None,
    part: CorpusPart = WHOLE_CORPUS,
) -> EmbedReport:
    """Encode the documents of `corpus` that `store` lacks, and keep the corpus table in the store.

    Each distinct text is encoded once. The report is kept in the store as a record. Ctrl-C finishes the current batch,
    commits what is complete and raises KeyboardInterrupt; a second one raises it at once. The next call resumes.

    Args:
        corpus: documents with labels and splits.
        encoder: its network is loaded only if documents are missing.
        store: a store with the encoder's recipe.
        progress: called after each batch.
        part: only this part of the corpus is encoded; the table is of the whole corpus.

    Raises:
        RecipeMismatch: the store has another recipe.
        StorageFailed: the disk is full, or refuses to write.
        EmbedOnceError: a value is too large for the number type kept.
    """
    if store.recipe.fingerprint != encoder.recipe.fingerprint:
        different = "; ".join(store.recipe.differences(encoder.recipe))
        raise RecipeMismatch(
            f"{store.name}: {different}. Choose another --store, or the options that this store was made with."
        )
    started = time.perf_counter()
    texts = DistinctTexts.of(corpus, part)
    notes = save_corpus(corpus, texts.keys, store)
    missing = texts.missing(store)
    counters, similarity = EmbedCounters(), None
    if len(missing):
        if encoder.is_compared_with_float32:
            similarity = measure_float32_similarity(texts.sample(missing), encoder)
        EncodingRun(encoder, store, counters, progress).encode(texts, missing)
    report = counters.report(
        documents=int(texts.in_part.sum()),
        distinct=len(texts.rows),
        already_stored=len(texts.rows) - len(missing),
        seconds=time.perf_counter() - started,
        failed=ids_with_keys(texts, counters.failed),
        notes=notes if similarity is None else (*notes, similarity.describe(encoder.recipe.precision)),
        float32_similarity=similarity,
        part="" if part == WHOLE_CORPUS else str(part),
        missing_in_other_parts=texts.missing_in_other_parts(store),
    )
    if counters.failed:
        store.save_unencodable(counters.failed)
    if len(missing):
        store.save_record("embed", {"corpus": corpus.name, "encoder": encoder.notes, **report.to_json()})
    return report


def ids_with_keys(texts: DistinctTexts, keys: Set[str]) -> tuple[str, ...]:
    """The ids of the documents whose text has one of `keys`."""
    if not keys:
        return ()
    pairs = zip(texts.keys, texts.documents.ids, strict=True)
    return tuple(identifier for key, identifier in pairs if key in keys)


class EncodingRun:
    """Encodes missing documents in slices, each sized by the encoder's speed, and hands them to the writer.

    is_item: the documents are an item of an engine, which no other process has; so the store is not read, and a tuning
    of the budget pays, because other items follow.
    """

    def __init__(
        self,
        encoder: Encoder,
        store: FeatureStore,
        counters: EmbedCounters,
        progress: Progress | None = None,
        *,
        is_item: bool = False,
    ) -> None:
        self._is_item = is_item
        self._encoder = encoder
        self._store = store
        self._counters = counters
        self._progress = progress
        self._writer = BackgroundWriter(store)
        self._interrupts = Interrupts(lambda: self._report_progress(interrupted=True))
        self._rng = random.Random()

    @property
    def shard_names(self) -> tuple[str, ...]:
        """The names of the shards that are committed."""
        return tuple(self._writer.names)

    def stop(self) -> None:
        """End after the current batch, as Ctrl-C does; may be called from another thread."""
        self._interrupts.requested = True

    def encode(self, texts: DistinctTexts, rows: Integers) -> None:
        """Encode the documents at `rows` and commit them. Raises KeyboardInterrupt if it was stopped."""
        _ = self._encoder.network  # a missing device or missing weights are reported before anything is done
        self._selection = BudgetSelection(self._encoder)
        self._slice_positions = float(FIRST_SLICE_BATCHES * self._selection.budget.positions)
        self._counters.start(len(rows), texts.characters(rows))
        with self._interrupts:
            try:
                self._encode_all(texts, rows)
            except StorageFailed:
                raise
            except BaseException:  # an error or an interrupt: what is complete is kept
                if not self._interrupts.forced:
                    self._writer.finish()
                raise
            self._writer.finish()
            if not self._is_item:
                self._store.refresh()
        self._selection.save_halved()
        if self._interrupts.requested:
            raise KeyboardInterrupt
        budget = self._selection.budget
        self._counters.shards = self._writer.shards
        self._counters.batch_tokens, self._counters.halvings = budget.positions, budget.halvings

    def _encode_all(self, texts: DistinctTexts, rows: Integers) -> None:
        for buckets in prefetch(
            lambda is_cancelled: iter_length_buckets(texts.pairs(rows, is_cancelled), self._encoder, is_cancelled)
        ):
            self._counters.add_tokenized(buckets.characters, int(buckets.tokens.sum()))
            while len(buckets) and not self._interrupts.requested:
                tuner = self._start_tuning(buckets)
                self._encode_slice(buckets, self._take_missing(buckets), tuner or self._selection.budget)
                if tuner and not self._interrupts.requested:
                    self._selection.finish_tuning(tuner)
            if self._interrupts.requested:
                return

    def _start_tuning(self, buckets: LengthBuckets) -> BudgetTuner | None:
        """A tuner for the second slice, if enough work is left for a better budget to pay."""
        is_first, candidates = not self._counters.documents, self._selection.candidates
        work, compared = TUNING_SLICES * self._slice_positions, float(len(candidates) * max(candidates))
        if not self._selection.needs_tuning or is_first:
            return None
        if buckets.remaining_positions < (compared if self._is_item else work):
            return None
        self._slice_positions = max(self._slice_positions, compared if self._is_item else min(work, compared))
        return self._selection.start_tuning()

    def _take_missing(self, buckets: LengthBuckets) -> Integers:
        """The rows of the next slice, without documents that another process has committed in the meantime."""
        rows = buckets.take_slice(self._slice_positions, self._writer.shard_bytes, self._rng)
        if self._is_item:
            return rows
        self._store.refresh()
        missing = set(self._store.missing_keys([buckets.keys[row] for row in rows]))
        kept = np.array([row for row in rows if buckets.keys[row] in missing], dtype=np.int64)
        tokens = int(buckets.tokens[rows].sum() - buckets.tokens[kept].sum())
        self._counters.add_done_elsewhere(len(rows) - len(kept), tokens)
        return kept

    def _encode_slice(self, buckets: LengthBuckets, rows: Integers, batch_strategy: BatchStrategy) -> None:
        if not len(rows):
            return
        started = time.perf_counter()
        keys, windows = [buckets.keys[row] for row in rows], buckets.windows.select(rows)
        encoded = encode_slice(
            keys, windows, self._encoder, batch_strategy, self._count_batch, lambda: self._interrupts.requested
        )
        finished = time.perf_counter()
        reached = windows.select(np.union1d(encoded.complete, encoded.failed))
        self._counters.add_slice(reached, {keys[row] for row in encoded.failed})
        positions = float(buckets.positions[rows].sum())
        self._slice_positions = max(SLICE_SECONDS * positions / (finished - started), 1.0)
        self._writer.add(encoded.content, started, finished, next_seconds=SLICE_SECONDS)

    def _count_batch(self, windows: int, tokens: int, positions: int, padded_positions: int, seconds: float) -> None:
        self._counters.add_batch(windows, tokens, positions, padded_positions, seconds)
        self._report_progress(interrupted=False)

    def _report_progress(self, *, interrupted: bool) -> None:
        self._counters.shards = self._writer.shards
        if self._progress is not None:
            self._progress(replace(self._counters.progress(), interrupted=interrupted))
