"""Variants of encoding one sample: ours, what users run instead, and the limit of this machine's matrix products."""

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

Variant = Callable[[], object]
# positions of the batch whose products are timed
_ROWS = 4096
_REPEATS = 5


@dataclass(frozen=True)
class Sample:
    """Documents that all variants encode, the first window of each.

    positions: all that the encoder reads, special tokens included. work: the encoder's FLOP for them.
    """

    corpus: Corpus
    positions: int
    work: float

    @property
    def texts(self) -> list[str]:
        """One text per document."""
        return [document.text for document in self.corpus.documents]


def draw_sample(name: str, encoder: Encoder, shape: CatalogModel, tokens: int) -> Sample:
    """Distinct documents in random order, with about `tokens` tokens in total."""
    corpus = read_corpus(name)
    documents = random.Random(0).sample(list(corpus.documents), min(4 * tokens // 50, len(corpus.documents)))
    documents = list({document.text: document for document in documents}.values())
    lengths = encoder.tokenizer.tokenize([document.text for document in documents], encoder.windowing).length
    enough = int(np.searchsorted(np.cumsum(lengths), tokens)) + 1
    positions = lengths[:enough] + encoder.extra_positions
    products = 2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    work = shape.layers * float((positions * products + 4 * shape.hidden * positions**2).sum())
    return Sample(replace(corpus, documents=documents[:enough]), int(positions.sum()), work)


def prepare_model(shape: CatalogModel, folder: Path) -> str:
    """The installed encoder of that name, or a new one in `folder` with random weights."""
    if shape.installed:
        return shape.name
    model = folder / Path(shape.name).name
    make_encoder(shape.name, [document.text for document in read_corpus("reuters52").documents], model)
    return str(model)


def find_shape(name: str) -> CatalogModel:
    """The shape of that name in the catalog."""
    return next(shape for shape in MODEL_CATALOG if shape.name == name)


def measure_gemm_rate(shape: CatalogModel, device: str, dtype: torch.dtype) -> float:
    """FLOP per second of matrix products in the encoder's shapes, for a batch of 4,096 positions."""
    work = seconds = 0.0
    hidden, inner = shape.hidden, shape.intermediate
    with torch.inference_mode():
        for rows, columns, times in ((hidden, hidden, 4), (hidden, inner, 1), (inner, hidden, 1)):
            left = torch.randn(_ROWS, rows, device=device, dtype=dtype)
            right = torch.randn(rows, columns, device=device, dtype=dtype)
            left @ right
            synchronize(device)
            started = time.perf_counter()
            for _ in range(_REPEATS * times):
                left @ right
            synchronize(device)
            seconds += time.perf_counter() - started
            work += _REPEATS * times * 2 * _ROWS * rows * columns
    return work / seconds


def synchronize(device: str) -> None:
    """Wait until a CUDA device has finished its work."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def embed_into_new_store(corpus: Corpus, encoder: Encoder) -> None:
    """All of `embed`, into a new store."""
    with tempfile.TemporaryDirectory() as folder:
        report = embed(corpus, encoder, FeatureStore.create(Path(folder) / "store", encoder.recipe))
        assert report.encoded == len(corpus.documents)


def run_usual_loop(texts: list[str], tokenizer: Any, model: Any, longest: int) -> None:
    """Batches of 32 in the order of the file, padded to their longest."""
    with torch.inference_mode():
        for first in range(0, len(texts), 32):
            options = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
            batch = tokenizer(texts[first : first + 32], **options).to(model.device)
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            (states * mask).sum(1).div(mask.sum(1)).float().cpu().numpy()


def alternatives(
    texts: list[str], model: str, window: int, device: str, dtype: torch.dtype, sizes: tuple[int, ...]
) -> Iterator[tuple[str, Variant]]:
    """What users run instead: sentence-transformers at each of the batch `sizes`, and the usual loop."""
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder = str(find_model(model, None))
    sentence_transformer = SentenceTransformer(folder, device=device, model_kwargs={"dtype": dtype})
    sentence_transformer.max_seq_length = window + 2
    kind = str(dtype).removeprefix("torch.")
    for size in sizes:
        encode = partial(sentence_transformer.encode, texts, batch_size=size, show_progress_bar=False)
        yield f"sentence-transformers, {kind}, {size}", encode
    network = AutoModel.from_pretrained(folder, dtype=dtype).eval().to(device)
    yield (
        f"usual loop, {kind}",
        partial(run_usual_loop, texts, AutoTokenizer.from_pretrained(folder), network, window + 2),
    )
