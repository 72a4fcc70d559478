import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import ModelUnavailable
from stages.embed.windows import tokens
from stages.embed.windows.tokens import load_tokenizer
from stages.embed.windows.window_arrays import offsets_from_counts
from stages.embed.windows.windowing import Windowing
from tests.stages.embed.conftest import Folders
from tests.tiny_encoder import SENTENCES, make_tokenizer

LONG = " ".join(SENTENCES)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_ids_are_those_of_the_encoders_own_tokenizer(folders: Folders, family: str) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(folders(family))
    tokenizer = load_tokenizer(folders(family))
    for text in ("", "oil", LONG):
        ids = reference(text, truncation=False, padding=False)["input_ids"]
        windows = tokenizer.tokenize([text], Windowing(10_000))
        assert [*tokenizer.opening, *windows.window_ids().tolist(), *tokenizer.closing] == ids


def test_spans_are_the_characters_of_a_window(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    windows = tokenizer.tokenize(["", LONG], Windowing(7))
    assert windows.span[0].tolist() == [0, 0]
    for (start, stop), first, length in zip(windows.span[1:], windows.start[1:], windows.length[1:], strict=True):
        again = tokenizer.tokenize([LONG[start:stop]], Windowing(100)).ids
        # a window that starts inside a word begins with a token that occurs only inside words
        assert again[1:].tolist() == windows.ids[first + 1 : first + length].tolist() or start > 0


WINDOWINGS = (
    Windowing(9, 3, 4),
    Windowing(9, strategy="head-tail"),
    Windowing(9, strategy="middle"),
    Windowing(9, strategy="random", seed=5),
    Windowing(9, strategy="sentences"),
)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("prefix", ["", "query: "])
@pytest.mark.parametrize("windowing", WINDOWINGS, ids=lambda windowing: windowing.strategy)
def test_the_spans_of_every_strategy_are_the_characters_of_its_tokens(
    folders: Folders, family: str, prefix: str, windowing: Windowing
) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(folders(family) / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    texts = ["", "oil", *SENTENCES, LONG, " ".join(reversed(SENTENCES))]
    windows = load_tokenizer(folders(family), prefix).tokenize(texts, windowing)
    assert len(windows) == len(texts)
    for row, text in enumerate(texts):
        start = int(windows.tokens[:row].sum())
        spans = plain.encode(prefix + text, add_special_tokens=False).offsets[-int(windows.tokens[row]) :]
        covered: set[int] = set()
        for window in range(*windows.offsets[row : row + 2].tolist()):
            first = int(windows.start[window]) - start
            last = first + int(windows.length[window]) - 1
            covered.update(range(first, last + 1))
            if last >= first:
                assert windows.span[window].tolist() == [
                    max(spans[first][0] - len(prefix), 0),
                    spans[last][1] - len(prefix),
                ]
        assert windows.dropped[row] == windows.tokens[row] - len(covered)


def test_windows_of_sentences_end_where_sentences_do(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    windows = tokenizer.tokenize([LONG], Windowing(45, strategy="sentences"))
    shown = [LONG[start:stop].strip() for start, stop in windows.span.tolist()]
    assert len(shown) > 2
    assert " ".join(shown) == LONG
    assert all(text.endswith((".", "。")) for text in shown)


def test_a_random_window_depends_on_seed_and_text_and_not_on_the_order(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    texts = [f"{LONG} {number}" for number in range(12)]

    def starts(texts: list[str], seed: int) -> list[int]:
        windows = tokenizer.tokenize(texts, Windowing(10, strategy="random", seed=seed))
        return (windows.start - offsets_from_counts(windows.tokens)[:-1]).tolist()  # type: ignore[no-any-return]

    assert starts(texts[::-1], 1) == starts(texts, 1)[::-1]
    assert starts(texts[3:4], 1) == starts(texts, 1)[3:4]
    assert starts(texts, 1) != starts(texts, 2)
    assert len(set(starts(texts, 1))) > 6


def test_selected_documents_keep_their_windows(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    all_windows = tokenizer.tokenize([*SENTENCES, ""], Windowing(4, 1, 2))
    some = all_windows.select(np.array([5, 7, 0]))
    alone = tokenizer.tokenize([SENTENCES[5], "", SENTENCES[0]], Windowing(4, 1, 2))
    assert some.dropped.any()
    assert some.window_ids().tolist() == alone.window_ids().tolist()
    for name in ("tokens", "dropped", "offsets", "length", "span"):
        assert getattr(some, name).tolist() == getattr(alone, name).tolist()


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("prefix", ["query: ", "query:", "Oil. "])
def test_a_prefix_is_tokenized_with_the_text_and_is_not_part_of_it(folders: Folders, family: str, prefix: str) -> None:
    plain, prefixed = load_tokenizer(folders(family)), load_tokenizer(folders(family), prefix)
    windows = prefixed.tokenize([LONG], Windowing(10_000))
    together = plain.tokenize([prefix + LONG], Windowing(10_000)).ids
    assert [*prefixed.prefix, *windows.ids.tolist()] == together.tolist()
    assert windows.span.tolist() == [[0, len(LONG)]]
    assert prefixed.tokenize([""], Windowing(5)).tokens.tolist() == [0]


def test_a_lone_surrogate_becomes_the_replacement_character(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("roberta"))
    odd, replaced = (tokenizer.tokenize([text], Windowing(99)).ids.tolist() for text in ("a\ud800b", "a\ufffdb"))
    assert odd == replaced != []


@pytest.mark.parametrize(
    "text", ["한국어 문장", "日本語", "Привет мир", "שלום", "😀👩‍👩‍👧", "a\0b", "\u202eabc", "e\u0301" * 50]
)
def test_other_alphabets_have_tokens_and_spans_inside_the_text(folders: Folders, text: str) -> None:
    for family in ("bert", "roberta"):
        windows = load_tokenizer(folders(family)).tokenize([text], Windowing(3))
        assert windows.tokens[0] > 0
        assert windows.span.min() >= 0
        assert windows.span.max() <= len(text)


def test_the_hash_depends_on_the_vocabulary_and_not_on_padding_or_truncation(folders: Folders, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    expected = load_tokenizer(folders("bert")).hash
    plain = Tokenizer.from_file(str(folders("bert") / "tokenizer.json"))
    plain.no_padding()
    plain.no_truncation()
    plain.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).hash == expected
    plain.add_tokens(["oilprice"])
    plain.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).hash != expected


def write_vocabulary(folder: Path, **settings: object) -> Path:
    """Write the files of a tokenizer as of the years before tokenizer.json."""
    make_tokenizer(folder)
    path = folder / "tokenizer.json"
    vocabulary = json.loads(path.read_text())["model"]["vocab"]
    path.unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(vocabulary, key=vocabulary.__getitem__)))
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True} | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_without_tokenizer_json_the_hash_is_of_the_files_and_of_token_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer, decoders

    loaded = load_tokenizer(write_vocabulary(tmp_path, name_or_path="here"))
    assert loaded.tokenize(["Oil rose"], Windowing(9)).tokens.tolist() == [2]
    write_vocabulary(tmp_path, name_or_path="there", model_max_length=512)
    assert load_tokenizer(tmp_path).hash == loaded.hash

    def convert(change: Callable[[Tokenizer], None]) -> Callable[[Path], Tokenizer]:
        """Another version of the library, which makes something else of the same files."""
        converted = Tokenizer.from_str(loaded._backend.to_str())
        change(converted)
        return lambda _: converted

    def write_down_otherwise(converted: Tokenizer) -> None:
        converted.decoder = decoders.WordPiece(prefix="##", cleanup=False)

    def split_otherwise(converted: Tokenizer) -> None:
        converted.normalizer = None

    monkeypatch.setattr(tokens, "_load_with_transformers", convert(write_down_otherwise))
    assert load_tokenizer(tmp_path).hash == loaded.hash
    monkeypatch.setattr(tokens, "_load_with_transformers", convert(split_otherwise))
    assert load_tokenizer(tmp_path).hash != loaded.hash
    monkeypatch.undo()
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("oilprice\n")
    assert load_tokenizer(tmp_path).hash != loaded.hash


def test_a_folder_without_a_fast_tokenizer_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(str(tmp_path))):
        load_tokenizer(tmp_path)


