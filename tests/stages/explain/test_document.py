"""Where the units of a document lie in its text, for every windowing strategy."""

from pathlib import Path

import pytest

from data.documents import Document
from data.errors import BadData
from data.source_spec import SourceSpec
from featurestore import CorpusTable, FeatureStore
from stages.embed import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.explain import LEVELS, SourceTexts, read_source_texts
from stages.explain.document import StoredDocument, stored_document
from tests.conftest import write_csv
from tests.tiny_encoder import SENTENCES, make_static, make_tokenizer

LONG = " ".join(SENTENCES)
TEXTS = {"long": LONG, "short": "Oil rose.", "empty": "", "blank": "  ", "odd": "Oil \x00 é 한 " + LONG[::-1]}
STRATEGIES = ["windows", "head", "head-tail", "middle", "random:3", "sentences"]


def embedded(folder: Path, long: str = "windows", prefix: str = "") -> tuple[FeatureStore, CorpusTable]:
    model = make_static(folder / "model")
    documents = [Document(name, text, ("a",), "train") for name, text in TEXTS.items()]
    source = str(write_csv(folder / "made.csv", documents))
    keep = ("mean", "segments", "tokens")
    options = Options(model=str(model), window=12, segment=5, keep=keep, long=long, prefix=prefix)
    given = frozenset({"model", "window", "segment", "keep", "long", "prefix"})
    request = EmbedRequest(source=source, options=options, stores=folder, explicit=given)
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    return store, store.corpus("made")


def read(store: FeatureStore, table: CorpusTable, words: SourceTexts | None = None) -> dict[str, StoredDocument]:
    words = words or read_source_texts(table, table.keys, store.recipe)
    assert not words.notes
    return {name: stored_document(store, table, name, words) for name in TEXTS}


@pytest.mark.parametrize("prefix", ["", "query: "])
@pytest.mark.parametrize("long", STRATEGIES)
def test_units_cover_their_chunks_from_end_to_end(tmp_path: Path, long: str, prefix: str) -> None:
    for name, document in read(*embedded(tmp_path, long, prefix)).items():
        layout, chunks = document.layout, document.spans("chunks")
        assert document.text == TEXTS[name]
        for level in LEVELS[1:]:
            spans, owners = document.spans(level), layout.chunks(level).tolist()
            assert len(spans) == len(document.bags.view(level).row(0)) == len(owners)
            for chunk, around in enumerate(chunks):
                inner = [span for span, owner in zip(spans, owners, strict=True) if owner == chunk and span]
                assert (inner[0][0], inner[-1][1]) == around if around else not inner
        assert document.excerpts("chunks") == [TEXTS[name][slice(*span)] if span else "" for span in chunks]


@pytest.mark.parametrize("long", [strategy for strategy in STRATEGIES if strategy != "sentences"])
def test_without_the_text_the_layout_is_the_same(tmp_path: Path, long: str) -> None:
    store, table = embedded(tmp_path, long)
    whole, bare = read(store, table), read(store, table, SourceTexts({}, None))
    for name in TEXTS:
        assert bare[name].layout.length.tolist() == whole[name].layout.length.tolist()
        assert bare[name].spans("chunks") == whole[name].spans("chunks")
        assert set(bare[name].excerpts("segments")) == {""}


def test_chunks_of_whole_sentences_need_the_text(tmp_path: Path) -> None:
    store, table = embedded(tmp_path, "sentences")
    with pytest.raises(BadData, match="`explain --source` names a file that has it"):
        read(store, table, SourceTexts({}, None))


def test_a_different_tokenizer_of_the_same_name_is_not_used(tmp_path: Path) -> None:
    store, table = embedded(tmp_path)
    make_tokenizer(tmp_path / "model", "roberta")
    words = read_source_texts(table, table.keys, store.recipe)
    assert words.tokenizer is None and len(words.texts) == len(set(table.keys))
    assert words.notes == (
        f"The tokenizer is not available: {tmp_path / 'model'} has a different tokenizer than the one that these "
        "features were made with. Name the current place of the encoder with --encoder.",
    )


def test_a_text_of_several_columns_is_read_as_it_was_embedded(tmp_path: Path) -> None:
    source = tmp_path / "made.csv"
    source.write_text("id,subject,body\n1,Oil,It rose.\n2,,It fell.\n")
    spec, options = SourceSpec(template="Re: {subject}\n{body}"), Options(model=str(make_static(tmp_path / "model")))
    request = EmbedRequest(source=str(source), spec=spec, options=options, stores=tmp_path)
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    table = store.corpus("made")
    words = read_source_texts(table, table.keys, store.recipe)
    assert [words.texts[key] for key in table.keys] == ["Re: Oil\nIt rose.", "It fell."]
    with pytest.raises(BadData, match="name that with --text"):
        read_source_texts(table, table.keys, store.recipe, source=str(source), requested=SourceSpec(text=("body",)))
