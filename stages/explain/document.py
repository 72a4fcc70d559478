"""One document as a store has it, with the words that its features stand for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.errors import StoreDamaged
from featurestore import Bags, CorpusTable, FeatureStore
from stages.embed.encoder.encoder import recipe_windowing
from stages.embed.windows.tokens import TextTokenizer
from stages.embed.windows.window_arrays import Windows, expand_ranges
from stages.explain.levels import Integers, TokenLayout, chunk_lengths
from stages.explain.source_text import SourceTexts

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class StoredDocument:
    """A document of a corpus.

    bags: of this one document, all views kept. token_ids: int32 (tokens,), chunk by chunk. chunk_spans: int64
    (chunks, 2), characters. dropped: tokens that are in no chunk. windows: its text cut again, where that is at hand.
    """

    id: str
    split: str | None
    labels: tuple[str, ...]
    bags: Bags
    token_ids: NDArray[np.int32]
    chunk_spans: Integers
    dropped: int
    layout: TokenLayout
    text: str | None
    tokenizer: TextTokenizer | None
    windows: Windows | None

    def spans(self, level: str) -> list[Span | None]:
        """The characters of each item: its first and the one after its last; None where they are not known."""
        bounds = self.layout.bounds(level)
        if level == "chunks":
            return [_span(start, stop) for start, stop in self.chunk_spans.tolist()]
        if self._characters is None:
            return [None] * len(bounds)
        # an item without tokens has no characters
        return [
            _span(int(self._characters[first, 0]), int(self._characters[end - 1, 1])) if first < end else None
            for first, end in bounds.tolist()
        ]

    def excerpts(self, level: str) -> list[str]:
        """The text of each item, or what its tokens decode to, or ""."""
        if self.text is not None and (level == "chunks" or self._characters is not None):
            return [self.text[span[0] : span[1]] if span else "" for span in self.spans(level)]
        if self.tokenizer is None:
            return [""] * len(self.layout.bounds(level))
        ids = self.token_ids.tolist()
        return [self.tokenizer.decode(ids[first:end]) for first, end in self.layout.bounds(level).tolist()]

    @cached_property
    def _characters(self) -> Integers | None:
        """Of each token that is kept, int64 (tokens, 2)."""
        if self.windows is None or self.tokenizer is None or self.text is None:
            return None
        return self.tokenizer.character_spans(self.text)[expand_ranges(self.windows.start, self.windows.length)]


def stored_document(
    store: FeatureStore, table: CorpusTable, identifier: str, source: SourceTexts, layer: int | None = -1
) -> StoredDocument:
    """The document of that id.

    Raises UnknownName for an id that the corpus lacks, BadData for one without features, and where its chunks follow
    from a text that is not at hand; StoreDamaged where its chunks are not as the recipe says.
    """
    (key,), row = table.keys_of([identifier]), list(table.ids).index(identifier)
    bags, kept, windowing = store.bags([key], layer=layer), store.select([key]), recipe_windowing(store.recipe)
    token_ids, chunk_spans = bags.view("token_ids").row(0), kept.values("chunks/span")
    dropped = int(kept.values("documents/dropped_tokens")[0])
    text, windows = source.texts.get(key), None
    if text is not None and source.tokenizer is not None:
        windows = source.tokenizer.tokenize([text], windowing)
        # another version of its library may read the same definition otherwise
        windows = windows if np.array_equal(windows.window_ids(), token_ids) else None
    length = (
        windows.length
        if windows is not None
        else chunk_lengths(identifier, len(token_ids), dropped, len(chunk_spans), windowing)
    )
    layout = TokenLayout(length, store.recipe.segment)
    if len(length) != len(chunk_spans) or length.sum() != len(token_ids):
        raise StoreDamaged(f"{store.name}: the chunks of '{identifier}' are not as its recipe says. Embed it anew.")
    split, labels = table.splits[row], table.labels[row]
    return StoredDocument(
        identifier,
        split,
        labels,
        bags,
        token_ids,
        chunk_spans,
        dropped,
        layout,
        text,
        source.tokenizer,
        windows,
    )


def _span(start: int, stop: int) -> Span | None:
    return (start, stop) if start < stop else None
