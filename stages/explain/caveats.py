"""What a reader must know about an explanation besides its numbers."""

from collections.abc import Iterator

from data.splits import Split
from data.text_format import join_names, join_words
from featurestore import Location
from stages.explain.attribution import AttributionInput
from stages.explain.document import StoredDocument
from stages.explain.finer_commands import FINER, finer_commands
from stages.explain.levels import WORDS, finest_level
from stages.fitting.runs import Run


def list_caveats(document: StoredDocument, inputs: AttributionInput, run: Run, location: Location) -> Iterator[str]:
    """Sentences about the document, about what was not left out, and about how to see more.

    Args:
        document: the document.
        inputs: what is explained.
        run: the run.
        location: of its store.

    Yields:
        The sentences.
    """
    if document.split in (Split.TRAIN, Split.VALIDATION):
        yield "This is a training document: the head was fitted on its label."
    if not len(document.token_ids):
        yield "The document is empty: there is nothing to explain."
    elif inputs.count == 1:
        yield _single_unit(document, inputs, run, location)
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


def _single_unit(document: StoredDocument, inputs: AttributionInput, run: Run, location: Location) -> str:
    name, level = inputs.head.name, inputs.level
    reason = f"This document is a single {level.removesuffix('s')} for {name}: there is nothing to leave out."
    if level == WORDS:
        return f"{reason} Use --by tokens for its pieces." if len(document.token_ids) > 1 else reason
    if level != finest_level(inputs.head.reads):
        return f"{reason} Omit --by for finer units."
    if level not in FINER:
        return reason
    view, _ = FINER[level]
    *embed, fit = finer_commands(run, location, level)
    stored = "".join(f" store {view} (`{command}`) and" for command in embed)
    return f"{reason} To see more,{stored} fit a head over {view} (`{fit}`)."
