"""A dry run predicts what encoding does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import RecipeMismatch
from featurestore import text_key
from stages.embed import embed
from stages.embed.pipeline import estimate
from stages.embed.pipeline.estimate import estimate as estimate_corpus
from stages.embed.windows.corpus_part import CorpusPart
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import MANY, store_of

TEXTS = [*MANY, *(f"{text} {text} {text}" for text in MANY), "", MANY[0]]
OPTIONS: list[dict[str, Any]] = [
    {"keep": ("cls", "mean", "max", "segments"), "segment": 4, "dtype": "float16"},
    {"keep": ("mean",), "long": "head"},
    {"keep": ("tokens",), "layers": "-1,-2", "long": "head-tail", "dtype": "bfloat16"},
    {"keep": ("cls", "tokens"), "stride": 3, "max_windows": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_counts_and_bytes_are_those_of_encoding(tiny: Open, tmp_path: Path, options: dict[str, Any]) -> None:
    encoder = tiny(window=12, **options)
    result = estimate_corpus(corpus(TEXTS), encoder, None)
    store = store_of(tmp_path, encoder)
    report = embed(corpus(TEXTS), encoder, store)
    assert (result.documents, result.distinct, result.already_stored) == (122, report.encoded, 0)
    assert (result.windows, result.dropped_tokens) == (report.windows, report.dropped_tokens)
    assert result.dropped_share == report.dropped_share
    written = sum(path.stat().st_size for path in (store.folder / "shards").iterdir())
    assert result.bytes == pytest.approx(written, rel=0.03, abs=8192)


def test_texts_in_a_script_that_the_encoder_lacks_are_counted(tiny: Open, tmp_path: Path) -> None:
    texts = corpus([*MANY, "สวัสดี", "ครับ"])
    assert estimate_corpus(texts, tiny(), None).mostly_unknown == 2
    report = embed(texts, tiny(), store_of(tmp_path, tiny()))
    assert report.mostly_unknown == 2
    assert any("2 texts consist mostly of words that the encoder does not know" in line for line in report.sentences())


def test_a_head_holds_the_largest_view_of_all_layers(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(dtype="float16", layers="-1,-2", keep=("mean", "segments"), segment=4)
    result = estimate_corpus(corpus(MANY), encoder, None)
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY), encoder, store)
    values, _ = store.bags([text_key(text) for text in MANY], layer=None).views["segments"].gather(np.float16)
    assert result.head_bytes == values.nbytes


def test_stored_texts_cost_no_time_and_no_bytes(tiny: Open, tmp_path: Path) -> None:
    encoder, network = counting(tiny())
    store = store_of(tmp_path, encoder)
    embed(corpus(MANY[:40]), encoder, store)
    before = network.windows
    result = estimate_corpus(corpus(MANY), encoder, store)
    assert (result.distinct, result.already_stored) == (60, 40)
    assert network.windows - before == 20
    assert result.head_bytes == estimate_corpus(corpus(MANY), encoder, None).head_bytes
    embed(corpus(MANY), encoder, store)
    result = estimate_corpus(corpus(MANY), encoder, store)
    assert (result.bytes, result.seconds, result.sample_windows) == (0, None, 0)


def test_time_is_that_of_the_sample_scaled_to_all(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "SAMPLE_DOCUMENTS", 20)
    encoder, network = counting(tiny(batch_tokens=40), seconds=0.01)
    result = estimate_corpus(corpus([f"oil {number}" for number in range(100)]), encoder, None)
    assert network.windows == 20
    assert result.sample_windows < 20, "the first batch is not timed"
    assert result.seconds is not None
    # batches hold 40 positions and take 0.01 s or more; 100 windows have 4 positions or more each
    assert result.seconds >= 0.01 * 100 * 4 / 40


def test_a_sample_ends_when_its_time_is_over(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "SAMPLE_SECONDS", 0.0)
    encoder, network = counting(tiny(batch_tokens=64))
    assert estimate_corpus(corpus(MANY), encoder, None).seconds is not None
    assert len(network.batches) == 1


def test_nothing_is_written(tiny: Open, tmp_path: Path, own_cache: Path) -> None:
    encoder, _ = counting(tiny())
    estimate_corpus(corpus(MANY), encoder, None)
    assert list(tmp_path.iterdir()) == list(own_cache.iterdir()) == []


def test_only_the_requested_part_is_estimated(tiny: Open) -> None:
    encoder, _ = counting(tiny())
    parts = [estimate_corpus(corpus(MANY), encoder, None, CorpusPart(number, 2)) for number in (1, 2)]
    assert sum(part.documents for part in parts) == 60
    assert sum(part.tokens for part in parts) == estimate_corpus(corpus(MANY), encoder, None).tokens


def test_a_store_of_another_recipe_is_refused(tiny: Open, tmp_path: Path) -> None:
    store = store_of(tmp_path, tiny(window=20))
    with pytest.raises(RecipeMismatch, match="store: window is 20 in this store, 30 was requested"):
        estimate_corpus(corpus(MANY), tiny(window=30), store)


def test_an_empty_corpus_costs_nothing(tiny: Open) -> None:
    encoder, network = counting(tiny())
    result = estimate_corpus(corpus([]), replace(encoder), None)
    assert (result.tokens, result.bytes, result.seconds, network.windows) == (0, 0, None, 0)


def test_the_free_memory_of_the_machine_decides_whether_it_fits(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, _ = counting(tiny())
    for free, fits in ((2**40, True), (100, False), (None, None)):
        monkeypatch.setattr(estimate, "free_memory", lambda free=free: free)
        assert estimate_corpus(corpus(MANY), encoder, None).fits is fits
