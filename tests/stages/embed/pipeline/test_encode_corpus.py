"""The contents of a filled store, and what happens on interrupts, errors and full memory."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.documents import Document
from data.errors import BadData, EmbedOnceError, RecipeMismatch, StorageFailed
from featurestore import FeatureStore, plan_pruning, run_compaction, text_key
from stages.embed import EmbedProgress, Encoder, embed
from stages.embed.pipeline import background, encode_corpus
from tests.encoding import encode
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.fakes import CountingNetwork, corpus, counting
from tests.tiny_encoder import SENTENCES

ROOT = Path(__file__).parents[4]
MANY = [f"{SENTENCES[number % 7]} {number} {' '.join(['oil'] * (number % 11))}" for number in range(60)]


@pytest.fixture
def one_document_per_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHARD_BYTES", 1)


def store_of(folder: Path, encoder: Encoder) -> FeatureStore:
    return FeatureStore.create(folder / "store", encoder.recipe)


def test_vectors_in_the_store_are_those_computed_by_hand(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny(keep=("cls", "mean", "max", "segments"), segment=2))
    store = store_of(tmp_path, encoder)
    embed(corpus(["oil price rose"]), encoder, store)
    bags = store.bags([text_key("oil price rose")])
    ids = [
        *encoder.opening,
        *encoder.tokenizer.tokenize(["oil price rose"], encoder.windowing).ids.tolist(),
        *encoder.closing,
    ]
    assert len(ids) == 5
    assert bags.views["mean"].row(0)[0, :3].tolist() == pytest.approx([sum(ids) / 5, (0 + 1 + 2 + 3 + 4) / 5, 1])
    assert bags.views["cls"].row(0)[0, :3].tolist() == [ids[0], 0, 1]
    assert bags.views["max"].row(0)[0, :3].tolist() == [max(ids), 4, 1]
    assert bags.views["segments"].row(0)[:, :2].tolist() == [[(ids[1] + ids[2]) / 2, 1.5], [ids[3], 3]]
    assert network.windows == 1


def test_equal_texts_are_encoded_once_and_counted(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny())
    report = embed(corpus(["oil", "wheat", "oil", "oil", ""]), encoder, store_of(tmp_path, encoder))
    assert network.windows == report.encoded == 3
    assert (report.documents, report.duplicate_texts, report.empty, report.windows) == (5, 2, 1, 3)


def test_a_finished_store_answers_without_a_network(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny()
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)

    def no_network(_: str) -> Any:
        raise AssertionError("the network was opened")

    report = embed(corpus(MANY), replace(encoder, open_network=no_network), store)
    assert (report.encoded, report.already_stored, report.shards) == (0, 60, 0)
    assert report.sentences() == ["60 documents (60 already in the store): there was nothing to encode."]


def test_the_store_returns_what_encoding_returns(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny("roberta", window=9, stride=2, batch_tokens=64, segment=4, keep=("mean", "segments", "tokens"))
    store = store_of(tmp_path, encoder)
    embed(corpus([*MANY, ""]), encoder, store)
    bags = store.bags([text_key(text) for text in [*MANY, ""]])
    arrays = encode([*MANY, ""], encoder).arrays
    for view, name in (("mean", "chunks/mean"), ("segments", "segments/vector"), ("tokens", "tokens/vector")):
        values, offsets = bags.views[view].gather()
        np.testing.assert_allclose(values, arrays[name], atol=1e-5)
        cut = {"mean": "chunk", "segments": "segment", "tokens": "token"}[view]
        assert offsets.tolist() == arrays[f"documents/{cut}_offsets"].tolist()


def test_an_interrupt_keeps_complete_slices_and_the_next_call_encodes_only_the_rest(
    tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 1e-9)
    encoder, network = counting(tiny(batch_tokens=64), interrupt_after=9)
    store = store_of(tmp_path, encoder)
    with pytest.raises(KeyboardInterrupt):
        embed(corpus(MANY), encoder, store)
    assert len(store.shards()) == 1
    missing = store.missing_keys([text_key(text) for text in MANY])
    assert 0 < 60 - len(missing) <= network.windows
    encoder, network = counting(encoder)
    report = embed(corpus(MANY), encoder, store)
    assert network.windows == report.encoded == len(missing)
    assert store.missing_keys([text_key(text) for text in MANY]) == []


CHILD = """
import sys
from pathlib import Path
from stages.embed import Options, embed, open_encoder
from stages.embed.pipeline import background, encode_corpus
from featurestore import FeatureStore
from tests.stages.embed.fakes import corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import MANY
background.SHARD_BYTES, encode_corpus.SLICE_SECONDS = 1, 1e-9
encoder, network = counting(open_encoder(Options(model=sys.argv[1], batch_tokens=64, dtype="float32")), seconds=0.01)
store = FeatureStore.create(Path(sys.argv[2]), encoder.recipe)
embed(corpus(MANY), encoder, store)
"""


def child(folder: Path, store: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(folder), str(store)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def shards_in(store: Path) -> list[Path]:
    return list((store / "shards").glob("[!.]*.h5"))


def test_after_a_kill_only_documents_in_no_shard_are_encoded(tiny: Open, folders: Folders, tmp_path: Path) -> None:
    with child(folders("bert"), tmp_path / "store") as killed:
        deadline = time.monotonic() + 60
        while len(shards_in(tmp_path / "store")) < 5 and time.monotonic() < deadline and killed.poll() is None:
            time.sleep(0.002)
        killed.send_signal(signal.SIGKILL)
    encoder, network = counting(tiny())
    store = FeatureStore.open(tmp_path / "store")
    missing = store.missing_keys([text_key(text) for text in MANY])
    assert 0 < len(missing) < 60
    embed(corpus(MANY), encoder, store)
    assert network.windows == len(missing)
    assert store.verify() == []


@pytest.mark.long
def test_two_processes_fill_one_store_at_the_same_time(folders: Folders, tmp_path: Path) -> None:
    with child(folders("bert"), tmp_path / "store") as one, child(folders("bert"), tmp_path / "store") as other:
        errors = [process.communicate(timeout=300)[1] for process in (one, other)]
    assert (one.returncode, other.returncode, errors) == (0, 0, ["", ""])
    store = FeatureStore.open(tmp_path / "store")
    assert store.verify() == []
    assert store.documents == 60
    bags = store.bags([text_key(text) for text in MANY])
    assert len(bags) == 60


def test_documents_that_another_process_committed_meanwhile_are_skipped(
    tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 1e-9)
    encoder, network = counting(tiny(batch_tokens=64))
    store = store_of(tmp_path, encoder)
    other = FeatureStore.open(store.folder)

    def meanwhile(now: EmbedProgress) -> None:
        if now.documents_total == 60 and other.missing_keys([text_key(MANY[0])]):
            other.commit(encode(MANY, counting(encoder)[0]))

    report = embed(corpus(MANY), encoder, store, meanwhile)
    assert network.windows == report.encoded < 30


def test_documents_that_were_pruned_meanwhile_are_encoded_again(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny()
    store = store_of(tmp_path, encoder)
    embed(corpus(["oil price rose", "wheat"]), encoder, store)
    assert len(store.keys) == 2
    other = FeatureStore.open(store.folder)
    embed(corpus(["wheat"]), encoder, other)
    run_compaction(plan_pruning(other), other)
    assert embed(corpus(["oil price rose", "wheat"]), encoder, store).already_stored == 1
    assert len(FeatureStore.open(store.folder).keys) == 2


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        ({"max_windows": 2, "stride": 2}, 13),
        ({"long": "head"}, 17),
        ({"max_windows": 9}, 0),
        ({"long": "head-tail"}, 17),
        ({"long": "middle"}, 17),
        ({"long": "random:3"}, 17),
        ({"long": "sentences", "max_windows": 3}, 5),
    ],
)
def test_dropped_tokens_are_counted_and_kept(tiny: Open, tmp_path: Path, options: dict[str, Any], dropped: int) -> None:
    encoder, _ = counting(tiny(window=6, **options))
    store = store_of(tmp_path, encoder)
    # 23 tokens: two windows of 6 that share 2 cover 10, the head covers 6
    report = embed(corpus(["oil " * 23, "oil"]), encoder, store)
    assert (report.dropped_tokens, report.dropped_share) == (dropped, dropped / 24)
    assert [sentence for sentence in report.sentences() if "dropped" in sentence] == (
        [f"{dropped / 24:.1%} of the tokens ({dropped}) are in no window and were dropped."] if dropped else []
    )
    assert store.info()["dropped_tokens"] == dropped


def test_a_text_of_100_000_words_is_kept_whole(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny(keep=("mean",)))
    store = store_of(tmp_path, encoder)
    report = embed(corpus(["oil price " * 50_000]), encoder, store)
    assert report.tokens == 100_000
    assert report.windows == network.windows == -(-100_000 // 62)


def test_a_shard_closes_at_its_size(tiny: Open, tmp_path: Path, one_document_per_shard: None) -> None:
    encoder, _ = counting(tiny(batch_tokens=64))
    store = store_of(tmp_path, encoder)
    report = embed(corpus(MANY), encoder, store)
    assert report.shards == len(store.shards()) == 60


def test_a_shard_closes_before_its_time_is_over(tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHARD_SECONDS", 0.3)
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 0.1)
    encoder, network = counting(tiny(batch_tokens=64), seconds=0.02)
    store = store_of(tmp_path, encoder)
    report = embed(corpus(MANY), encoder, store)
    assert len(network.batches) * 0.02 / 0.3 <= report.shards <= len(network.batches)
    assert report.shards > 1


class NanNetwork(CountingNetwork):
    """A network that gives NaN for windows with the token `bad`, unless it is finite."""

    def __init__(self, dim: int, bad: int, *, finite: bool) -> None:
        super().__init__(dim)
        self.bad, self.finite = bad, finite

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        hidden = super().__call__(ids, lengths)[0]
        if not self.finite:
            hidden[(ids == self.bad).any(1)] = torch.nan
        return [hidden]


def bad_token(encoder: Encoder) -> int:
    return int(encoder.tokenizer.tokenize(["graphics"], encoder.windowing).ids[0])


def test_a_document_without_finite_vectors_is_named_and_skipped(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(window=6)
    network = NanNetwork(encoder.dim, bad_token(encoder), finite=False)
    encoder = replace(encoder, open_network=lambda _: network)
    store = store_of(tmp_path, encoder)
    texts = ["oil", "oil " * 20 + "graphics", "price", "graphics"]
    report = embed(corpus(texts), encoder, store)
    assert (report.failed, report.encoded) == (("d1", "d3"), 2)
    assert store.missing_keys([text_key(text) for text in texts]) == [text_key(texts[1]), text_key(texts[3])]
    assert report.sentences()[-1] == "2 documents skipped, because their vectors are not finite: 'd1', 'd3'."
    keys = [text_key(text) for text in [*texts, "another"]]
    assert FeatureStore.open(store.folder).unencodable(keys).tolist() == [False, True, False, True, False]
    assert store.verify() == []  # there is nothing that `embed` could encode again
    with pytest.raises(BadData, match=r"1 of 2 documents have no finite vectors\.$"):
        store.select(keys[:2])
    with pytest.raises(BadData, match=r"1 of 3 documents have no features\. Run the same"):
        store.select([*keys[:2], keys[4]])


def test_a_batch_with_nan_in_half_precision_is_repeated_in_float32(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(precision="bfloat16")
    networks = {
        precision: NanNetwork(encoder.dim, bad_token(encoder), finite=precision == "float32")
        for precision in ("float32", "bfloat16")
    }
    encoder = replace(encoder, open_network=networks.__getitem__, batch_tokens=5)
    report = embed(corpus(["oil", "graphics", "price"]), encoder, store_of(tmp_path, encoder))
    assert (report.encoded, report.failed) == (3, ())
    # each window is encoded once, and once for the distance to float32
    assert (networks["bfloat16"].windows, networks["float32"].windows) == (3 + 3, 1 + (3 + 1))
    assert report.float32_similarity is not None
    assert report.float32_similarity.mean == pytest.approx(1)


def test_values_too_large_for_float16_are_refused_and_complete_slices_stay(
    tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 1e-9)
    encoder = tiny(dtype="float16", batch_tokens=1)
    bad = bad_token(encoder)

    def large(ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        return [torch.full((*ids.shape, encoder.dim), 65_504.0) * (1 + (ids == bad).any(1))[:, None, None]]

    encoder = replace(encoder, open_network=lambda _: large)
    store = store_of(tmp_path, encoder)
    with pytest.raises(EmbedOnceError, match=r"values up to 131,008, but float16 ends at 65,504.*--dtype"):
        embed(corpus(["graphics", *MANY[:3]]), encoder, store)
    assert text_key("graphics") in store.missing_keys([text_key("graphics")])
    embed(corpus(MANY[:3]), encoder, store)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_each_number_type_is_read_back_within_its_rounding(tiny: Open, tmp_path: Path, dtype: str) -> None:
    exact = encode(SENTENCES, tiny()).arrays["chunks/mean"]
    encoder = tiny(dtype=dtype)
    store = store_of(tmp_path, encoder)
    embed(corpus(SENTENCES), encoder, store)
    values, _ = store.bags([text_key(text) for text in SENTENCES]).views["mean"].gather()
    step = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-20}[dtype]
    np.testing.assert_allclose(values, exact, rtol=step, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_near_float32(tiny: Open, precision: str) -> None:
    exact = encode(SENTENCES, tiny()).arrays["chunks/mean"]
    near = encode(SENTENCES, tiny(precision=precision)).arrays["chunks/mean"]
    assert 0 < np.abs(near - exact).max() < 0.2


def test_the_corpus_is_in_the_store_before_anything_is_encoded(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny(), interrupt_after=0)
    store = store_of(tmp_path, encoder)
    with pytest.raises(KeyboardInterrupt):
        embed(corpus(MANY), encoder, store)
    table = store.corpus("sample")
    assert list(table.ids) == [f"d{row}" for row in range(60)]
    assert list(table.keys) == [text_key(text) for text in MANY]
    assert (table.labels[0], table.splits[0], table.kind) == (("no",), "train", "single")
    assert not store.shards()


def test_an_edited_label_is_replaced_by_that_of_the_source_with_a_note(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)
    path = store.folder / "corpora" / "sample.csv"
    path.write_text(path.read_text().replace("train,,yes", "train,,maybe", 1))
    report = embed(corpus(MANY), encoder, store)
    assert report.notes == (
        "sample: 1 document had another label, split or group in the store (the first: 'd1'); "
        "the values of the source replaced them.",
    )
    assert store.corpus("sample").labels[1] == ("yes",)
    assert embed(corpus(MANY), encoder, store).notes == ()


def test_an_unchanged_corpus_is_not_written_again(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)
    path = store.folder / "corpora" / "sample.csv"
    os.utime(path, (0, 0))
    embed(corpus(MANY), encoder, store)
    assert path.stat().st_mtime == 0


def test_new_and_removed_documents_are_reported(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY[:5]), encoder, store)
    report = embed(corpus([*MANY[:4], "new", "newer"]), encoder, store)
    assert report.notes == (
        "sample: the store had 5 documents of this corpus and now has 6, 2 of them with a new id or text. "
        "To keep both versions, embed into another --store, or rename the file.",
    )
    assert network.windows == 7


def test_a_corpus_file_that_cannot_be_read_is_written_again(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)
    (store.folder / "corpora" / "sample.csv").write_text("nothing\n1\n")
    assert "It was written again." in embed(corpus(MANY), encoder, store).notes[0]
    assert len(store.corpus("sample").ids) == 60


def test_progress_counts_up_to_the_totals(tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 1e-9)
    encoder, _ = counting(tiny(batch_tokens=64))
    updates: list[EmbedProgress] = []
    report = embed(corpus(MANY), encoder, store_of(tmp_path, encoder), updates.append)
    tokens = [now.tokens for now in updates]
    assert tokens == sorted(tokens)
    assert tokens[-1] == updates[-1].tokens_total == report.tokens
    assert {now.tokens_total for now in updates} == {report.tokens}
    assert {now.documents_total for now in updates} == {60}
    assert updates[0].seconds_left is not None
    assert updates[-1].seconds_left == 0


def test_a_full_disk_is_not_tried_again(tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    attempts = []

    def full(content: Any) -> Path:
        attempts.append(content)
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(store, "commit", full)
    with pytest.raises(StorageFailed, match=re.escape("The disk is full.")):
        embed(corpus(MANY), encoder, store)
    assert len(attempts) == 1


def test_a_store_of_another_recipe_is_refused_field_by_field(tiny: Open, tmp_path: Path) -> None:
    store = store_of(tmp_path, tiny(window=20))
    with pytest.raises(RecipeMismatch, match="store: window is 20 in this store, 30 was requested"):
        embed(corpus(MANY), tiny(window=30), store)
    assert store.corpora() == []


def test_the_report_is_kept_as_a_record(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)
    record = next((store.folder / "records").glob("embed*.json")).read_text()
    assert '"encoded": 60' in record
    assert '"corpus": "sample"' in record


def test_lone_surrogates_and_other_alphabets_do_not_stop_it(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny("roberta")
    texts = ["a\ud800b", "\udfff", "한국어", "\0", "😀", "\u202e", "a" * 5000]
    report = embed(corpus(texts), encoder, store_of(tmp_path, encoder))
    assert report.encoded == len(texts)


def test_an_empty_corpus_is_no_work(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny())
    report = embed(corpus([]), encoder, store_of(tmp_path, encoder))
    assert (report.documents, report.encoded, network.windows) == (0, 0, 0)


def test_padding_is_reported(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny(batch_tokens=100))
    documents = corpus(["oil " * 8, "oil " * 7])
    assert documents.documents[0] == Document("d0", "oil " * 8, ("no",), "train")
    report = embed(documents, encoder, store_of(tmp_path, encoder))
    # 10 and 9 positions with special tokens, padded to 10 and 10: a batch of its own would cost more
    assert report.padding_efficiency == 19 / 20


class MemoryLimitedNetwork(CountingNetwork):
    """A network that runs out of memory for batches of more than `limit` positions."""

    def __init__(self, dim: int, limit: int) -> None:
        super().__init__(dim)
        self.limit = limit

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        if ids.numel() > self.limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().__call__(ids, lengths)


def test_out_of_memory_halves_the_budget_and_is_reported(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(batch_tokens=1000)
    network = MemoryLimitedNetwork(encoder.dim, limit=150)
    encoder = replace(encoder, open_network=lambda _: network)
    store = store_of(tmp_path, encoder)
    report = embed(corpus(MANY), encoder, store)
    assert report.encoded == network.windows == 60
    assert 62 <= report.batch_tokens <= 150
    assert f"the batches were reduced to {report.batch_tokens:,} tokens." in report.sentences()[1]
    assert report.sentences()[1].startswith("Memory ran out ")
    plenty, _ = counting(encoder)
    values, _ = store.bags([text_key(text) for text in MANY]).views["mean"].gather()
    np.testing.assert_allclose(values, encode(MANY, plenty).arrays["chunks/mean"], rtol=1e-6)


def test_a_single_window_that_does_not_fit_into_memory_is_reported(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(batch_tokens=1000)
    network = MemoryLimitedNetwork(encoder.dim, limit=5)
    encoder = replace(encoder, open_network=lambda _: network)
    with pytest.raises(
        EmbedOnceError,
        match=r"One window of 9 positions does not fit into memory\. Use --device cpu, or",
    ):
        embed(corpus(["oil " * 7, "oil"]), encoder, store_of(tmp_path, encoder))
