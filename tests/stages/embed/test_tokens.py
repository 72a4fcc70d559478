import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import CallError, ModelUnavailable
from stages.embed.tokens import Cutting, load_tokenizer, offsets_of, ranges
from tests.stages.embed.conftest import Folders
from tests.tiny_encoder import SENTENCES, make_tokenizer

LONG = " ".join(SENTENCES)


@st.composite
def cuttings(draw: st.DrawFn) -> Cutting:
    window = draw(st.integers(1, 40))
    return Cutting(window, draw(st.integers(0, window - 1)), draw(st.none() | st.integers(1, 5)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8), cuttings())
def test_windows_cover_every_token_in_order_and_share_exactly_the_stride(lengths: list[int], cutting: Cutting) -> None:
    counts = cutting.counts(np.array(lengths, dtype=np.int64))
    for length, count in zip(lengths, counts.tolist(), strict=True):
        starts = [cutting.step * number for number in range(count)]
        windows = [range(start, min(start + cutting.window, length)) for start in starts]
        assert all(len(window) == cutting.window for window in windows[:-1])
        assert all(later[0] - window[0] == cutting.step for window, later in pairwise(windows))
        if cutting.most is None:
            assert sorted({token for window in windows for token in window}) == list(range(length))
            assert count == 1 or windows[-2][-1] < length - 1, "a window that adds nothing"


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8), cuttings())
def test_covered_and_dropped_tokens_are_all_tokens(lengths: list[int], cutting: Cutting) -> None:
    tokens = np.array(lengths, dtype=np.int64)
    counts = cutting.counts(tokens)
    by_hand = [
        len({t for w in range(count) for t in range(w * cutting.step, min(w * cutting.step + cutting.window, length))})
        for length, count in zip(lengths, counts.tolist(), strict=True)
    ]
    assert cutting.covered(tokens).tolist() == by_hand


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=9))
def test_ranges_are_pythons_ranges_one_after_another(pairs: list[tuple[int, int]]) -> None:
    starts, counts = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    assert ranges(starts, counts).tolist() == [n for start, count in pairs for n in range(start, start + count)]
    assert offsets_of(counts).tolist() == [sum(counts[:row].tolist()) for row in range(len(pairs) + 1)]


@pytest.mark.parametrize(("window", "stride"), [(10, 10), (10, 11), (10, -1)])
def test_a_stride_that_never_moves_on_is_refused(window: int, stride: int) -> None:
    with pytest.raises(CallError, match=f"stride is {stride} and window is {window}"):
        Cutting(window, stride)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_ids_are_those_of_the_encoders_own_tokenizer(folders: Folders, family: str) -> None:
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(folders(family))
    tokenizer = load_tokenizer(folders(family))
    for text in ("", "oil", LONG):
        ids = own(text, truncation=False, padding=False)["input_ids"]
        windows = tokenizer.windows([text], Cutting(10_000))
        assert [*tokenizer.opening, *windows.window_ids().tolist(), *tokenizer.closing] == ids


def test_spans_say_which_characters_a_window_has(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    windows = tokenizer.windows(["", LONG], Cutting(7))
    assert windows.span[0].tolist() == [0, 0]
    for (start, stop), first, length in zip(windows.span[1:], windows.start[1:], windows.length[1:], strict=True):
        again = tokenizer.windows([LONG[start:stop]], Cutting(100)).ids
        # a window that starts inside a word begins with a token that only stands inside words
        assert again[1:].tolist() == windows.ids[first + 1 : first + length].tolist() or start > 0


def test_windows_of_some_documents_are_theirs(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("bert"))
    all_of_them = tokenizer.windows([*SENTENCES, ""], Cutting(4, 1, 2))
    some = all_of_them.of(np.array([5, 7, 0]))
    alone = tokenizer.windows([SENTENCES[5], "", SENTENCES[0]], Cutting(4, 1, 2))
    assert some.dropped.any()
    assert some.window_ids().tolist() == alone.window_ids().tolist()
    for name in ("tokens", "dropped", "offsets", "length", "span"):
        assert getattr(some, name).tolist() == getattr(alone, name).tolist()


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("prefix", ["query: ", "query:", "Oil. "])
def test_a_prefix_reads_as_if_it_stood_in_the_text_and_is_no_part_of_it(
    folders: Folders, family: str, prefix: str
) -> None:
    plain, prefixed = load_tokenizer(folders(family)), load_tokenizer(folders(family), prefix)
    windows = prefixed.windows([LONG], Cutting(10_000))
    together = plain.windows([prefix + LONG], Cutting(10_000)).ids
    assert [*prefixed.prefix, *windows.ids.tolist()] == together.tolist()
    assert windows.span.tolist() == [[0, len(LONG)]]
    assert prefixed.windows([""], Cutting(5)).tokens.tolist() == [0]


def test_a_lone_surrogate_reads_as_the_replacement_character(folders: Folders) -> None:
    tokenizer = load_tokenizer(folders("roberta"))
    odd, replaced = (tokenizer.windows([text], Cutting(99)).ids.tolist() for text in ("a\ud800b", "a\ufffdb"))
    assert odd == replaced != []


@pytest.mark.parametrize(
    "text", ["한국어 문장", "日本語", "Привет мир", "שלום", "😀👩‍👩‍👧", "a\0b", "\u202eabc", "e\u0301" * 50]
)
def test_other_alphabets_have_tokens_and_spans_inside_the_text(folders: Folders, text: str) -> None:
    for family in ("bert", "roberta"):
        windows = load_tokenizer(folders(family)).windows([text], Cutting(3))
        assert windows.tokens[0] > 0
        assert windows.span.min() >= 0
        assert windows.span.max() <= len(text)


def test_the_hash_knows_the_vocabulary_and_not_padding_or_truncation(folders: Folders, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    known = load_tokenizer(folders("bert")).hash
    plain = Tokenizer.from_file(str(folders("bert") / "tokenizer.json"))
    plain.no_padding()
    plain.no_truncation()
    plain.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).hash == known
    plain.add_tokens(["oilprice"])
    plain.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).hash != known


def test_a_folder_without_a_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(str(tmp_path))):
        load_tokenizer(tmp_path)


def test_a_tokenizer_cut_short_is_refused(tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ModelUnavailable, match="its tokenizer cannot be read"):
        load_tokenizer(tmp_path)
