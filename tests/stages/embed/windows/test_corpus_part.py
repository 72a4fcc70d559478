"""Parts of a corpus: several machines, one store."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import CallError
from featurestore import KeyList, text_key
from stages.embed import embed
from stages.embed.windows.corpus_part import CorpusPart
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import MANY, store_of


@given(st.lists(st.text(max_size=5), max_size=20), st.integers(1, 9))
def test_every_document_is_in_exactly_one_part(texts: list[str], count: int) -> None:
    keys = KeyList.from_texts(texts)
    owners = np.stack([CorpusPart(number, count).contains(keys) for number in range(1, count + 1)])
    assert (owners.sum(0) == 1).all()
    assert owners.argmax(0).tolist() == [int(key[:16], 16) % count for key in keys]


def test_parts_are_about_equal() -> None:
    keys = KeyList.from_texts(str(number) for number in range(4000))
    assert all(900 < CorpusPart(number, 4).contains(keys).sum() < 1100 for number in range(1, 5))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/", "/2", "a/b", "-1/2", "1/2/3", "1.0/2"])
def test_an_invalid_part_raises_an_error(text: str) -> None:
    with pytest.raises(
        CallError, match=f"--part {text} is not valid: parts are counted from 1, as in --part 1/8 to --part 8/8"
    ):
        CorpusPart.parse(text)


def test_all_parts_are_the_corpus_and_each_reports_what_is_missing(tiny: Open, tmp_path: Path) -> None:
    texts = [*MANY, MANY[0], MANY[1]]
    encoder, network = counting(tiny())
    store = store_of(tmp_path, encoder)
    first = embed(corpus(texts), encoder, store, part=CorpusPart.parse("1/2"))
    assert list(store.corpus("sample").ids) == [f"d{row}" for row in range(62)]
    assert first.part == "1/2"
    assert 0 < first.encoded < 60
    assert first.missing_in_other_parts == 62 - first.documents
    assert first.sentences()[0].startswith(f"Part 1/2: {first.documents} documents")
    assert first.sentences()[-1] == f"{first.missing_in_other_parts} documents of the other parts still to encode."
    second = embed(corpus(texts), encoder, store, part=CorpusPart.parse("2/2"))
    assert first.documents + second.documents == 62
    assert network.windows == first.encoded + second.encoded == 60
    assert second.missing_in_other_parts == 0
    assert second.sentences()[-1] == "All other parts are complete."
    assert store.missing_keys([text_key(text) for text in texts]) == []


def test_equal_texts_are_in_one_part(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny())
    store = store_of(tmp_path, encoder)
    reports = [embed(corpus(["oil"] * 5), encoder, store, part=CorpusPart(number, 3)) for number in (1, 2, 3)]
    assert sorted(report.documents for report in reports) == [0, 0, 5]