def test_a_truncated_tokenizer_file_raises_an_error(tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ModelUnavailable, match="its tokenizer cannot be read"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("prefix", ["", "query: "])
def test_characters_are_those_that_spans_begin_and_end_with(folders: Folders, family: str, prefix: str) -> None:
    tokenizer = load_tokenizer(folders(family), prefix)
    for text in ("", "oil", "\ud800 oil", LONG):
        windows, characters = tokenizer.tokenize([text], Windowing(7, 2)), tokenizer.character_spans(text)
        assert characters.shape == (len(windows.ids), 2)
        for span, first, length in zip(windows.span, windows.start, windows.length, strict=True):
            assert not length or span.tolist() == [characters[first, 0], characters[first + length - 1, 1]]


def test_tokens_decode_to_the_words_that_they_stand_for(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    ids = tokenizer.tokenize(["Oil rose on Monday"], Windowing(100)).ids
    assert tokenizer.decode(ids.tolist()) == "oil rose on monday"


def test_tokens_that_the_vocabulary_lacks_are_counted(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    windows = tokenizer.tokenize(["", "oil", "สวัสดี", "oil สวัสดี", "สวัสดี oil ครับ"], Windowing(7))
    assert windows.unknown.tolist() == [0, 0, 1, 1, 2]
    assert windows.mostly_unknown == 2
    assert windows.select(np.array([2, 0])).unknown.tolist() == [1, 0]
    byte_level = load_tokenizer(folders("roberta"))
    assert byte_level.tokenize(["สวัสดี"], Windowing(7)).unknown.tolist() == [0]
