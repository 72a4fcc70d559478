"""Arguments of `embedonce.embed` and a corpus in memory, with a tiny encoder."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import embedonce
from data.errors import BadData, CallError, ColumnMissing, RecipeMismatch
from stages.embed import Options
from stages.explain import read_source_texts
from stages.interactive.arguments import encoding_options, list_argument
from stages.interactive.parameters import PARAMETERS, spell_parameters
from tests.tiny_encoder import make_encoder

Embed = Callable[..., embedonce.EmbeddedCorpus]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_encoder(tmp_path_factory.mktemp("encoders") / "tiny"))


@pytest.fixture
def embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Embed:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))

    def call(**options: Any) -> embedonce.EmbeddedCorpus:
        texts = [f"the oil price {number} rose" for number in range(8)]
        fixed: dict[str, Any] = {"store": tmp_path / "store", "device": "cpu", "backend": "torch", "progress": False}
        return embedonce.embed(texts, label=["a", "b"] * 4, name="few", **fixed | options)

    return call


def test_an_existing_store_decides_what_the_call_leaves_open(embed: Embed, model: str) -> None:
    first = embed(model=model, keep="cls,segments:4").features.recipe
    assert embed().features.recipe == embed(keep="cls,segments").features.recipe == first
    with pytest.raises(RecipeMismatch, match="segment"):
        embed(keep="cls,segments:8")


def test_segments_are_no_part_of_a_store_without_them(embed: Embed, model: str) -> None:
    embed(model=model, keep="cls")
    with pytest.raises(RecipeMismatch, match="keep"):
        embed(keep="cls,segments")


def test_only_what_was_given_is_explicit() -> None:
    assert encoding_options(None, {}) == (Options(), frozenset())
    expected = Options(model="m", keep=("cls",)), frozenset({"model", "keep"})
    assert encoding_options("m", {"keep": "cls"}) == expected


def test_the_length_of_segments_is_in_keep_or_an_argument() -> None:
    expected = Options(keep=("segments",), segment=4), frozenset({"keep", "segment"})
    for given in ({"keep": "segments", "segment": 4}, {"keep": "segments:4"}, {"keep": "segments:4", "segment": 4}):
        assert encoding_options(None, given) == expected
    with pytest.raises(CallError, match='keep="segments:4" and segment=8 differ'):
        encoding_options(None, {"keep": "segments:4", "segment": 8})


@pytest.mark.parametrize(("layers", "expected"), [(-1, "-1"), ([-1, -4], "-1,-4"), ("last", "last"), (None, "None")])
def test_layers_may_be_numbers(layers: Any, expected: str) -> None:
    assert encoding_options(None, {"layers": layers})[0].layers == expected


@pytest.mark.parametrize("name", ["label_names", "levels", "tabular"])
def test_a_text_in_place_of_a_list_is_refused_with_the_list(embed: Embed, name: str) -> None:
    with pytest.raises(CallError) as refused:
        embed(**{name: "low, high"})
    assert str(refused.value) == f'{name}="low, high" is one text. Pass a list: {name}=["low", "high"].'
    assert list_argument(name, ["low, high"]) == ("low, high",)


def test_documents_in_memory_are_copied_as_long_as_they_are_there(embed: Embed, model: str, tmp_path: Path) -> None:
    corpus = embed(model=model)
    out = tmp_path / "copies.jsonl"
    copies = embedonce.augment(corpus, "deletion", rate=0.5, out=out, progress=False)
    assert 0 < len(copies) <= len(corpus.train) and out.is_file()
    with pytest.raises(BadData, match="The texts of few were in memory when they were embedded") as refused:
        embedonce.augment(embedonce.load_corpus(corpus.store, "few"), "deletion", out=out, progress=False)
    assert "--" not in str(refused.value)
    words = read_source_texts(corpus.table, corpus.table.keys, corpus.features.recipe)
    assert "few was in memory when it was embedded" in words.notes[0]


def test_messages_name_parameters_and_leave_commands_as_they_are(embed: Embed) -> None:
    assert spell_parameters("It was fitted with --no-test. Name `embedonce embed --label X`, or --validate-on.") == (
        "It was fitted with `test=False`. Name `embedonce embed --label X`, or `validate_on`."
    )
    assert spell_parameters("--metric-of-no-function, --costs") == "--metric-of-no-function, `costs`"
    for text in ("There is no column 'mail--text' in few--test.csv.", "stores/few--text is not '--text'"):
        assert spell_parameters(text) == text
    with pytest.raises(CallError, match="`scored_level` needs labels with a taxonomy"):
        embedonce.fit_head("knn", embed(), scored_level=2, progress=False)
    with pytest.raises(ColumnMissing, match="Name one with `text`: 'foo'"):
        embedonce.embed(pd.DataFrame({"foo": ["a", "b"]}))


def test_parameters_are_those_of_the_functions() -> None:
    functions = [getattr(embedonce, name) for name in ("embed", "load_corpus", "augment", "fit_head", "compare")]
    names = {name for each in (*functions, embedonce.Run.decide) for name in inspect.signature(each).parameters}
    others = {"self", "source", "head", "options", "hyperparameters", "progress", "tabular"}
    assert {field.name for field in fields(Options)} | names - others == PARAMETERS - others
