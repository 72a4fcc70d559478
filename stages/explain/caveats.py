"""What a reader must know beside the figures of an explanation."""

from collections.abc import Iterator

from data.splits import Split
from stages.explain.attribution import AttributionInput
from stages.explain.document import StoredDocument
from stages.explain.levels import finest_level

_FINER = {
    "chunks": "a head over segments (`embedonce fit-head attention`)",
    "segments": "a head over tokens (`embedonce fit-head attention --set over=tokens`)",
}
_KEPT = {"chunks": "segments", "segments": "tokens"}


def list_caveats(document: StoredDocument, question: AttributionInput) -> Iterator[str]:
    """Sentences on the document, on what was left whole, and on what would tell more."""
    if document.split == Split.TRAIN:
        yield "A training document: the head has seen its label."
    if not len(document.token_ids):
        yield "The document is empty: there is nothing to point at."
    elif question.count == 1:
        yield _one(document, question)
    if document.dropped:
        yield f"{document.dropped:,} tokens of the document are in no chunk: no head has read them."
    whole = [view for view, owner in question.owners.items() if owner is None]
    if whole and question.count > 1:
        coarser = " --by chunks leaves whole chunks out." if document.layout.count("chunks") > 1 else ""
        yield (
            f"{question.head.name} also reads {' and '.join(whole)}, which stay whole "
            f"when {question.level} are left out: part of the evidence is in there.{coarser}"
        )


def _one(document: StoredDocument, question: AttributionInput) -> str:
    name, by = question.head.name, question.level
    said = f"This document is one {by.removesuffix('s')} for {name}: there is nothing to leave out."
    if by != finest_level(question.head.reads):
        return f"{said} Leave --by out for finer places."
    if by not in _FINER:
        return said
    finer = _FINER[by] if _KEPT[by] in document.bags.views else f"{_FINER[by]} on features with --keep {_KEPT[by]}"
    return f"{said} To see more, fit {finer}."
