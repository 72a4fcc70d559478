"""Texts that are equal, or equal but for case and white space, and blank texts: what may be divided between splits.

A store knows only whether texts are equal. So documents whose texts differ in case or white space get a group, and each
blank document gets one of its own, so that splits and folds keep the former together and spread the latter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Documents
from data.packed import CategoricalColumn
from data.text_format import fold_text, is_blank


@dataclass(frozen=True)
class TextHashes:
    """Hashes of texts, int64 (documents,): a million texts in a set would take more memory than the corpus.

    exact: of the texts. folded: of the texts without differences of case and white space. is_blank: bool.
    """

    exact: NDArray[np.int64]
    folded: NDArray[np.int64]
    is_blank: NDArray[np.bool_]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Hash each text."""
        exact, folded = np.empty(len(texts), dtype=np.int64), np.empty(len(texts), dtype=np.int64)
        blank = np.empty(len(texts), dtype=bool)
        for row, text in enumerate(texts):
            exact[row], folded[row], blank[row] = hash(text), hash(fold_text(text)), is_blank(text)
        return cls(exact, folded, blank)


def complete_groups(documents: Documents, texts: TextHashes) -> Sequence[str | None]:
    """The groups of the documents, and groups for near duplicates and blank texts that have none."""
    is_free = np.fromiter((group is None for group in documents.groups), bool, len(documents))
    rows = np.flatnonzero(is_free & ~texts.is_blank)
    variants = np.unique(np.stack([texts.folded[rows], texts.exact[rows]], axis=1), axis=0)
    folded, count = np.unique(variants[:, 0], return_counts=True)
    near = rows[np.isin(texts.folded[rows], folded[count > 1])].tolist()
    blank = np.flatnonzero(is_free & texts.is_blank).tolist()
    if not near and not blank:
        return documents.groups
    groups, first = list(documents.groups), {texts.folded[row]: documents.ids[row] for row in reversed(near)}
    for row in near:
        groups[row] = f"text like that of {first[texts.folded[row]]}"
    for row in blank:
        groups[row] = f"no text in {documents.ids[row]}"
    return CategoricalColumn(groups)


def group_hashes(documents: Documents, texts: TextHashes) -> NDArray[np.int64]:
    """A hash of each document's group, or of its folded text if it has no group: int64 (documents,).

    Equal texts stay together, so that a head does not see its test documents in training. They do not join groups: a
    short text that many write ("thanks") would join all their groups into one; those are reported in a note instead.
    """
    hashes = (
        hash(("group", group)) if group else text
        for group, text in zip(documents.groups, texts.folded.tolist(), strict=True)
    )
    return np.fromiter(hashes, np.int64, len(documents))
