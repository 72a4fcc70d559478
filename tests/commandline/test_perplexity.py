"""`embedonce perplexity` as a person calls it, with a tiny encoder."""

import csv
import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.tiny_encoder import SENTENCES, make_encoder


@pytest.fixture
def call(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that every call here shares; the table and the encoder are there."""
    folder = make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")
    rows = "".join(f'{number},"{SENTENCES[number % 7]} {number}",{number % 2}\n' for number in range(30))
    (tmp_path / "table.csv").write_text(f"id,text,label\n{rows}", encoding="utf-8")
    return ["perplexity", str(folder), "table.csv", "--device", "cpu", "--masked-tokens", "2"]


def test_the_result_is_a_table_and_a_tied_head_is_reported(embedonce: Run, call: list[str]) -> None:
    result = embedonce(*call)
    assert result.code == 0
    assert "24 of train" in result.out and "48 of them, at random, up to 2 each" in result.out
    assert "has no head for masked tokens" in result.err


def test_json_has_the_value_with_its_interval(embedonce: Run, call: list[str]) -> None:
    values = json.loads(embedonce(*call, "--json", "--of", "all", "--documents", "all").out)
    low, high = values["interval"]
    assert 1 < low < values["perplexity"] < high
    assert (values["documents"], values["masked_tokens"], values["head"], values["of"]) == (30, 60, "tied", "all")


def test_a_value_for_each_document_is_written_on_request(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    assert embedonce(*call, "--documents", "5", "--per-document", "each.csv").code == 0
    with (tmp_path / "each.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert list(rows[0]) == ["id", "tokens", "masked_tokens", "log_probability", "perplexity"]
    assert all(float(row["perplexity"]) > 1 > float(row["log_probability"]) for row in rows)
    refused = embedonce(*call, "--per-document", "each.csv")
    assert (refused.code, "each.csv exists already" in refused.err) == (2, True)


def test_a_decoder_is_refused_before_the_corpus_is_read(
    embedonce: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = make_encoder(tmp_path_factory.mktemp("encoders") / "gpt", "gpt2")
    result = embedonce("perplexity", folder, "missing.csv")
    assert result.code == 2
    assert "is a decoder (gpt2), not a masked language model. Use an encoder such as BERT" in result.err


def test_a_number_of_documents_is_a_number_or_all(embedonce: Run, call: list[str]) -> None:
    for value in ("0", "some"):
        assert embedonce(*call, "--documents", value).code == 2
