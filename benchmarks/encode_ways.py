"""Ways to encode one sample: ours, what users take instead, and what this machine's matrix products allow."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.full_size import make_encoder
from data.documents import Corpus
from data.readers import read_corpus
from featurestore import FeatureStore
from stages.embed import Encoder, embed, find_model
from stages.embed.encoder.model_catalog import MODEL_CATALOG, CatalogModel

Way = Callable[[], object]
# positions of the batch whose products are timed
_ROWS = 4096
_REPEATS = 20


@dataclass(frozen=True)
class Sample:
    """Documents that all ways encode, the first window of each.

    positions: that the encoder reads of them, special tokens included. work: its FLOP for these.
    """

    corpus: Corpus
    positions: int
    work: float

    @property
    def texts(self) -> list[str]:
        """One a document."""
        return [document.text for document in self.corpus.documents]


def sampled(name: str, encoder: Encoder, shape: CatalogModel, tokens: int) -> Sample:
    """Different documents in random order, of about so many positions together."""
    corpus = read_corpus(name)
    documents = random.Random(0).sample(list(corpus.documents), min(4 * tokens // 50, len(corpus.documents)))
    documents = list({document.text: document for document in documents}.values())
    lengths = encoder.tokenizer.tokenize([document.text for document in documents], encoder.windowing).length
    enough = int(np.searchsorted(np.cumsum(lengths), tokens)) + 1
    positions = lengths[:enough] + encoder.extra_positions
    products = 2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    work = shape.layers * float((positions * products + 4 * shape.hidden * positions**2).sum())
    return Sample(replace(corpus, documents=documents[:enough]), int(positions.sum()), work)


def model_of(shape: CatalogModel, place: Path) -> str:
    """The installed encoder of that name, or one with random weights, made in `place`."""
    if shape.installed:
        return shape.name
    folder = place / Path(shape.name).name
    make_encoder(shape.name, [document.text for document in read_corpus("reuters52").documents], folder)
    return str(folder)


def shape_of(name: str) -> CatalogModel:
    """The published shape of that name."""
    return next(shape for shape in MODEL_CATALOG if shape.name == name)


def gemm_rate(shape: CatalogModel, device: str, dtype: torch.dtype) -> float:
    """FLOP a second of products of the encoder's shapes, of a batch of 4,096 positions."""
    work = taken = 0.0
    hidden, inner = shape.hidden, shape.intermediate
    with torch.inference_mode():
        for rows, columns, times in ((hidden, hidden, 4), (hidden, inner, 1), (inner, hidden, 1)):
            left = torch.randn(_ROWS, rows, device=device, dtype=dtype)
            right = torch.randn(rows, columns, device=device, dtype=dtype)
            left @ right
            settle(device)
            started = time.perf_counter()
            for _ in range(_REPEATS * times):
                left @ right
            settle(device)
            taken += time.perf_counter() - started
            work += _REPEATS * times * 2 * _ROWS * rows * columns
    return work / taken


def settle(device: str) -> None:
    """Wait for what a CUDA device was given to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def ours(corpus: Corpus, encoder: Encoder) -> None:
    """All of stage one, into a store that is new."""
    with tempfile.TemporaryDirectory() as place:
        report = embed(corpus, encoder, FeatureStore.create(Path(place) / "store", encoder.recipe))
        assert report.encoded == len(corpus.documents)


def usual_loop(texts: list[str], tokenizer: Any, model: Any, longest: int) -> None:
    """Batches of 32 in the order of the file, padded to their longest."""
    with torch.inference_mode():
        for first in range(0, len(texts), 32):
            settings = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
            batch = tokenizer(texts[first : first + 32], **settings).to(model.device)
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            (states * mask).sum(1).div(mask.sum(1)).float().cpu().numpy()


def peers(
    texts: list[str], model: str, window: int, device: str, dtype: torch.dtype, sizes: tuple[int, ...]
) -> Iterator[tuple[str, Way]]:
    """What users take instead: sentence-transformers at each of `sizes` a batch, and the usual loop."""
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder = str(find_model(model, None))
    theirs = SentenceTransformer(folder, device=device, model_kwargs={"dtype": dtype})
    theirs.max_seq_length = window + 2
    for size in sizes:
        yield f"sentence-transformers, {size}", partial(theirs.encode, texts, batch_size=size, show_progress_bar=False)
    plain = AutoModel.from_pretrained(folder, dtype=dtype).eval().to(device)
    yield "usual loop", partial(usual_loop, texts, AutoTokenizer.from_pretrained(folder), plain, window + 2)
