"""A text in pieces is the text."""

from hypothesis import given
from hypothesis import strategies as st

from stages.explain import Attribution, split_into_spans

SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(-5, 5)), max_size=5)


def item(start: int, stop: int, contribution: float) -> Attribution:
    return Attribution("chunks", 1, None, (start, stop), "", contribution)


@given(st.text(max_size=12), SPANS)
def test_pieces_together_are_the_text(text: str, spans: list[tuple[int, int, float]]) -> None:
    cut = list(split_into_spans(text, [item(*span) for span in spans]))
    assert "".join(piece.text for piece in cut) == text
    assert all(piece.text and -1 <= piece.share <= 1 for piece in cut)


def test_where_two_overlap_the_stronger_is_shown() -> None:
    cut = list(split_into_spans("abcdef", [item(0, 4, 1.0), item(2, 6, -2.0)]))
    assert [(piece.text, piece.share) for piece in cut] == [("ab", 0.5), ("cdef", -1.0)]
