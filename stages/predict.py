"""New text in, labels out, by a run's own recipe: the same encoder, the same windows, the same decision rule."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Document, Documents
from data.errors import BadData, CallError, RecipeMismatch
from data.readers import read_corpus
from data.source_spec import SourceSpec
from data.tabular import Tabular
from data.text_format import join_names, plural
from featurestore import Recipe, Shard
from heads.evaluation.decisions import Decision
from stages.deciding.features import compared_vectors
from stages.deciding.new_documents import LEAST_DOCUMENTS, NewDocuments
from stages.embed import Encoder
from stages.embed.pipeline.encoding_choice import open_recorded_encoder, options_from_recipe
from stages.embed.pipeline.feature_blocks import FeatureBlock, iter_feature_blocks
from stages.fitting.predictions import (
    CsvWriter,
    ProbabilityColumns,
    abstention_reason,
    decision_columns,
    format_labels,
    predicted_codes,
)
from stages.fitting.runs import Run
from stages.fitting.stacking_inputs import build_scorer
from stages.taxonomy.paths import Path, PathColumns, Paths


@dataclass(frozen=True)
class Prediction:
    """The labels of one document; a document without finite vectors has none.

    label: as in predictions.csv, a label or a JSON list of labels for multi-label; "" if there are none.
    labels: their names, None if there are none; with a taxonomy, a predicted node may be no label of a document.
    probabilities: float32 (labels,), calibrated, in the order of the run's labels; None if there are none.
    paths: the nodes above the labels with their probabilities, as in `Paths.of`; () without a taxonomy.
    abstained: why the document is left undecided, which has no labels then; "" if it is decided.
    label_set: the labels in its label set; None if the run makes no label sets.
    """

    id: str
    label: str = ""
    labels: tuple[str, ...] | None = None
    probabilities: NDArray[np.float32] | None = None
    paths: tuple[Path, ...] = ()
    abstained: str = ""
    label_set: tuple[str, ...] | None = None

    @property
    def set_size(self) -> int | None:
        """The number of labels in its label set; None if the run makes no label sets."""
        return None if self.label_set is None else len(self.label_set)


def open_encoders(
    run: Run, *, models: Sequence[str] = (), device: str = "auto", trust_remote_code: bool = False
) -> tuple[Encoder, ...]:
    """Open the encoders whose features the run was fitted on, one per store.

    Args:
        run: the run.
        models: names or paths of the encoders in the order of the stores; if empty, those that the run recorded.
        device: where to compute, as in `embed`.
        trust_remote_code: run Python code that comes with a model.

    Returns:
        The encoders, in the order of the stores.

    Raises:
        RecipeMismatch: if a model is not the encoder that the run used.
        CallError: for more or fewer models than stores.
    """
    recipes = run.recipes
    if models and len(models) != len(recipes):
        names = ", ".join(recipe.encoder for recipe in recipes)
        raise CallError(f"{run.name} reads features of {names}: give --encoder once for each, in that order.")
    return tuple(
        _open_encoder(run, recipe, model, device, trust_remote_code=trust_remote_code)
        for recipe, model in zip(recipes, models or repeat(None, len(recipes)), strict=True)
    )


def _open_encoder(run: Run, recipe: Recipe, model: str | None, device: str, *, trust_remote_code: bool) -> Encoder:
    options = replace(options_from_recipe(recipe), device=device, trust_remote_code=trust_remote_code)
    encoder = open_recorded_encoder(recipe, replace(options, model=model or options.model))
    differences = recipe.differences(encoder.recipe)
    if differences:
        raise RecipeMismatch(
            f"{run.name} was fitted on features with another recipe: {'; '.join(differences)}. "
            "Name the encoder that it used with --encoder."
        )
    return encoder


def read_new_text(run: Run, source: str, requested: SourceSpec) -> Corpus:
    """Read new documents as those of the run's corpus were read; of labels, splits and groups nothing is read.

    Args:
        run: the run that will label them.
        source: what `read_corpus` takes.
        requested: what the user said about the source, which overrides what the run recorded.

    Returns:
        The documents, with the tabular columns that the run reads; notes say which columns of the corpus the source
        lacks.

    Raises:
        EmbedOnceError: what `read_corpus` raises.
    """
    known = known_spec(run).for_file(source, run.record.source)
    corpus = read_corpus(source, replace(requested, label="", split="", group=""), known)
    return replace(corpus, notes=(*corpus.notes, *missing_tabular_notes(run, corpus.tabular, source)))


def known_spec(run: Run) -> SourceSpec:
    """How the run's corpus was read, with the tabular columns that the run reads."""
    return replace(SourceSpec.from_json(run.record.spec), tabular=tuple(run.record.tabular) or None)


