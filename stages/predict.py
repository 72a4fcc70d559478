"""New text in, labels out, by a run's own recipe: the same encoder, the same windows, the same decision rule."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from data.documents import Document
from data.errors import CallError, RecipeMismatch
from featurestore import Bags, Recipe, Shard, shard_bytes
from heads.evaluation.score_matrix import scores_to_probabilities
from stages.embed import Encoder, encode, open_encoder
from stages.embed.pipeline.encoding_choice import options_from_recipe
from stages.fitting.runs import Run, label_names
from stages.fitting.stacking_inputs import build_scorer

BLOCK = 4096  # documents encoded before their labels are given out: bounds memory, fills batches


@dataclass(frozen=True)
class Prediction:
    """One document's labels. probabilities: float32 (labels,) in the order of the run's labels."""

    id: str
    name: str  # as predictions.csv has it: the label, or a JSON list of several
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]


def open_encoders(
    run: Run, *, models: Sequence[str] = (), device: str = "auto", trust: bool = False
) -> tuple[Encoder, ...]:
    """The encoders that made the features which `run` was fitted on, one for each store.

    models: where they are now, in that order; none are where they were. trust: run Python code that comes with them.

    Raises RecipeMismatch when what is found under a model's name is not the same encoder any more, CallError for more
    or fewer models than stores.
    """
    recipes = run.recipes
    if models and len(models) != len(recipes):
        names = ", ".join(recipe.encoder for recipe in recipes)
        raise CallError(f"{run.name} reads features of {names}: name as many --encoder, in that order.")
    return tuple(
        _encoder_of(run, recipe, model, device, trust=trust)
        for recipe, model in zip(recipes, models or repeat(None, len(recipes)), strict=True)
    )


def _encoder_of(run: Run, recipe: Recipe, model: str | None, device: str, *, trust: bool) -> Encoder:
    options = options_from_recipe(recipe)
    encoder = open_encoder(replace(options, model=model or options.model, device=device, trust_remote_code=trust))
    differences = recipe.differences(encoder.recipe)
    if differences:
        raise RecipeMismatch(
            f"{run.name} was fitted on features of another recipe: {'; '.join(differences)}. "
            "Name the encoder that it used with --encoder."
        )
    return encoder


def predict(
    run: Run,
    documents: Sequence[Document],
    encoders: Sequence[Encoder],
    report: Callable[[int], None] | None = None,
) -> Iterator[Prediction]:
    """The labels of `documents`, in their order; `report` is told how many are done. encoders: of `open_encoders`."""
    score, rule, labels = build_scorer(run), run.decision.rule, run.record.labels
    for start in range(0, len(documents), BLOCK):
        block = documents[start : start + BLOCK]
        texts = [document.text for document in block]
        scores = score([encode_texts(texts, encoder) for encoder in encoders])
        shares = scores_to_probabilities(scores, multilabel=run.record.kind == "multilabel")
        for document, codes, share in zip(block, rule.decide(scores), shares, strict=True):
            chosen = np.flatnonzero(codes).tolist() if np.ndim(codes) else [int(codes)]
            names = tuple(labels[code] for code in chosen)
            yield Prediction(document.id, label_names(codes, labels), names, share)
        if report is not None:
            report(start + len(block))


def encode_texts(texts: Sequence[str], encoder: Encoder) -> Shard:
    """`texts`, encoded now and read as a store would read them, so both are the same to a head."""
    return Shard.of_bytes(shard_bytes(encode(texts, encoder), encoder.recipe), encoder.recipe)


def features(texts: Sequence[str], encoder: Encoder, layer: int | None = -1) -> Bags:
    """One layer of what `encoded` gives; all of them for None."""
    return encode_texts(texts, encoder).bags(layer)


def write_predictions(labelled: Iterable[Prediction], labels: Sequence[str], out: TextIO, *, as_json: bool) -> None:
    """CSV of id, prediction and each label's probability, or a JSON object a line. Several labels are a JSON list."""
    if as_json:
        for row in labelled:
            shares = dict(zip(labels, row.probabilities.tolist(), strict=True))
            said = {"id": row.id, "labels": row.labels, "probabilities": shares}
            out.write(json.dumps(said, ensure_ascii=False) + "\n")
        return
    table = csv.writer(out)
    table.writerow(["id", "prediction", *labels])
    for row in labelled:
        table.writerow([row.id, row.name, *(f"{share:.6g}" for share in row.probabilities.tolist())])
