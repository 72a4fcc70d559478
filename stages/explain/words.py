"""Which tokens of a text are pieces of one word."""

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_word_starts"]

# Thai, Lao, Burmese, Khmer, Japanese and Chinese, which put no spaces between words
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def find_word_starts(text: str, characters: NDArray[np.int64], chunk_length: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find the tokens that begin a word, whatever the tokenizer.

    A token continues the word of the token before it if only letters, digits and marks are around the place where the
    two meet, or if both are bytes of one character. A word that two chunks divide is a word of each.

    Args:
        text: the text.
        characters: int64 (tokens, 2), the first character of each token and the one after its last.
        chunk_length: int64 (chunks,), the number of tokens of each chunk.

    Returns:
        bool (tokens,). Tokens of a script without spaces between words each begin one.
    """
    spans = characters.tolist()
    starts = [not _is_continued(text, *spans[token - 1], *spans[token]) for token in range(1, len(spans))]
    is_start = np.array([True, *starts][: len(spans)], dtype=bool)
    firsts = np.cumsum(chunk_length) - chunk_length
    is_start[firsts[chunk_length > 0]] = True
    return is_start


def _is_continued(text: str, before: int, stop: int, start: int, end: int) -> bool:
    """Whether the token of characters `start` to `end` continues a word of that of `before` to `stop`."""
    if before == stop or start == end:
        return False
    if before <= start < stop:
        return True
    seam = text[stop - 1 : start + 1]
    return start >= stop and all(unicodedata.category(sign)[0] in "LMN" for sign in seam) and not _UNSPACED.search(seam)
