"""Hashes of texts, computed in one pass: their keys, whether they are alike, how long they are."""

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.text_format import fold_text, is_blank

KEY_BYTES = 32


def text_digest(text: str) -> bytes:
    """The sha256 of a text as UTF-8, with lone surrogates encoded as they are: its key, in bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, eq=False)
class TextHashes:
    """Hashes of texts, 45 bytes each: a million texts in a set would take more memory than the corpus.

    keys: sha256 of the texts, S32 (documents,). folded: of the texts without differences of case and white space, int64
    (documents,), other values in another process. is_blank: bool (documents,). lengths: characters, uint32
    (documents,).
    """

    keys: NDArray[np.bytes_]
    folded: NDArray[np.int64]
    is_blank: NDArray[np.bool_]
    lengths: NDArray[np.uint32]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Hash each text."""
        digests, folded, blank, lengths = bytearray(), array("q"), bytearray(), array("I")
        for text in texts:
            digests += text_digest(text)
            folded.append(hash(fold_text(text)))
            blank.append(is_blank(text))
            lengths.append(len(text))
        return cls(_view(digests, f"S{KEY_BYTES}"), _view(folded, np.int64), _view(blank, bool), _view(lengths, "u4"))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The hashes of the texts at `rows`."""
        return type(self)(self.keys[rows], self.folded[rows], self.is_blank[rows], self.lengths[rows])

    @property
    def exact(self) -> NDArray[np.int64]:
        """The first eight bytes of the keys: int64 (documents,), equal for equal texts."""
        return self.keys.view(np.int64).reshape(-1, KEY_BYTES // 8)[:, 0]


def _view(content: Any, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(content, dtype) if len(content) else np.empty(0, dtype)
