"""Encoding on an engine: the missing documents of a corpus as items, and one progress and report of all workers."""

import random
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

import numpy as np

from data.documents import Corpus
from data.errors import EmbedOnceError
from data.text_format import plural
from featurestore import FeatureStore
from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.corpus import save_corpus
from stages.embed.pipeline.devices import merge_reports
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.encode_corpus import ids_with_keys
from stages.embed.pipeline.engine_worker import EmbedFactory, EmbedItem, EmbedResult, hash_corpus
from stages.embed.pipeline.progress import EmbedCounters, EmbedProgress, EmbedReport, Progress
from stages.embed.windows.corpus_part import WHOLE_CORPUS
from stages.embed.windows.window_arrays import Integers
from stages.engines import Engine, run_items
from stages.engines.item_sizes import ITEM_SECONDS, ItemSizes

FIRST_TOKENS = 20_000
MAX_TOKENS = 2_000_000
MAX_SPAN = 500_000  # rows between the first and the last of an item, which has a bit for each
CHARACTERS_PER_TOKEN = 4.0  # until some documents are encoded
# how often the store is looked at for shards of processes that this one does not know
_LOOK_SECONDS = 10.0


class DocumentQueue:
    """The documents that a store lacks, cut into items by the speed of the worker that asks.

    Items are ranges of the corpus, from a random document on: of two coordinators each starts elsewhere, and leaves out
    what it finds that the other has committed.
    """

    _rows: Integers  # in the order in which they are handed out
    _ends: Integers  # the characters before each row, and those of all
    _next: int  # the first position in _rows that no worker has

    def __init__(
        self,
        texts: DistinctTexts,
        rows: Integers,
        store: FeatureStore,
        progress: Progress,
        *,
        seconds: float = ITEM_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._texts, self._store, self._progress, self._clock = texts, store, progress, clock
        self._workers = set[str]()
        self._set_rows(np.roll(rows, -random.randrange(max(len(rows), 1))))
        self._total, self._done, self._left_out, self._count = self._remaining, 0, 0, len(rows)
        self._documents = self._tokens = self._shards = 0
        self._sizes = ItemSizes(FIRST_TOKENS * CHARACTERS_PER_TOKEN, seconds)
        self._open: dict[str, tuple[float, int]] = {}  # by worker: when its item was handed out, and its characters
        self._known = self._list_shards()
        self._unknown: dict[str, float] = {}  # names of shards, and when they were seen first
        self._looked = clock()
        self.results: list[EmbedResult] = []

    @property
    def is_empty(self) -> bool:
        """Whether all documents were handed out."""
        return self._next == len(self._rows)

    def take(self, worker: str) -> EmbedItem | None:
        """The next documents, as many as the worker encodes in the time of an item."""
        self._workers.add(worker)
        self._look_for_others()
        if self.is_empty:
            return None
        size = min(self._sizes.next_size(worker, self._remaining), MAX_TOKENS * self._characters_per_token)
        first, before = self._next, self._ends[self._next]
        stop = max(int(np.searchsorted(self._ends, before + size, side="right")) - 1, first + 1)
        span = self._rows[first:stop] - self._rows[first]
        stop = first + int(((span >= 0) & (span < MAX_SPAN)).cumprod().sum())  # not past the end of the corpus
        self._next = stop
        self._open[worker] = self._clock(), int(self._ends[stop] - before)
        return EmbedItem.of(self._rows[first:stop])

    def finish(self, worker: str, item: EmbedItem, result: EmbedResult, seconds: float) -> None:
        """Count what a worker has committed. The item of a lost worker says nothing about its speed: it did a part."""
        self.results.append(result)
        _, characters = self._open.pop(worker, (0.0, 0))
        if characters and result.report.encoded:
            self._sizes.record(worker, characters, seconds)
        characters = characters or int(self._lengths(item.rows).sum())
        self._done += characters
        self._documents += len(item.rows)
        self._tokens += result.report.tokens
        self._shards += len(result.shards)
        self._known.update(result.shards)
        self.show()

    def lose(self, worker: str) -> None:
        """Forget the speed of a worker."""
        self._sizes.forget(worker)
        self._workers.discard(worker)
        self._open.pop(worker, None)

    def show(self, *, interrupted: bool = False) -> None:
        """Report the progress of all workers."""
        per_second, remaining = self._sizes.total_rate, self._total - self._done - self._left_out
        self._progress(
            EmbedProgress(
                documents=self._documents,
                documents_total=self._count,
                tokens=self._tokens,
                tokens_total=self._tokens + int(remaining / self._characters_per_token),
                tokens_per_second=per_second / self._characters_per_token,
                seconds_left=remaining / per_second if per_second else None,
                shards=self._shards,
                interrupted=interrupted,
                workers=len(self._workers),
            )
        )

    @property
    def _characters_per_token(self) -> float:
        return self._done / self._tokens if self._tokens else CHARACTERS_PER_TOKEN

    @property
    def _remaining(self) -> int:
        """Characters that no worker has."""
        return int(self._ends[-1] - self._ends[self._next])

    def _set_rows(self, rows: Integers) -> None:
        """Set what is not handed out."""
        self._rows, self._next = rows, 0
        self._ends = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self._lengths(rows), out=self._ends[1:])

    def _lengths(self, rows: Integers) -> Integers:
        if self._texts.documents.hashes is not None:
            return self._texts.documents.hashes.lengths[rows].astype(np.int64) + 1
        return np.fromiter((len(text) + 1 for text in self._texts.texts(rows)), np.int64, len(rows))

    def _list_shards(self) -> set[str]:
        return set(self._store.shard_names())

    def _look_for_others(self) -> None:
        """Leave out what other coordinators have committed.

        A shard that no worker of this one has reported is of another if it was there before the oldest open item. The
        store is read only then: with many workers, reading it takes long.
        """
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS or self.is_empty:
            return
        self._looked = now
        self._unknown = {name: self._unknown.get(name, now) for name in self._list_shards() - self._known}
        oldest = min((since for since, _ in self._open.values()), default=now)
        if any(seen < oldest for seen in self._unknown.values()):
            self._known |= self._unknown.keys()
            self._store.refresh()
            rows, before = self._rows[self._next :], self._remaining
            self._set_rows(rows[~self._store.keys.contains(self._texts.keys[rows])])
            self._left_out += before - self._remaining


