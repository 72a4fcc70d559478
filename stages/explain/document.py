"""One document as a store keeps it, with the text that its features represent."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.documents import Labels
from data.errors import StoreDamaged
from featurestore import Bags, CorpusTable, FeatureStore
from stages.embed.encoder.encoder import recipe_windowing
from stages.embed.windows.tokens import TextTokenizer
from stages.embed.windows.window_arrays import expand_ranges
from stages.embed.windows.windowing import Windowing
from stages.explain.levels import Integers, TokenLayout, chunk_lengths
from stages.explain.source_text import SourceTexts
from stages.explain.words import find_word_starts

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class StoredDocument:
    """A document of a corpus.

    Attributes:
        id: its id.
        split: its split.
        labels: its labels.
        bags: this one document, with all views that the store keeps.
        token_ids: int32 (tokens,), chunk by chunk.
        chunk_spans: int64 (chunks, 2), the characters of each chunk.
        dropped: number of tokens that are in no chunk.
        layout: where its tokens lie in chunks and segments.
        text: its text, if available.
        tokenizer: the tokenizer of the encoder, if available.
        characters: the characters of each token, int64 (tokens, 2), if text and tokenizer are available.
    """

    id: str
    split: str | None
    labels: Labels
    bags: Bags
    token_ids: NDArray[np.int32]
    chunk_spans: Integers
    dropped: int
    layout: TokenLayout
    text: str | None
    tokenizer: TextTokenizer | None
    characters: Integers | None

    def spans(self, level: str) -> list[Span | None]:
        """The first character of each unit and the one after its last character; None if unknown."""
        bounds = self.layout.bounds(level)
        if level == "chunks":
            return [_span(start, stop) for start, stop in self.chunk_spans.tolist()]
        if self.characters is None:
            return [None] * len(bounds)
        # a unit without tokens has no characters
        return [
            _span(int(self.characters[first, 0]), int(self.characters[end - 1, 1])) if first < end else None
            for first, end in bounds.tolist()
        ]

    def excerpts(self, level: str) -> list[str]:
        """The text of each unit; without the text, its decoded tokens; without the tokenizer, ""."""
        if self.text is not None and (level == "chunks" or self.characters is not None):
            return [self.text[span[0] : span[1]] if span else "" for span in self.spans(level)]
        if self.tokenizer is None:
            return [""] * len(self.layout.bounds(level))
        ids = self.token_ids.tolist()
        return [self.tokenizer.decode(ids[first:end]) for first, end in self.layout.bounds(level).tolist()]


def stored_document(
    store: FeatureStore, table: CorpusTable, identifier: str, source: SourceTexts, layer: int | None = -1
) -> StoredDocument:
    """The document with an id.

    Args:
        store: the store that has its features.
        table: the corpus.
        identifier: its id.
        source: texts and tokenizer, as far as they are available.
        layer: the layer that is read; None for all.

    Returns:
        The document.

    Raises:
        UnknownName: the corpus has no such id.
        BadData: the document has no features, or its chunks follow from a text that is not available.
        StoreDamaged: its chunks contradict the recipe.
    """
    (row,) = table.rows_of([identifier])
    key = table.keys[row]
    tabular = None if table.tabular is None else table.tabular[[row]]
    bags = replace(store.bags([key], layer=layer), tabular=tabular)
    selection, windowing = store.select([key]), recipe_windowing(store.recipe)
    token_ids, chunk_spans = bags.view("token_ids").row(0), selection.values("chunks/span")
    dropped = int(selection.values("documents/dropped_tokens")[0])
    text, characters, word_starts = source.texts.get(key), None, None
    split = None if text is None else _split(text, source.tokenizer, windowing, token_ids)
    if text is not None and split is not None:
        length, characters = split
        word_starts = find_word_starts(text, characters, length)
    else:
        length = chunk_lengths(identifier, len(token_ids), dropped, len(chunk_spans), windowing)
    if len(length) != len(chunk_spans) or length.sum() != len(token_ids):
        raise StoreDamaged(
            f"{store.name}: the stored chunks of '{identifier}' contradict the store's recipe. Embed the corpus again."
        )
    return StoredDocument(
        identifier,
        table.splits[row],
        table.labels[row],
        bags,
        token_ids,
        chunk_spans,
        dropped,
        TokenLayout(length, store.recipe.segment, word_starts),
        text,
        source.tokenizer,
        characters,
    )


def _split(
    text: str, tokenizer: TextTokenizer | None, windowing: Windowing, token_ids: NDArray[np.int32]
) -> tuple[Integers, Integers] | None:
    """The number of tokens of each chunk, and the characters of each token; None if the tokens are not those stored."""
    if tokenizer is None:
        return None
    windows = tokenizer.tokenize([text], windowing)
    # another version of the tokenizers library may read the same definition differently
    if not np.array_equal(windows.window_ids(), token_ids):
        return None
    return windows.length, tokenizer.character_spans(text)[expand_ranges(windows.start, windows.length)]


def _span(start: int, stop: int) -> Span | None:
    return (start, stop) if start < stop else None
