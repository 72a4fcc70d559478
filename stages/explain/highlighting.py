"""A text split where evidence begins and ends, so that each span can have one color."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.explain.explanation import Attribution


@dataclass(frozen=True)
class TextSpan:
    """Part of a text.

    Attributes:
        text: the characters.
        attribution: the attribution that covers them; None without one.
        share: its contribution as a share of the largest one, -1 to 1.
    """

    text: str
    attribution: "Attribution | None" = None
    share: float = 0.0


def split_into_spans(text: str, attributions: "Sequence[Attribution]") -> Iterator[TextSpan]:
    """Split the text into spans that are not empty and that together are the text.

    If attributions overlap, as those of chunks with a stride do, the strongest one is shown.
    """
    located = [
        attribution for attribution in attributions if attribution.span and attribution.span[0] < attribution.span[1]
    ]
    largest = max((abs(attribution.contribution) for attribution in located), default=0.0) or 1.0
    owners: list[Attribution | None] = [None] * len(text)
    for attribution in sorted(located, key=lambda attribution: abs(attribution.contribution)):
        start, stop = attribution.span or (0, 0)
        stop = min(stop, len(text))
        owners[start:stop] = [attribution] * (stop - start)
    cuts = [index for index in range(1, len(text)) if owners[index] is not owners[index - 1]]
    for start, stop in pairwise([0, *cuts, len(text)] if text else []):
        owner = owners[start]
        yield TextSpan(text[start:stop], owner, owner.contribution / largest if owner else 0.0)
