"""A store and its corpus from given vectors, without an encoder, for tests of stage two."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Document, Kind
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, EncoderTraining, FeatureStore, ShardContent, TrainingStep, text_key
from tests.featurestore import made

RECIPE = replace(made.RECIPE, dtype="float32")


def make_store(
    folder: Path,
    documents: Sequence[Document],
    vectors: NDArray[Any],
    kind: Kind = "single",
    taxonomy: Taxonomy | None = None,
    training: EncoderTraining | None = None,
    weights: str = RECIPE.weights,
) -> tuple[FeatureStore, CorpusTable]:
    """A store with one chunk of one segment per document, whose cls, mean, max and segment are its row of `vectors`.

    vectors: (documents, dim), or (documents, layers, dim). training, weights: of the encoder, which does not exist.
    """
    layers = tuple(range(-vectors.shape[1], 0)) if vectors.ndim == 3 else RECIPE.layers
    store = FeatureStore.create(folder, replace(RECIPE, layers=layers, weights=weights), training)
    keys = [text_key(document.text) for document in documents]
    rows = [keys.index(key) for key in dict.fromkeys(keys)]
    store.commit(content([keys[row] for row in rows], np.asarray(vectors, np.float32)[rows]))
    table = table_of(documents, kind, taxonomy)
    store.save_corpus(table)
    return store, table


def table_of(documents: Sequence[Document], kind: Kind = "single", taxonomy: Taxonomy | None = None) -> CorpusTable:
    """The table of a corpus that is called made."""
    return CorpusTable(
        name="made",
        source="made.csv",
        kind=kind,
        taxonomy=taxonomy,
        ids=[document.id for document in documents],
        keys=[text_key(document.text) for document in documents],
        splits=[document.split for document in documents],
        groups=[document.group for document in documents],
        labels=[document.labels for document in documents],
        notes=(),
    )


def content(keys: Sequence[str], vectors: NDArray[np.float32]) -> ShardContent:
    """The content of a shard with one vector per document."""
    each = np.arange(len(keys) + 1)
    arrays = {f"documents/{cut}_offsets": each for cut in ("chunk", "segment", "token")}
    arrays["documents/dropped_tokens"] = np.zeros(len(keys), np.int64)
    arrays["chunks/span"] = np.zeros((len(keys), 2), np.int64)
    arrays["tokens/id"] = np.arange(len(keys), dtype=np.int32)
    named = dict.fromkeys(("chunks/cls", "chunks/mean", "chunks/max", "segments/vector"), vectors)
    return ShardContent(keys=list(keys), arrays={**arrays, **named})


def blobs(
    labels: Sequence[str], documents: int = 120, dim: int = 8, seed: int = 0
) -> tuple[list[Document], NDArray[np.float32]]:
    """Documents whose vector is near the corner of their label; every fourth is in the test split."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(len(labels), size=documents)
    vectors = (4 * np.eye(dim)[codes] + rng.normal(size=(documents, dim))).astype(np.float32)
    split = ["test" if row % 4 == 3 else "train" for row in range(documents)]
    made = [Document(f"d{row}", f"text {row}", (labels[codes[row]],), split[row]) for row in range(documents)]
    return made, vectors


def trained_on(
    documents: Sequence[Document], *, method: str = "supervised", uses_labels: bool = True, corpus: str = "made"
) -> EncoderTraining:
    """The record of an encoder that learned from these documents."""
    step = TrainingStep(
        method=method,
        corpus=corpus,
        uses_labels=uses_labels,
        includes_test=any(document.split == "test" for document in documents),
        keys=frozenset(text_key(document.text) for document in documents),
    )
    return EncoderTraining(base="tiny", steps=(step,))