def missing_tabular_notes(run: Run, tabular: Tabular | None, source: str) -> list[str]:
    """A note on the tabular columns that the run reads and `source` lacks, if there are any."""
    names = [label.rpartition(":")[0] for label in run.record.tabular]
    missing = [name for name in names if tabular is None or tabular.column(name) is None]
    if not missing:
        return []
    verb = "the tabular column" if len(missing) == 1 else "the tabular columns"
    return [f"{source} lacks {verb} {join_names(missing)} of {run.name}: every value is read as missing"]


def predict(
    run: Run,
    documents: Sequence[Document],
    encoders: Sequence[Encoder],
    on_progress: Callable[[int], None] | None = None,
    tabular: Tabular | None = None,
) -> Iterator[Prediction]:
    """Predict the labels of new documents.

    Args:
        run: the run whose head and decision rule to use.
        documents: new text.
        encoders: from `open_encoders`.
        on_progress: called with the number of documents done.
        tabular: their tabular columns; one that the run reads and that is not there is missing for every document.

    Returns:
        One prediction per document, in their order.

    Raises:
        EmbedOnceError: what `iter_feature_blocks` raises.
    """
    columns = Documents.from_documents(documents)
    for block, scores in _score_blocks(run, columns, encoders, on_progress, tabular):
        ids = [columns.ids[row] for row in np.asarray(block.texts)[block.is_encoded]]
        decided = _decide(run, ids, scores, block.shards) if ids else iter(())
        for row, is_encoded in zip(block.texts, block.is_encoded.tolist(), strict=True):
            yield next(decided) if is_encoded else Prediction(columns.ids[row])


def score_new_documents(
    run: Run,
    source: str,
    corpus: Corpus,
    encoders: Sequence[Encoder],
    on_progress: Callable[[int], None] | None = None,
) -> NewDocuments:
    """Score new documents, from which frequencies of labels are estimated.

    Args:
        run: the run whose head scores them, or a decision on its scores.
        source: what `corpus` was read from.
        corpus: from `read_new_text`.
        encoders: from `open_encoders`.
        on_progress: called with the number of documents done.

    Returns:
        The documents with finite vectors, scored.

    Raises:
        BadData: there are fewer than LEAST_DOCUMENTS.
        EmbedOnceError: what `iter_feature_blocks` raises.
    """
    if len(corpus.documents) < LEAST_DOCUMENTS:
        raise BadData(
            f"{source} has {plural(len(corpus.documents), 'document')}, too few to estimate frequencies of labels. "
            f"Give at least {LEAST_DOCUMENTS}."
        )
    documents = Documents.from_documents(corpus.documents)
    blocks = _score_blocks(run, documents, encoders, on_progress, corpus.tabular)
    return NewDocuments(source, np.concatenate([scores for _, scores in blocks]))


def _score_blocks(
    run: Run,
    documents: Documents,
    encoders: Sequence[Encoder],
    on_progress: Callable[[int], None] | None,
    tabular: Tabular | None,
) -> Iterator[tuple[FeatureBlock, NDArray[np.float32]]]:
    """Yield blocks of documents with the scores of those that have finite vectors, (documents, labels)."""
    score, labels = build_scorer(run), run.record.tabular
    tabular = Tabular.completed(labels, tabular, len(documents)) if labels else None
    for block in iter_feature_blocks(documents.texts, encoders):
        rows = np.asarray(block.texts)[block.is_encoded]
        columns_of_rows = None if tabular is None else tabular[rows]
        none = np.empty((0, len(run.record.labels)), dtype=np.float32)
        yield block, score(block.shards, columns_of_rows) if len(rows) else none
        if on_progress is not None:
            on_progress(block.texts.stop)


