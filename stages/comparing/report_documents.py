"""The texts of documents on the report page, and the evidence for a run's most confident errors.

Both need the store that a run was fitted on. Without it, or if it has changed, a sentence on the page says so.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from data.errors import EmbedOnceError
from featurestore import CorpusTable, FeatureStore, Location
from stages.explain import (
    Explanation,
    ExplanationOptions,
    SourceTexts,
    check_explainable,
    describe_corpus_change,
    explain_documents,
    read_source_texts,
)
from stages.fitting.runs import Run
from stages.report.errors import confident_errors, excerpt
from stages.report.run_view import EvidenceUnit, ExplainedError, RunView
from stages.stores import open_corpus, open_store

__all__ = ["add_documents"]

EXPLAINED = 5  # errors of a run that are explained: each takes a few scores of its chunks
MOST_CHUNKS = 64  # of a document that is explained: occlusion takes one copy of it per chunk
SHOWN_CHUNKS = 2  # per document
CHUNK_EXCERPT = 400


def add_documents(
    selected: Sequence[Run],
    views: Sequence[RunView],
    stores: Location,
    report: Callable[[int, int], None] = lambda *_: None,
) -> list[RunView]:
    """Add the beginnings of texts, and the chunks that are evidence for the most confident errors.

    Args:
        selected: the runs.
        views: their views, in the same order.
        stores: folder of the stores.
        report: called with the number of runs that are done, and of all.

    Returns:
        The views; without texts or evidence, `missing` says why.
    """
    open_documents = cache(lambda store, corpus: _Documents.open(store, corpus, stores))
    complete = []
    for done, (run, view) in enumerate(zip(selected, views, strict=True)):
        report(done, len(views))
        try:
            documents = open_documents(run.record.store, run.record.corpus)
            complete.append(documents.add_to(run, view))
        except EmbedOnceError as error:
            complete.append(replace(view, missing=f"Texts and evidence are left out: {error}"))
    report(len(views), len(views))
    return complete


class _Documents:
    """The documents of a corpus, whose texts are read once for all runs."""

    def __init__(self, store: FeatureStore, table: CorpusTable) -> None:
        self.store, self.table = store, table
        self._source: SourceTexts | None = None

    @classmethod
    def open(cls, store: str, corpus: str, stores: Location) -> "_Documents":
        opened = open_store(Path(store), stores)
        return cls(opened, open_corpus(opened, corpus))

    def add_to(self, run: Run, view: RunView) -> RunView:
        """The view with texts and evidence. Raises EmbedOnceError if the store does not have its documents."""
        if describe_corpus_change(run, self.store, self.table):
            return replace(
                view, missing=f"Texts and evidence are left out: {self.table.name} has changed since the fit."
            )
        source = self._read(view)
        texts = [source.texts.get(key, "") for key in self.table.keys_of(view.ids)] if source.texts else ()
        view = replace(view, excerpts=texts, missing="" if texts else "The texts are not available.")
        try:
            return replace(view, errors=tuple(self._explain(run, view, source)))
        except EmbedOnceError as error:
            return replace(view, missing=f"The evidence is left out: {error}")

    def _read(self, view: RunView) -> SourceTexts:
        """The texts of all documents of the corpus that a page may show; runs may be scored on different splits."""
        if self._source is None or not self._source.texts.keys() >= set(self.table.keys_of(view.ids)):
            self._source = read_source_texts(self.table, self.table.keys_of(view.ids), self.store.recipe)
        return self._source

    def _explain(self, run: Run, view: RunView, source: SourceTexts) -> list[ExplainedError]:
        check_explainable(run)
        rows = confident_errors(view, EXPLAINED)
        chunks = {row: self._count_chunks(view.ids[row]) for row in rows}
        short = [row for row in rows if 1 < chunks[row] <= MOST_CHUNKS]
        options, ids = ExplanationOptions(level="chunks"), [view.ids[row] for row in short]
        explained = zip(short, explain_documents(run, self.store, self.table, ids, options, source), strict=True)
        long = [
            ExplainedError(row, remark=_describe_long(run, self.store, view.ids[row]))
            for row in rows
            if chunks[row] > MOST_CHUNKS
        ]
        return [*(_make_error(row, explanation) for row, explanation in explained), *long]

    def _count_chunks(self, identifier: str) -> int:
        return len(self.store.select(self.table.keys_of([identifier])).values("chunks/span"))


def _describe_long(run: Run, store: FeatureStore, identifier: str) -> str:
    document = ["--", identifier] if identifier.startswith("-") else [identifier]
    home = [] if store.location.parent == Path("stores") else ["--store", str(store.location)]
    command = shlex.join(["embedonce", "explain", *run.folder_option, *home, run.name, *document])
    return f"The document has more than {MOST_CHUNKS} chunks: `{command}` shows the evidence."


def _make_error(row: int, explanation: Explanation) -> ExplainedError:
    supporting, _ = explanation.strongest(SHOWN_CHUNKS)
    units = tuple(
        EvidenceUnit(each.location, excerpt(each.text, CHUNK_EXCERPT), each.contribution) for each in supporting
    )
    return ExplainedError(row, units, label=explanation.label)
