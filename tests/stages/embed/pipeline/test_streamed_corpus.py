"""Embedding a corpus whose texts are read from its files again: the same store, also after an interrupt."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.documents import Corpus, Documents
from data.errors import BadData
from data.packed import StreamedTexts
from data.readers import file_sizes, is_read_at_once, read_corpus, report_reading
from data.source_spec import SourceSpec
from data.splitting.train_test_split import assign_splits
from featurestore import FeatureStore, text_key
from stages.embed import Encoder, embed
from stages.embed.encoder.options import Options
from stages.embed.pipeline import background, embed_source, estimate
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.windows.corpus_part import CorpusPart
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import counting
from tests.tiny_encoder import SENTENCES

TEXTS = [f"{SENTENCES[number % 7]} {number % 50} {' '.join(['oil'] * (number % 11))}" for number in range(60)]
Read = Callable[[], Corpus]


@pytest.fixture
def files(tmp_path: Path) -> str:
    """A pattern of three files, some of whose texts are equal."""
    for file in range(3):
        rows = [{"text": text, "label": ["no", "yes"][row % 2]} for row, text in enumerate(TEXTS[file::3])]
        (tmp_path / f"part-{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"{tmp_path}/part-*.jsonl"


@pytest.fixture
def streamed(files: str, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.setattr("data.readers.corpus_from_table.MOST_TEXT_BYTES", 500)

    def read() -> Corpus:
        corpus = assign_splits(read_corpus(files), 0)
        assert isinstance(Documents.from_documents(corpus.documents).texts, StreamedTexts)
        return corpus

    return read


def store_of(folder: Path, encoder: Encoder) -> FeatureStore:
    return FeatureStore.create(folder / "store", encoder.recipe)


def test_a_streamed_corpus_makes_the_store_of_one_in_memory(
    tiny: Open, tmp_path: Path, files: str, streamed: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = counting(tiny())
    store, other = store_of(tmp_path / "one", encoder), store_of(tmp_path / "other", encoder)
    report = embed(streamed(), encoder, store)
    monkeypatch.undo()
    in_memory = embed(assign_splits(read_corpus(files), 0), encoder, other)
    assert (report.encoded, report.duplicate_texts) == (in_memory.encoded, in_memory.duplicate_texts)
    assert store.corpus("part") == other.corpus("part")
    keys = store.corpus("part").keys
    mean, expected = (each.bags(keys).views["mean"] for each in (store, other))
    for row in range(0, len(TEXTS), 10):
        np.testing.assert_allclose(mean.row(row), expected.row(row), atol=1e-5)


def test_an_interrupted_stream_resumes_where_it_was(
    tiny: Open, tmp_path: Path, streamed: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "SHARD_BYTES", 1)
    monkeypatch.setattr("stages.embed.pipeline.length_buckets.BUFFER_DOCUMENTS", 10)
    encoder, _ = counting(tiny(batch_tokens=40), interrupt_after=4)
    store = store_of(tmp_path, encoder)
    with pytest.raises(KeyboardInterrupt):
        embed(streamed(), encoder, store)
    store = FeatureStore.open(tmp_path / "store")
    before = store.documents
    assert 0 < before < len(set(TEXTS))
    encoder, network = counting(tiny(batch_tokens=40))
    report = embed(streamed(), encoder, store)
    assert report.already_stored == before
    assert report.encoded == network.windows == len(set(TEXTS)) - before
    assert set(store.keys) == {text_key(text) for text in TEXTS}


def test_parts_of_a_stream_are_the_whole(tiny: Open, tmp_path: Path, streamed: Read) -> None:
    encoder, network = counting(tiny())
    store = store_of(tmp_path, encoder)
    reports = [embed(streamed(), encoder, store, part=CorpusPart(number, 3)) for number in (1, 2, 3)]
    assert sum(report.encoded for report in reports) == network.windows == len(set(TEXTS))
    assert reports[-1].missing_in_other_parts == 0


def test_a_text_that_changes_between_the_passes_is_refused(tiny: Open, tmp_path: Path, streamed: Read) -> None:
    encoder, _ = counting(tiny())
    corpus = streamed()
    path = tmp_path / "part-1.jsonl"
    path.write_text(path.read_text().replace("oil price", "gas price"))
    with pytest.raises(BadData, match="The text of document 'part-1-3' changed while it was being embedded"):
        embed(corpus, encoder, store_of(tmp_path, encoder))


def test_each_device_reads_the_files_itself(streamed: Read, files: str, tmp_path: Path) -> None:
    corpus = streamed()
    request = EmbedRequest(source=corpus, options=Options(), seed=3)
    jobs = embed_source._create_jobs(request, tmp_path, ["cpu", "cpu"])
    passed = [job.args[0] for job in jobs.values()]  # type: ignore[attr-defined]
    assert [each.source for each in passed] == [files, files]
    assert [document.id for document in passed[0].read().documents] == [document.id for document in corpus.documents]


def test_the_dry_run_of_a_large_corpus_tokenizes_a_sample(
    tiny: Open, streamed: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tiny()
    exact = estimate.estimate(streamed(), encoder, None)
    monkeypatch.setattr(estimate, "SIZED_DOCUMENTS", 10)
    rough = estimate.estimate(streamed(), encoder, None)
    assert (exact.tokenized, rough.tokenized) == (len(set(TEXTS)), -(-len(set(TEXTS)) // (len(set(TEXTS)) // 10)))
    assert rough.tokens == pytest.approx(exact.tokens, rel=0.2)
    assert rough.bytes == pytest.approx(exact.bytes, rel=0.2)


def test_texts_are_sampled_from_a_large_corpus_in_one_pass(streamed: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = DistinctTexts.of(streamed())
    assert list(texts.sample(texts.rows)) == list(dict.fromkeys(document.text for document in streamed().documents))
    monkeypatch.setattr("stages.embed.pipeline.distinct_texts.MOST_SAMPLED_FROM", 20)
    monkeypatch.setattr("stages.embed.pipeline.distinct_texts.SAMPLED_TEXTS", 5)
    sample = texts.sample(texts.rows)
    assert len(sample) == len(set(sample) & set(TEXTS)) == 5
    assert list(sample) == list(texts.sample(texts.rows))


def test_several_files_are_named_in_what_the_corpus_knows(streamed: Read, files: str) -> None:
    corpus = streamed()
    assert (corpus.name, corpus.source) == ("part", files)
    assert read_corpus(corpus.source, SourceSpec(), corpus.spec).documents[0].text == corpus.documents[0].text


def test_a_source_that_takes_minutes_to_read_is_announced(files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_source, "LARGE_SOURCE", 100)
    monkeypatch.setattr("data.readers.files._BYTES_BETWEEN_REPORTS", 1)
    monkeypatch.setattr(embed_source, "resolve_encoding", stop)
    notes, shown = list[str](), list[tuple[float, float]]()
    request = EmbedRequest(source=files, options=Options(device="cpu"))
    with pytest.raises(InterruptedError):
        embed_source.embed_source(
            request, notify=notes.append, progress=lambda _: None, reading=lambda *state: shown.append(state)
        )
    assert notes[0].startswith(f"{files} has ")
    assert notes[0].endswith(" kB, all of which is read before the first text is encoded")
    total = sum(file_sizes(files, SourceSpec()).values())
    assert len(shown) >= 3 and shown == sorted(shown) and shown[-1] == (total, total)


def stop(*_: object) -> None:
    raise InterruptedError


def test_a_file_that_is_read_at_once_is_named_before(tmp_path: Path) -> None:
    for name, content in {
        "a.jsonl": '{"text": "a"}\n',
        "b.json": '\ufeff [{"text": "b"}]',
        "c.csv": "text\nc\n",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "d.parquet.gz").write_bytes(gzip.compress(b""))
    sizes = file_sizes(str(tmp_path), SourceSpec())
    assert [file.name for file in sizes] == ["a.jsonl", "b.json", "c.csv", "d.parquet.gz"]
    assert [file.name for file in sizes if is_read_at_once(file)] == ["b.json", "d.parquet.gz"]
    assert embed_source._size_note("data", sizes).endswith(
        f"; {tmp_path / 'b.json'} is in memory meanwhile, which JSON Lines or Parquet would not be"
    )
    assert file_sizes("reuters52", SourceSpec()) == file_sizes("-", SourceSpec()) == {}


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_each_pass_over_a_file_is_reported_up_to_its_end(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.readers.files._BYTES_BETWEEN_REPORTS", 1)
    path, shown = tmp_path / f"letters.{ending}", list[tuple[float, float]]()
    table = "text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(2000))
    if ending == "parquet":
        pd.read_csv(io.StringIO(table)).to_parquet(path)
    else:
        path.write_bytes(gzip.compress(table.encode()) if ending == "csv.gz" else table.encode())
    sizes = file_sizes(str(path), SourceSpec())
    with report_reading(sizes, lambda *state: shown.append(state)):
        read_corpus(str(path))
    assert (sizes[path], sizes[path]) in shown
    assert len(shown) > 1
    shown.clear()
    read_corpus(str(path))
    assert shown == []
