"""The spans of a text together are the text."""

from hypothesis import given
from hypothesis import strategies as st

from stages.explain import Attribution, split_into_spans

SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(-5, 5)), max_size=5)


def attribution(start: int, stop: int, contribution: float) -> Attribution:
    return Attribution("chunks", 1, None, (start, stop), "", contribution)


@given(st.text(max_size=12), SPANS)
def test_the_spans_together_are_the_text(text: str, spans: list[tuple[int, int, float]]) -> None:
    parts = list(split_into_spans(text, [attribution(*span) for span in spans]))
    assert "".join(part.text for part in parts) == text
    assert all(part.text and -1 <= part.share <= 1 for part in parts)


def test_the_stronger_of_two_overlapping_attributions_is_shown() -> None:
    parts = list(split_into_spans("abcdef", [attribution(0, 4, 1.0), attribution(2, 6, -2.0)]))
    assert [(part.text, part.share) for part in parts] == [("ab", 0.5), ("cdef", -1.0)]
