"""A worker of an engine that encodes: it reads the texts itself, and commits shards into the store."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from data.documents import Document, Documents
from data.errors import BadData, CallError, RecipeMismatch
from data.packed import texts_at
from data.text_format import plural
from featurestore import FeatureStore, KeyList, Location
from stages.embed.batching.float32_similarity import measure_float32_similarity
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.encode_corpus import EncodingRun
from stages.embed.pipeline.progress import EmbedCounters, EmbedReport
from stages.embed.windows.window_arrays import Integers
from stages.engines.worker_process import limit_threads


@dataclass(frozen=True)
class EmbedItem:
    """Documents to encode: those of the corpus from row `start` on whose bit in `mask` is set. It has few bytes."""

    start: int
    mask: bytes

    @classmethod
    def of(cls, rows: Integers) -> Self:
        """rows: int64, increasing, at least one."""
        mask = np.zeros(int(rows[-1] - rows[0]) + 1, dtype=bool)
        mask[rows - rows[0]] = True
        return cls(int(rows[0]), np.packbits(mask).tobytes())

    @property
    def rows(self) -> Integers:
        """The rows of the documents, int64."""
        return self.start + np.flatnonzero(np.unpackbits(np.frombuffer(self.mask, np.uint8)))


@dataclass(frozen=True)
class EmbedResult:
    """What was done of an item. shards: the names of those that were committed. failed: keys of skipped texts."""

    report: EmbedReport
    shards: tuple[str, ...]
    failed: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class EmbedFactory:
    """Opens a worker that encodes.

    request: its source is a path or the name of a benchmark; its options and its `spec` are resolved.
    store: where the store is, which exists.
    documents, corpus_hash: of the corpus as the coordinator reads it, see `hash_corpus`.
    """

    request: EmbedRequest
    store: Location
    documents: int
    corpus_hash: str

    @property
    def uses_gpu(self) -> bool:
        """Whether the user has not excluded GPUs."""
        return self.request.options.device != "cpu"

    def open(self, cores: int) -> "EmbedWorker":
        """Read the corpus, open the encoder and the store, and check all three. Raises EmbedOnceError."""
        limit_threads(cores)
        store = FeatureStore.open(self.store)
        encoder = self.open_encoder()
        if differences := store.recipe.differences(encoder.recipe):
            raise RecipeMismatch(
                f"the encoder differs from that of the store ({'; '.join(differences)}). Copy the same model there."
            )
        texts = DistinctTexts.of(self.request.read())
        self._check(texts)
        _ = encoder.network  # missing weights are reported now, and no item pays for loading them
        return EmbedWorker(texts, encoder, store)

    def open_encoder(self) -> Encoder:
        """The encoder, without its network; tests replace it."""
        return open_encoder(self.request.options)

    def _check(self, texts: DistinctTexts) -> None:
        if hash_corpus(texts.keys) != self.corpus_hash:
            raise CallError(
                f"{self.request.source} has other texts than where the command was started "
                f"({plural(len(texts.keys), 'document')}, there {self.documents:,}). Put the same file there."
            )


def hash_corpus(keys: KeyList) -> str:
    """A hash of the texts of a corpus in their order."""
    return hashlib.sha256(np.ascontiguousarray(keys.array).data).hexdigest()


class EmbedWorker:
    """Encodes items, each into shards of its own."""

    def __init__(self, texts: DistinctTexts, encoder: Encoder, store: FeatureStore) -> None:
        self._encoder, self._store, self._keys = encoder, store, texts.keys
        self._texts = texts.documents.texts
        self._run: EncodingRun | None = None
        self._measures = encoder.is_compared_with_float32

    def run(self, item: EmbedItem, *, is_retry: bool) -> EmbedResult:
        """Encode the documents of an item, except for those that a lost worker has committed."""
        counters = EmbedCounters()
        self._run = run = EncodingRun(self._encoder, self._store, counters, is_item=True)  # at once: `stop` ends it
        rows = item.rows
        if is_retry:
            self._store.refresh()
            rows = rows[~self._store.keys.contains(self._keys[rows])]
        similarity = None
        if len(rows):
            texts = self._read(rows)
            if self._measures:
                similarity, self._measures = measure_float32_similarity(texts.documents.texts, self._encoder), False
            with suppress(KeyboardInterrupt):  # stopped: what is complete is committed
                run.encode(texts, texts.rows)
        counters.shards = len(run.shard_names)
        report = counters.report(documents=0, distinct=0, already_stored=0, seconds=0.0)
        report = replace(report, float32_similarity=similarity)
        return EmbedResult(report, run.shard_names, frozenset(counters.failed))

    def stop(self) -> None:
        """End the current item after its current batch."""
        if self._run is not None:
            self._run.stop()

    def _read(self, rows: Integers) -> DistinctTexts:
        """The texts at `rows` alone. Raises BadData if one is another than when they were counted.

        The items of a worker are in the order of the corpus, except for those of lost workers; so streamed texts are
        read once.
        """
        texts, keys = list(texts_at(self._texts, rows)), self._keys[rows]
        documents = Documents.from_documents([Document("", text) for text in texts])
        if not np.array_equal(KeyList.from_texts(texts).array, keys.array):
            raise BadData("the source changed while it was being embedded. Run the same command again.")
        return DistinctTexts(documents, keys, np.ones(len(rows), dtype=bool), np.arange(len(rows)))
