"""New text in, labels out, by a run's own recipe: the same encoder, the same windows, the same decision rule."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Document
from data.errors import CallError, RecipeMismatch
from data.readers import read_corpus
from data.source_spec import SourceSpec
from featurestore import Recipe, Shard, shard_bytes
from heads.evaluation.score_matrix import scores_to_probabilities
from stages.embed import Encoder, encode
from stages.embed.pipeline.encoding_choice import open_recorded_encoder, options_from_recipe
from stages.fitting.predictions import CsvWriter, ProbabilityColumns, format_labels
from stages.fitting.runs import Run
from stages.fitting.stacking_inputs import build_scorer

BLOCK = 4096  # documents encoded before their labels are returned: bounds memory, fills batches


@dataclass(frozen=True)
class Prediction:
    """The labels of one document.

    label: as in predictions.csv, a label or a JSON list of labels for multi-label.
    probabilities: float32 (labels,), in the order of the run's labels.
    """

    id: str
    label: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]


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
        The documents; notes say which columns of the corpus the source lacks.

    Raises:
        EmbedOnceError: what `read_corpus` raises.
    """
    known = SourceSpec.from_json(run.record.spec).for_file(source, run.record.source)
    return read_corpus(source, replace(requested, label="", split="", group=""), known)


def predict(
    run: Run,
    documents: Sequence[Document],
    encoders: Sequence[Encoder],
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Prediction]:
    """Predict the labels of new documents.

    Args:
        run: the run whose head and decision rule to use.
        documents: new text.
        encoders: from `open_encoders`.
        on_progress: called with the number of documents done.

    Returns:
        One prediction per document, in their order.
    """
    score, rule, labels = build_scorer(run), run.decision.rule, run.record.labels
    for start in range(0, len(documents), BLOCK):
        block = documents[start : start + BLOCK]
        texts = [document.text for document in block]
        scores = score([encode_texts(texts, encoder) for encoder in encoders])
        probabilities = scores_to_probabilities(scores, multilabel=run.record.kind == "multilabel")
        for document, codes, row in zip(block, rule.decide(scores), probabilities, strict=True):
            columns = np.flatnonzero(codes).tolist() if np.ndim(codes) else [int(codes)]
            names = tuple(labels[column] for column in columns)
            yield Prediction(document.id, format_labels(codes, labels), names, row)
        if on_progress is not None:
            on_progress(start + len(block))


def encode_texts(texts: Sequence[str], encoder: Encoder) -> Shard:
    """Encode texts and read them as a store would read them, so that a head gets the same input from both."""
    return Shard.of_bytes(shard_bytes(encode(texts, encoder), encoder.recipe), encoder.recipe)


def write_predictions(
    predictions: Iterable[Prediction], columns: ProbabilityColumns, out: TextIO, *, as_json: bool
) -> None:
    """Write predictions as CSV or JSON lines.

    Args:
        predictions: from `predict`.
        columns: the labels whose probabilities are written.
        out: where to write.
        as_json: one JSON object per line instead of CSV.
    """
    if as_json:
        for row in predictions:
            content = {"id": row.id, "labels": row.labels, "probabilities": columns.select(row.probabilities)}
            out.write(json.dumps(content, ensure_ascii=False) + "\n")
        return
    table, others = CsvWriter(out), ("id", "prediction")
    table.writerow([*others, *columns.header(others)])
    for row in predictions:
        table.writerow([row.id, row.label, *columns.cells(row.probabilities)])
