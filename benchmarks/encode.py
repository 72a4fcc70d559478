"""Stage one's speed beside sentence-transformers, the usual loop, and what this machine's matrix products allow.

    python -m benchmarks.encode [--tokens 20000] [--rounds 5] [--corpus reuters52] [--window 254]

All read the same tokens: the first window of each document of a sample in random order. Ours writes its store too. Each
round runs all ways in random order; figures are medians. Takes `pip install sentence-transformers` beside the extras.
"""

import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.measuring import Claim, Topic, at_least, seconds
from data import Corpus, read
from featurestore import FeatureStore
from stages.embed import Encoder, Options, embed, find_model, open_encoder

MODEL = "all-MiniLM-L6-v2"
SIZES = (4, 8, 16, 32, 64)
WIDTH, INNER, LAYERS = 384, 1536, 6
# corpus, window -> bars against sentence-transformers at its best and at 32, and against the usual loop
BARS = {("reuters52", 254): (1.0, 1.15, 2.3), ("reuters52", 510): (1.0, 1.15, 4.0)}
NEWSGROUPS = (1.0, 1.15, 1.4)


def sampled(name: str, encoder: Encoder, tokens: int) -> tuple[Corpus, int, float]:
    """Documents of about so many tokens; their positions, special tokens included; and the encoder's FLOP for them."""
    corpus = read(name)
    documents = random.Random(0).sample(list(corpus.documents), min(4 * tokens // 50, len(corpus.documents)))
    documents = list({document.text: document for document in documents}.values())
    lengths = encoder.tokenizer.windows([document.text for document in documents], encoder.cutting).length
    enough = int(np.searchsorted(np.cumsum(lengths), tokens)) + 1
    positions = lengths[:enough] + encoder.around
    products = 2 * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    work = LAYERS * float((positions * products + 4 * WIDTH * positions**2).sum())
    return replace(corpus, documents=documents[:enough]), int(positions.sum()), work


def gemm_rate() -> float:
    """FLOP a second of float32 products of the encoder's shapes, of a batch of 4,096 positions."""
    work = taken = 0.0
    with torch.inference_mode():
        for rows, columns, times in ((WIDTH, WIDTH, 4), (WIDTH, INNER, 1), (INNER, WIDTH, 1)):
            left, right = torch.randn(4096, rows), torch.randn(rows, columns)
            left @ right
            started = time.perf_counter()
            for _ in range(20 * times):
                left @ right
            taken += time.perf_counter() - started
            work += 20 * times * 2 * 4096 * rows * columns
    return work / taken


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
            batch = tokenizer(texts[first : first + 32], **settings)
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            (states * mask).sum(1).div(mask.sum(1)).numpy()


def peers(texts: list[str], window: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What users take instead."""
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder = str(find_model(MODEL, None))
    model = SentenceTransformer(folder, device="cpu")
    model.max_seq_length = window + 2
    for size in SIZES:
        yield f"sentence-transformers, {size}", partial(model.encode, texts, batch_size=size, show_progress_bar=False)
    plain = AutoModel.from_pretrained(folder).eval()
    yield "usual loop", partial(usual_loop, texts, AutoTokenizer.from_pretrained(folder), plain, window + 2)


def claims(medians: dict[str, float], limits: dict[str, float], bars: tuple[float, float, float]) -> Iterator[Claim]:
    """What the issue of speed asks, as ratios of one run."""
    theirs = {name: each for name, each in medians.items() if name.startswith("sentence")}
    best = min(theirs, key=theirs.__getitem__)
    torchs = medians["embedonce, torch"]
    yield at_least(f"torch, of {best} (its best batch size)", theirs[best] / torchs, bars[0])
    yield at_least("torch, of sentence-transformers at 32", medians["sentence-transformers, 32"] / torchs, bars[1])
    yield at_least("torch, of the usual loop", medians["usual loop"] / torchs, bars[2])
    yield at_least("torch, of the limit that matrix products set", limits["torch"], 0.7)
    yield at_least("fastest float32 backend, of that limit", limits["fastest"], 0.8)
    yield at_least("int8, of float32 in torch", torchs / medians["embedonce, int8"], 1.4)


@click.command()
@click.option("--tokens", default=20_000)
@click.option("--rounds", default=5)
@click.option("--corpus", "name", default="reuters52", type=click.Choice(["reuters52", "newsgroups"]))
@click.option("--window", default=254)
def main(tokens: int, rounds: int, name: str, window: int) -> None:
    """Print the table of one corpus at one window."""
    options = Options(model=MODEL, window=window, long="head", backend="torch")
    kinds = {each: replace(options, backend=each) for each in ("torch", "onnx", "openvino")}
    kinds["int8"] = replace(options, backend="onnx", precision="int8")
    encoders = {kind: open_encoder(each) for kind, each in kinds.items()}
    corpus, positions, work = sampled(name, encoders["torch"], tokens)
    texts = [document.text for document in corpus.documents]
    ways: dict[str, Callable[[], object]] = {
        f"embedonce, {kind}": partial(ours, corpus, each) for kind, each in encoders.items()
    }
    ways |= dict(peers(texts, window))
    for way in ways.values():  # what each sets up once, graphs and caches, is no part of its speed
        way()
    rates: list[float] = []
    medians = seconds(ways, rounds, lambda: rates.append(gemm_rate()))
    least = work / statistics.median(rates)
    exact = min(medians[f"embedonce, {kind}"] for kind in ("torch", "onnx", "openvino"))
    limits = {"torch": least / medians["embedonce, torch"], "fastest": least / exact}
    bars = NEWSGROUPS if name == "newsgroups" else BARS.get((name, window), BARS["reuters52", 254])
    rows = [["", "tokens/s", "of the limit"]]
    rows += [[way, f"{positions / each:,.0f}", f"{least / each:.2f}"] for way, each in medians.items()]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    title = f"{name}, window {window}, {len(texts):,} documents, {positions:,} positions, {rounds} rounds ({machine})"
    print(Topic(title, rows, list(claims(medians, limits, bars))).markdown())


if __name__ == "__main__":
    main()
