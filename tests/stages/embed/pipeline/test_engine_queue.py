"""Encoding on an engine: the same store as in one process, small items, and what a worker checks before the first."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.documents import Documents
from data.errors import CallError, EmbedOnceError
from data.packed import StreamedTexts
from featurestore import FeatureStore, KeyList, text_key
from stages.embed import Options
from stages.embed.pipeline import embed_source as module
from stages.embed.pipeline import engine_queue
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.engine_queue import DocumentQueue
from stages.embed.pipeline.engine_worker import EmbedFactory, EmbedItem, EmbedResult, EmbedWorker, hash_corpus
from stages.embed.pipeline.progress import EmbedCounters, EmbedProgress, EmbedReport
from stages.embed.windows.corpus_part import CorpusPart
from tests.stages.embed.conftest import Folders
from tests.stages.embed.fakes import corpus
from tests.stages.embed.pipeline.test_encode_corpus import MANY
from tests.stages.engines.simulated import InProcess

KEYS = sorted({text_key(text) for text in MANY})


@pytest.fixture
def request_of(tmp_path: Path, folders: Folders) -> Iterator[EmbedRequest]:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": str(row % 3)}) + "\n" for row, text in enumerate(MANY)))
    options = Options(model=str(folders("bert")), backend="torch", dtype="float32", device="cpu", keep=("mean",))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine_queue, "FIRST_TOKENS", 100)
        patched.setenv("OMP_NUM_THREADS", "1")  # as a worker sets it for its process
        yield EmbedRequest(source=str(path), options=options, store=tmp_path / "store", on="local")


def encode(
    request: EmbedRequest, engine: InProcess, monkeypatch: pytest.MonkeyPatch
) -> tuple[FeatureStore, EmbedReport, list[str], list[EmbedProgress]]:
    notes: list[str] = []
    shown: list[EmbedProgress] = []
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    store, report = embed_source(request, notify=notes.append, progress=shown.append)
    return store, report, notes, shown


def test_an_engine_fills_a_store_as_one_process_does(
    request_of: EmbedRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone_request = replace(request_of, on=None, store=tmp_path / "alone")
    alone, one = embed_source(alone_request, notify=lambda _: None, progress=lambda _: None)
    store, report, _, shown = encode(request_of, engine := InProcess(), monkeypatch)
    same = ("documents", "encoded", "already_stored", "duplicate_texts", "windows", "tokens", "failed", "part")
    assert {name: getattr(report, name) for name in same} == {name: getattr(one, name) for name in same}
    np.testing.assert_allclose(store.bags(KEYS).pooled(("mean",)), alone.bags(KEYS).pooled(("mean",)), atol=1e-5)
    assert store.corpus("many").keys == alone.corpus("many").keys
    assert len(engine.items) > 2 and report.shards == len(store.shards())
    assert (shown[-1].documents, shown[-1].seconds_left, shown[-1].workers) == (len(KEYS), 0.0, 1)
    assert encode(request_of, again := InProcess(), monkeypatch)[1].encoded == 0 and not again.items


def test_items_are_small_however_many_documents_they_have(
    request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(request_of, engine := InProcess(), monkeypatch)
    assert sorted(row for item in engine.items for row in item.rows) == [
        MANY.index(text) for text in dict.fromkeys(MANY)
    ]
    rows = np.flatnonzero(np.random.default_rng(0).random(engine_queue.MAX_SPAN) < 0.5)
    np.testing.assert_array_equal(EmbedItem.of(7 + rows).rows, 7 + rows)
    assert len(pickle.dumps(EmbedItem.of(rows))) < 100_000  # more would go through Ray's object store


def test_what_a_lost_worker_has_committed_is_not_encoded_again(
    request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, report, notes, _ = encode(request_of, InProcess(dies=[1, 3]), monkeypatch)
    assert sum("was lost (killed): another worker gets its item" in note for note in notes) == 2
    assert sum(len(shard.keys) for shard in store.shards()) == len(KEYS) == len(set(store.keys))
    assert report.encoded < len(KEYS)  # the rest was committed, and its report lost


def test_a_part_of_a_corpus_is_encoded_on_an_engine(request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    store, report, _, _ = encode(replace(request_of, part=CorpusPart(1, 3)), InProcess(), monkeypatch)
    assert report.part == "1/3" and 0 < len(set(store.keys)) < len(KEYS)
    assert report.missing_in_other_parts > 0


def queue_of(tmp_path: Path, encoder: Any, texts: list[str], **options: Any) -> tuple[DocumentQueue, FeatureStore]:
    store = FeatureStore.create(tmp_path / "shared", encoder.recipe)
    distinct = DistinctTexts.of(corpus(texts))
    return DocumentQueue(distinct, distinct.missing(store), store, lambda _: None, **options), store


def test_documents_that_another_coordinator_commits_are_left_out(
    request_of: EmbedRequest, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    encoder = tiny("bert", keep=("mean",))
    queue, store = queue_of(tmp_path, encoder, MANY, clock=lambda: now[0])
    first = queue.take("a")
    assert first is not None
    now[0] += 5
    engine_store = FeatureStore.open(store.folder)
    from stages.embed import embed

    embed(corpus(MANY), encoder, engine_store)  # of another call, after the open item was handed out
    now[0] += 20
    assert queue.take("b") is not None  # the shard may be of the open item
    queue.lose("a")
    queue.lose("b")
    now[0] += 20
    assert queue.take("b") is None and queue.is_empty


def test_the_rest_of_a_lost_item_says_nothing_about_the_speed_of_a_worker(tmp_path: Path, tiny: Any) -> None:
    queue, _ = queue_of(tmp_path, tiny("bert", keep=("mean",)), [f"text {row}" for row in range(1000)])
    queue._sizes.first = 100.0
    item = queue.take("lost")
    assert item is not None and len(item.rows) < 20
    queue.lose("lost")
    one = EmbedCounters(encoded=1).report(documents=0, distinct=0, already_stored=0, seconds=0.0)
    queue.finish("b", item, EmbedResult(one, (), frozenset()), 1e-6)  # all but one document was committed
    following = queue.take("b")
    assert following is not None and len(following.rows) < 20


def factory_of(request: EmbedRequest, monkeypatch: pytest.MonkeyPatch) -> EmbedFactory:
    """The factory of a run that has filled a store."""
    store, *_ = encode(request, InProcess(), monkeypatch)
    texts = DistinctTexts.of(request.read())
    return EmbedFactory(
        request=request,
        store=store.location,
        documents=len(texts.keys),
        corpus_hash=hash_corpus(texts.keys),
    )


def test_a_worker_that_reads_other_texts_refuses(request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = factory_of(request_of, monkeypatch)
    with Path(str(request_of.source)).open("a") as file:
        file.write('{"text": "one more", "label": "1"}\n')
    with pytest.raises(CallError, match=r"has other texts than where the command was started \(\d+ documents, there"):
        factory.open(1)


def test_a_worker_that_cannot_read_the_source_or_the_store_refuses(
    request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = factory_of(request_of, monkeypatch)
    with pytest.raises(CallError, match="is not a feature store"):
        replace(factory, store=Path("/no/such/store")).open(1)
    Path(str(request_of.source)).unlink()
    with pytest.raises(CallError, match=r"many\.jsonl"):
        factory.open(1)


def test_a_worker_with_another_encoder_refuses(
    request_of: EmbedRequest, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = factory_of(request_of, monkeypatch)
    other = replace(request_of, options=replace(request_of.options, model=str(folders("roberta"))))
    with pytest.raises(CallError, match="the encoder differs from that of the store"):
        replace(factory, request=other).open(1)


def test_what_workers_cannot_read_or_use_is_refused_before_an_engine_starts() -> None:
    with pytest.raises(CallError, match="--on needs a source that every worker can read"):
        EmbedRequest(source="-", on="ray")
    with pytest.raises(CallError, match="--on needs a source"):
        EmbedRequest(source=corpus(["a"]), on="ray")
    with pytest.raises(CallError, match="leave --device cpu,cpu out"):
        EmbedRequest(source="a.csv", options=Options(device="cpu,cpu"), on="ray")


def test_vectors_that_are_not_in_the_store_as_it_is_seen_here_are_an_error(
    request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.embed.pipeline.engine_worker.EncodingRun.encode", lambda *_: None)
    with pytest.raises(EmbedOnceError, match="The store must be on a file system that all nodes share"):
        encode(request_of, InProcess(), monkeypatch)


def test_a_worker_reads_streamed_texts_once_if_its_items_are_in_their_order() -> None:
    reads = list[int]()

    def read() -> Iterator[str]:
        reads.append(1)
        return map(str, range(100))

    texts = StreamedTexts("many.jsonl", 100, read)
    unknown = [None] * 100
    documents = Documents([""] * 100, texts, unknown, unknown, unknown)
    distinct = DistinctTexts(documents, KeyList.from_texts(texts), np.ones(100, dtype=bool), np.arange(100))
    worker = EmbedWorker(distinct, SimpleNamespace(is_compared_with_float32=False), None)  # type: ignore[arg-type]
    reads.clear()
    for rows in ([3, 5], [6], [50, 99]):
        assert list(worker._read(np.array(rows)).documents.texts) == [str(row) for row in rows]
    assert len(reads) == 1
    assert list(worker._read(np.array([7, 8])).documents.texts) == ["7", "8"]  # the item of a lost worker
    assert len(reads) == 2
    assert [text for _, text in distinct.pairs(np.array([9, 11]))] == ["9", "11"]
    assert [text for _, text in distinct.pairs(np.array([12]))] == ["12"]
    assert len(reads) == 2
