"""Texts that are equal, or equal but for case and white space, and blank texts: what may be divided between splits.

A store knows only whether texts are equal. So documents whose texts differ in case or white space get a group, and each
blank document gets one of its own, so that splits and folds keep the former together and spread the latter.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.documents import Documents
from data.packed import CategoricalColumn
from data.text_hashes import TextHashes


def complete_groups(documents: Documents, texts: TextHashes) -> Sequence[str | None]:
    """The groups of the documents, and groups for near duplicates and blank texts that have none."""
    is_free = CategoricalColumn.of(documents.groups).flags(lambda group: group is None)
    rows = np.flatnonzero(is_free & ~texts.is_blank)
    near = rows[np.isin(texts.folded[rows], _folded_with_variants(texts, rows))].tolist()
    blank = np.flatnonzero(is_free & texts.is_blank).tolist()
    if not near and not blank:
        return documents.groups
    groups, first = list(documents.groups), {texts.folded[row]: row for row in reversed(near)}
    name_of = {folded: f"text like that of {documents.ids[row]}" for folded, row in first.items()}
    for row in near:
        groups[row] = name_of[texts.folded[row]]
    for row in blank:
        groups[row] = f"no text in {documents.ids[row]}"
    return CategoricalColumn(groups)


def _folded_with_variants(texts: TextHashes, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The folded hashes that different texts among `rows` have."""
    rows = rows[np.argsort(texts.folded[rows])]
    folded, exact = texts.folded[rows], texts.exact[rows]
    has_variants = (folded[1:] == folded[:-1]) & (exact[1:] != exact[:-1])
    return np.asarray(folded[1:][has_variants])


def group_hashes(documents: Documents, texts: TextHashes) -> NDArray[np.int64]:
    """A hash of each document's group, or of its folded text if it has no group: int64 (documents,).

    Equal texts stay together, so that a head does not see its test documents in training. They do not join groups: a
    short text that many write ("thanks") would join all their groups into one; those are reported in a note instead.
    """
    groups = CategoricalColumn.of(documents.groups)
    hashes = np.array([hash(("group", group)) for group in groups.categories], dtype=np.int64)
    return np.asarray(np.where(groups.flags(bool), np.take(hashes, groups.codes), texts.folded), dtype=np.int64)
