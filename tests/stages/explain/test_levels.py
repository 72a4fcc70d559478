"""Which tokens lie in which segments, and which segments in which chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from stages.embed.windows.windowing import Windowing
from stages.explain.levels import LEVELS, WORDS, TokenLayout, chunk_lengths, finest_level

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=5)


def test_segments_start_again_in_each_chunk() -> None:
    layout = TokenLayout(np.array([5, 4, 0]), segment=2)
    assert layout.bounds("segments").tolist() == [[0, 2], [2, 4], [4, 5], [5, 7], [7, 9], [9, 9]]
    assert layout.chunks("segments").tolist() == [0, 0, 0, 1, 1, 2]
    assert layout.numbers("segments").tolist() == [0, 1, 2, 0, 1, 0]


@given(LENGTHS, st.integers(1, 4))
def test_the_owner_of_a_unit_contains_it(lengths: list[int], segment: int) -> None:
    layout = TokenLayout(np.array(lengths), segment)
    for by in LEVELS:
        for level in LEVELS[LEVELS.index(by) :]:
            owners, inner, outer = layout.owners(level, by), layout.bounds(level), layout.bounds(by)
            assert owners is not None and len(owners) == len(inner) == layout.count(level)
            assert (outer[owners, 0] <= inner[:, 0]).all() and (inner[:, 1] <= outer[owners, 1]).all()


def test_a_coarse_view_has_no_owners_among_finer_units() -> None:
    layout = TokenLayout(np.array([5, 4]), segment=2)
    assert layout.owners_of(["cls", "segments", "of another kind"], "segments")["cls"] is None
    assert layout.owners_of(["of another kind"], "chunks") == {"of another kind": None}


def test_the_default_level_is_that_of_the_finest_view() -> None:
    assert finest_level(["cls", "segments", "max"]) == "segments"
    assert finest_level(["cls", "mean"]) == "chunks"
    assert finest_level(["of another kind"]) is None


@given(
    tokens=st.integers(0, 60),
    window=st.integers(1, 12),
    stride=st.integers(0, 11),
    most=st.none() | st.integers(1, 4),
    long=st.sampled_from(["windows", "head-tail", "middle", "random"]),
)
def test_the_lengths_of_chunks_follow_from_what_a_store_keeps(
    tokens: int, window: int, stride: int, most: int | None, long: str
) -> None:
    evenly = Windowing(window, min(stride, window - 1), most)
    windowing = evenly if long == "windows" else Windowing(window + 1, strategy=long)
    cut = windowing.bounds(np.array([tokens]), fractions=np.array([0.4]))
    kept, dropped = int(cut.length.sum()), tokens - int(cut.covered_tokens[0])
    assert chunk_lengths("d1", kept, dropped, len(cut.length), windowing).tolist() == cut.length.tolist()


def test_chunks_of_whole_sentences_need_the_text() -> None:
    with pytest.raises(BadData, match=r"chunks of 'd1' follow from its sentences, so its text is needed: `explain"):
        chunk_lengths("d1", 20, 0, 2, Windowing(12, strategy="sentences"))


def test_words_hold_the_tokens_up_to_the_next_word() -> None:
    starts = np.array([True, False, True, True, False, False])
    layout = TokenLayout(np.array([3, 0, 3]), segment=2, word_starts=starts)
    assert layout.bounds(WORDS).tolist() == [[0, 2], [2, 3], [3, 6]]
    assert (layout.chunks(WORDS).tolist(), layout.numbers(WORDS).tolist()) == ([0, 0, 2], [0, 1, 0])
    owners = layout.owners_of(["token_ids", "segments", "cls"], WORDS)
    assert owners["token_ids"] is not None and owners["token_ids"].tolist() == [0, 0, 1, 2, 2, 2]
    assert (owners["segments"], owners["cls"]) == (None, None)
    empty = TokenLayout(np.array([0]), segment=2, word_starts=np.zeros(0, dtype=bool))
    assert (empty.count(WORDS), empty.bounds(WORDS).tolist()) == (0, [])
