"""What a reader must know about an explanation besides its numbers."""

from collections.abc import Iterator

from data.splits import Split
from data.text_format import join_names, join_words
from stages.explain.attribution import AttributionInput
from stages.explain.document import StoredDocument
from stages.explain.levels import finest_level

_FINER_HEAD = {
    "chunks": "a head over segments (`embedonce fit-head attention`)",
    "segments": "a head over tokens (`embedonce fit-head attention --set over=tokens`)",
}
_FINER_VIEW = {"chunks": "segments", "segments": "tokens"}


def list_caveats(document: StoredDocument, inputs: AttributionInput) -> Iterator[str]:
    """Sentences about the document, about what was not left out, and about how to see more."""
    if document.split in (Split.TRAIN, Split.VALIDATION):
        yield "This is a training document: the head was fitted on its label."
    if not len(document.token_ids):
        yield "The document is empty: there is nothing to explain."
    elif inputs.count == 1:
        yield _single_unit(document, inputs)
    if columns := inputs.head.tabular_labels:
        names = join_names([label.rpartition(":")[0] for label in columns])
        yield f"{inputs.head.name} also reads the tabular columns {names}: evidence is shown for the text only."
    if document.dropped:
        yield f"{document.dropped:,} tokens of the document are in no chunk: the head does not read them."
    whole = [view for view, owners in inputs.owners.items() if owners is None]
    if whole and inputs.count > 1:
        coarser = " Use --by chunks to leave out whole chunks." if document.layout.count("chunks") > 1 else ""
        yield (
            f"{inputs.head.name} also reads {join_words(whole)}, which stay whole when {inputs.level} are left out: "
            f"part of the evidence is in them.{coarser}"
        )


def _single_unit(document: StoredDocument, inputs: AttributionInput) -> str:
    name, level = inputs.head.name, inputs.level
    reason = f"This document is a single {level.removesuffix('s')} for {name}: there is nothing to leave out."
    if level != finest_level(inputs.head.reads):
        return f"{reason} Omit --by for finer units."
    if level not in _FINER_HEAD:
        return reason
    view = _FINER_VIEW[level]
    store = "" if view in document.bags.views else f" on features embedded with --keep {view}"
    return f"{reason} To see more, fit {_FINER_HEAD[level]}{store}."
