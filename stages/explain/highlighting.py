"""A text cut where evidence begins and ends, so that each piece can be shown in one colour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.explain.explanation import Attribution


@dataclass(frozen=True)
class TextSpan:
    """Some of the text. item: what was found there, None for nothing. share: its part of the largest, from -1 to 1."""

    text: str
    attribution: "Attribution | None" = None
    share: float = 0.0


def split_into_spans(text: str, items: "Sequence[Attribution]") -> Iterator[TextSpan]:
    """The text in pieces, none of them empty, which together are the text.

    Where items overlap, as chunks with a stride do, the stronger one counts.
    """
    placed = [item for item in items if item.span is not None and item.span[0] < item.span[1]]
    largest = max((abs(item.contribution) for item in placed), default=0.0) or 1.0
    owner: list[Attribution | None] = [None] * len(text)
    for item in sorted(placed, key=lambda item: abs(item.contribution)):
        start, stop = item.span or (0, 0)
        stop = min(stop, len(text))
        owner[start:stop] = [item] * (stop - start)
    cuts = [place for place in range(1, len(text)) if owner[place] is not owner[place - 1]]
    for start, stop in pairwise([0, *cuts, len(text)] if text else []):
        found = owner[start]
        yield TextSpan(text[start:stop], found, found.contribution / largest if found else 0.0)
