"""Stage one itself: documents that the store lacks go to the encoder in slices, and from there to shards."""

import random
import time
from collections.abc import Mapping, Sequence

import numpy as np

from data.documents import Corpus
from data.errors import EmbedOnceError, RecipeMismatch, StorageFailed
from featurestore import FeatureStore, ShardContent, joined, text_key
from stages.embed.backends import INT8
from stages.embed.corpus import save_corpus
from stages.embed.distance import distance
from stages.embed.encoder import Encoder
from stages.embed.pool import Pool, pools
from stages.embed.report import EmbedProgress, EmbedReport, Progress, Tally
from stages.embed.slices import encode_slice
from stages.embed.tokens import Integers

__all__ = ["EmbedProgress", "EmbedReport", "embed", "encode"]

# a shard closes at these: a kill loses what is open
SHARD_BYTES = 32 * 2**20
SHARD_SECONDS = 30.0
SLICE_SECONDS = 5.0
# a slice before the encoder's speed is known
FIRST_SLICE_BATCHES = 3


def embed(corpus: Corpus, encoder: Encoder, store: FeatureStore, progress: Progress | None = None) -> EmbedReport:
    """Encode the documents of `corpus` that `store` lacks, and remember the corpus in it.

    Each distinct text is encoded once. The report is kept in the store as a record. An interrupt commits what is
    finished and goes on to the caller; the next call takes up from there. Raises RecipeMismatch, StorageFailed, and
    EmbedOnceError where a number is too large for the number type kept.
    """
    if store.recipe.fingerprint != encoder.recipe.fingerprint:
        different = "; ".join(store.recipe.differences(encoder.recipe))
        raise RecipeMismatch(f"{store.name}: {different}. Name another --store, or ask for what this one holds.")
    started = time.perf_counter()
    keys = [text_key(document.text) for document in corpus.documents]
    notes = save_corpus(corpus, keys, store)
    texts: dict[str, str] = {}
    for key, document in zip(keys, corpus.documents, strict=True):
        texts.setdefault(key, document.text)
    missing = store.missing(list(texts))
    work = _Work(encoder, store, progress)
    moved = None
    if missing:
        if encoder.recipe.precision == INT8:
            moved = distance([texts[key] for key in missing], encoder)
        work.run(missing, texts)
    left_out = [document.id for key, document in zip(keys, corpus.documents, strict=True) if key in work.failed]
    report = work.tally.report(
        documents=len(keys),
        distinct=len(texts),
        already_there=len(texts) - len(missing),
        seconds=time.perf_counter() - started,
        failed=tuple(left_out),
        notes=notes if moved is None else (*notes, moved.sentence(encoder.recipe.precision)),
        distance=moved,
    )
    if missing:
        store.record("embed", {"corpus": corpus.name, **report.to_json()})
    return report


def encode(texts: Sequence[str], encoder: Encoder) -> ShardContent:
    """Encode `texts`: one document each, in their order, as a shard of `embed` holds them.

    Raises EmbedOnceError, naming the first, where vectors are not finite.
    """
    windows = encoder.tokenizer.windows(texts, encoder.cutting)
    content, failed = encode_slice([text_key(text) for text in texts], windows, encoder)
    if failed:
        raise EmbedOnceError(
            f"The encoder gives no finite vectors for {len(failed):,} of {len(texts):,} texts; "
            f"the first is number {failed[0] + 1:,}. Leave them out."
        )
    return content


class _Work:
    """One call of `embed`: the pool at hand, the slice in work, the shard that is open.

    failed: keys of the documents that were left out.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore, progress: Progress | None) -> None:
        self.tally = Tally()
        self.failed: set[str] = set()
        self._encoder = encoder
        self._store = store
        self._progress = progress
        self._chance = random.Random()
        self._slice_positions = float(FIRST_SLICE_BATCHES * encoder.budget)
        self._open: list[ShardContent] = []
        self._opened = 0.0

    def run(self, keys: Sequence[str], texts: Mapping[str, str]) -> None:
        """Encode the documents of `keys` and commit them."""
        _ = self._encoder.network  # a device or weights that are not there are told before anything is done
        self.tally.expect(len(keys), sum(len(texts[key]) for key in keys))
        try:
            for pool in pools(keys, texts, self._encoder):
                self.tally.tokenised(sum(len(texts[key]) for key in pool.keys), int(pool.work.sum()))
                while len(pool):
                    self._slice(pool, self._still_missing(pool))
        except StorageFailed:
            raise
        except BaseException:  # an interrupt above all: what is finished is kept
            self._close()
            raise
        self._close()

    def _still_missing(self, pool: Pool) -> Integers:
        """The next slice, without the documents that another process has committed meanwhile."""
        rows = pool.take(self._slice_positions, SHARD_BYTES, self._chance)
        self._store.refresh()
        missing = set(self._store.missing([pool.keys[row] for row in rows]))
        kept = np.array([row for row in rows if pool.keys[row] in missing], dtype=np.int64)
        self.tally.done_elsewhere(len(rows) - len(kept), int(pool.work[rows].sum() - pool.work[kept].sum()))
        return kept

    def _slice(self, pool: Pool, rows: Integers) -> None:
        if not len(rows):
            return
        started = time.perf_counter()
        self._opened = self._opened if self._open else started
        windows = pool.windows.of(rows)
        content, failed = encode_slice([pool.keys[row] for row in rows], windows, self._encoder, self._batch_done)
        self._open.append(content)
        self.failed.update(pool.keys[rows[row]] for row in failed)
        self.tally.slice_done(windows, len(failed))
        now = time.perf_counter()
        self._slice_positions = max(SLICE_SECONDS * float(pool.positions[rows].sum()) / (now - started), 1.0)
        # the next slice takes about as long again: a shard is closed before its time is over, not after
        size = sum(content.size for content in self._open)
        if size >= SHARD_BYTES or now - self._opened + SLICE_SECONDS > SHARD_SECONDS:
            self._close()

    def _batch_done(self, windows: int, tokens: int, positions: int, padded: int, seconds: float) -> None:
        self.tally.batch_done(windows, tokens, positions, padded, seconds)
        if self._progress is not None:
            self._progress(self.tally.progress())

    def _close(self) -> None:
        contents = [content for content in self._open if content.keys]
        if contents:
            self._store.commit(joined(contents))
            self.tally.shards += 1
        self._open = []  # only now: an interrupt while committing commits again