def embed_on_engine(
    corpus: Corpus,
    encoder: Encoder,
    store: FeatureStore,
    request: EmbedRequest,
    engine: Engine,
    *,
    notify: Callable[[str], None],
    progress: Progress,
    create_factory: Callable[..., EmbedFactory] = EmbedFactory,
    seconds: float = ITEM_SECONDS,
) -> EmbedReport:
    """Encode what `store` lacks on the workers of an engine, as `embed` does in one process.

    Args:
        corpus: documents with labels and splits.
        encoder: its recipe is the store's; its network is not loaded here.
        store: a store that all workers can write.
        request: how a worker reads the corpus and opens the encoder; its options are resolved.
        engine: the workers.
        notify: called with sentences on workers.
        progress: called after each item.
        create_factory: a subclass of `EmbedFactory`, whose workers have another encoder.
        seconds: how long an item takes.

    Returns:
        The report of all workers together.

    Raises:
        EmbedOnceError: what `run_items` raises; or what workers have committed is not seen here.
    """
    started, texts = time.perf_counter(), DistinctTexts.of(corpus, request.part)
    notes, missing = save_corpus(corpus, texts.keys, store), texts.missing(store)
    queue = DocumentQueue(texts, missing, store, progress, seconds=seconds)
    if len(missing):
        factory = create_factory(
            request=request, store=store.location, documents=len(texts.keys), corpus_hash=hash_corpus(texts.keys)
        )
        run_items(engine, factory, queue, notify=notify, on_interrupt=lambda: queue.show(interrupted=True))
        store.refresh()
    failed = frozenset[str]().union(*(result.failed for result in queue.results))
    report = replace(
        _merge(queue.results, notes, encoder.recipe.precision, time.perf_counter() - started),
        documents=int(texts.in_part.sum()),
        duplicate_texts=int(texts.in_part.sum()) - len(texts.rows),
        already_stored=len(texts.rows) - len(missing),
        failed=ids_with_keys(texts, failed),
        part="" if request.part == WHOLE_CORPUS else str(request.part),
        missing_in_other_parts=texts.missing_in_other_parts(store),
    )
    if failed:
        store.save_unencodable(failed)
    if len(missing):
        store.save_record("embed", {"corpus": corpus.name, "encoder": encoder.notes, **report.to_json()})
        _check_visible(texts, missing, failed, store)
    return report


def _merge(results: Sequence[EmbedResult], notes: tuple[str, ...], precision: str, seconds: float) -> EmbedReport:
    """What all workers did together in `seconds`. notes: on the corpus."""
    nothing = EmbedCounters().report(documents=0, distinct=0, already_stored=0, seconds=0.0)
    report = merge_reports([nothing, *(result.report for result in results)])
    if report.float32_similarity is not None:
        notes = (*notes, report.float32_similarity.describe(precision))
    return replace(report, notes=notes, seconds=seconds, tokens_per_second=report.tokens / seconds)


def _check_visible(texts: DistinctTexts, rows: Integers, failed: Set[str], store: FeatureStore) -> None:
    """Raise EmbedOnceError if documents that workers have committed are not in the store as this process sees it."""
    missing = len(set(store.missing_keys(texts.keys[rows])) - failed)
    if missing:
        raise EmbedOnceError(
            f"{plural(missing, 'document')} that workers have committed are not in {store.location} as seen from here. "
            "The store must be on a file system that all nodes share, or in a bucket."
        )