def _decide(run: Run, ids: Sequence[str], scores: NDArray[np.float32], shards: Sequence[Shard]) -> Iterator[Prediction]:
    """Yield the prediction of each document. scores: float32 (documents, labels). shards: their features."""
    labels, names, hierarchy, decision = run.record.labels, run.record.node_names, run.record.hierarchy, run.decision
    vectors = compared_vectors(run, shards[0])
    decided, probabilities = decision.decide(scores, vectors), decision.probabilities(scores)
    sets = decision.sets(scores, ids)
    paths = None if hierarchy is None else Paths(hierarchy).of(decided, probabilities)
    yield from describe_predictions(ids, decided, probabilities, labels, names, sets, paths)


def describe_predictions(
    ids: Sequence[str],
    decided: NDArray[Any],
    probabilities: NDArray[np.float32],
    labels: Sequence[str],
    names: Sequence[str],
    sets: NDArray[np.bool_] | None = None,
    paths: Iterable[tuple[Path, ...]] | None = None,
) -> Iterator[Prediction]:
    """Yield the prediction of each document.

    Args:
        ids: of the documents.
        decided: codes of labels or nodes (documents,), negative for a document that is left undecided; or bool
            (documents, labels).
        probabilities: float32 (documents, labels).
        labels: the columns of probabilities and sets.
        names: of the codes.
        sets: the label sets, bool (documents, labels); None if there are none.
        paths: of each document; None without a taxonomy.

    Yields:
        One prediction per document.
    """
    for row, (codes, of_document) in enumerate(zip(decided, repeat(()) if paths is None else paths, strict=False)):
        yield Prediction(
            ids[row],
            format_labels(codes, names),
            tuple(names[code] for code in predicted_codes(codes)),
            probabilities[row],
            of_document,
            abstention_reason(codes),
            None if sets is None else tuple(labels[column] for column in predicted_codes(sets[row])),
        )


def path_columns(run: Run) -> PathColumns | None:
    """The columns of the paths that a run predicts; None without a taxonomy."""
    hierarchy = run.record.hierarchy
    return None if hierarchy is None else PathColumns(Paths(hierarchy), run.record.kind == "multilabel")


def write_predictions(
    predictions: Iterable[Prediction],
    columns: ProbabilityColumns,
    out: TextIO,
    *,
    as_json: bool,
    paths: PathColumns | None = None,
    decision: Decision | None = None,
) -> list[str]:
    """Write predictions as CSV or JSON lines; a row without a prediction has empty cells, or null in JSON.

    Args:
        predictions: from `predict`.
        columns: the labels whose probabilities are written.
        out: where to write.
        as_json: one JSON object per line instead of CSV.
        paths: from `path_columns`.
        decision: of the run, if it may leave documents undecided or makes label sets, which have a column each.

    Returns:
        The ids of the rows without a prediction.
    """
    further = decision_columns(decision)
    write = _write_json(columns, paths, further, out) if as_json else _write_csv(columns, paths, further, out)
    failed = []
    for row in predictions:
        write(row)
        if row.labels is None:
            failed.append(row.id)
    return failed


def _write_json(
    columns: ProbabilityColumns, paths: PathColumns | None, further: Sequence[str], out: TextIO
) -> Callable[[Prediction], None]:
    def write(row: Prediction) -> None:
        probabilities = None if row.probabilities is None else columns.select(row.probabilities)
        found = {} if paths is None else paths.to_json(None if row.labels is None else row.paths)
        decided = {name: getattr(row, name) for name in further}
        content = {"id": row.id, "labels": row.labels, **decided, **found, "probabilities": probabilities}
        out.write(json.dumps(content, ensure_ascii=False) + "\n")

    return write


def _write_csv(
    columns: ProbabilityColumns, paths: PathColumns | None, further: Sequence[str], out: TextIO
) -> Callable[[Prediction], None]:
    table, others = CsvWriter(out), ["id", "prediction", *further, *(() if paths is None else paths.header)]
    header = columns.header(others)
    table.writerow([*others, *header])

    def write(row: Prediction) -> None:
        if row.probabilities is None:
            cells = [""] * (len(others) - 2 + len(header))
        else:
            cells = [_format(getattr(row, name)) for name in further]
            cells += [*(() if paths is None else paths.cells(row.paths)), *columns.cells(row.probabilities)]
        table.writerow([row.id, row.label, *cells])

    return write


def _format(value: str | int | Sequence[str]) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
