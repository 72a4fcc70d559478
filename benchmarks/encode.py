"""Stage one's speed beside sentence-transformers, the usual loop, and what this machine's matrix products allow.

    python -m benchmarks.encode [--corpus reuters52] [--window 254] [--tokens 40000] [--rounds 5]
    python -m benchmarks.encode --shape xlm-roberta-base --device cuda --precision bfloat16 --window 510 --tokens 900000

All read the same tokens: the first window of each document of a sample in random order. Ours writes its store too. Each
round runs all ways in random order; figures are medians. A shape that is not installed has random weights, which cost
the same. Takes `pip install sentence-transformers` beside the extras.
"""

import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.encode_ways import Sample, Way, gemm_rate, model_of, ours, peers, sampled, shape_of
from benchmarks.measuring import Claim, Topic, at_least, seconds, show
from stages.embed import Options, open_encoder
from stages.embed.encoder.model_catalog import MODEL_CATALOG, CatalogModel

FLOAT32 = ("torch", "onnx", "openvino")
# corpus, window -> bars against sentence-transformers at its best and at 32, and against the usual loop
BARS = {
    ("reuters52", 254): (1.0, 1.15, 2.3),
    ("reuters52", 510): (1.0, 1.15, 4.0),
    ("newsgroups", 254): (1.0, 1.15, 1.4),
}
CPU_SIZES = (4, 8, 16, 32, 64)
CUDA_SIZES = (32, 64, 128, 256)


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    shape: CatalogModel
    corpus: str
    window: int
    tokens: int
    rounds: int
    device: str
    precision: str

    @property
    def on_cpu(self) -> bool:
        """Whether all backends can run."""
        return self.device == "cpu" and self.precision == "float32"

    @property
    def machine(self) -> str:
        """Where this runs."""
        processor = f"{platform.machine()}, {os.cpu_count()} cores"
        card = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else processor
        return f"{date.today()}, {card}, torch {torch.__version__}, {self.precision}"


def ways_of(asked: Asked, place: Path) -> tuple[Sample, dict[str, Way]]:
    """The sample, and every way to encode it, each run once: what one sets up is no part of its speed."""
    model = model_of(asked.shape, place)
    options = Options(
        model=model, window=asked.window, long="head", backend="torch", device=asked.device, precision=asked.precision
    )
    kinds = {"torch": options}
    if asked.on_cpu:
        kinds |= {name: replace(options, backend=name) for name in FLOAT32[1:]}
        kinds["int8"] = replace(options, backend="onnx", precision="int8")
    encoders = {kind: open_encoder(each) for kind, each in kinds.items()}
    if asked.on_cpu:
        opened: Any = encoders["torch"].open_network
        plain = replace(encoders["torch"], open_network=partial(opened, onednn=False))
        encoders["torch, its layers as they are"] = plain
    sample = sampled(asked.corpus, encoders["torch"], asked.shape, asked.tokens)
    ways: dict[str, Way] = {
        f"embedonce, {kind}": partial(ours, sample.corpus, encoder) for kind, encoder in encoders.items()
    }
    sizes = CPU_SIZES if asked.device == "cpu" else CUDA_SIZES
    ways |= dict(peers(sample.texts, model, asked.window, asked.device, getattr(torch, asked.precision), sizes))
    for way in ways.values():
        way()
    return sample, ways


def claims(asked: Asked, medians: Mapping[str, float], least: float) -> Iterator[Claim]:
    """What was asked of stage one, as ratios of one run. least: seconds of the encoder's matrix products alone."""
    theirs = {name: each for name, each in medians.items() if name.startswith("sentence")}
    best = min(theirs, key=theirs.__getitem__)
    torchs = medians["embedonce, torch"]
    bars = BARS.get((asked.corpus, asked.window), (1.0, 1.15, 1.4))
    yield at_least(f"torch, of {best} (its best batch size)", theirs[best] / torchs, bars[0])
    yield at_least("torch, of sentence-transformers at 32", medians["sentence-transformers, 32"] / torchs, bars[1])
    yield at_least("torch, of the usual loop", medians["usual loop"] / torchs, bars[2])
    if not asked.on_cpu:
        yield at_least("of the limit that matrix products set", least / torchs, 0.5)
        return
    exact = min(medians[f"embedonce, {kind}"] for kind in FLOAT32)
    yield at_least("torch, of the limit that matrix products set", least / torchs, 0.7)
    yield at_least("fastest float32 backend, of that limit", least / exact, 0.8)
    yield at_least("int8, of float32 in torch", torchs / medians["embedonce, int8"], 1.4)


def measured(asked: Asked) -> Topic:
    """The table and its claims."""
    rates: list[float] = []
    dtype = getattr(torch, asked.precision)
    with tempfile.TemporaryDirectory() as place:
        sample, ways = ways_of(asked, Path(place))
        medians = seconds(ways, asked.rounds, lambda: rates.append(gemm_rate(asked.shape, asked.device, dtype)))
    rate = statistics.median(rates)
    least = sample.work / rate
    rows = [["", "tokens/s", "of the limit"]]
    rows += [[way, f"{sample.positions / each:,.0f}", f"{least / each:.2f}"] for way, each in medians.items()]
    title = (
        f"{asked.shape.name}, {asked.corpus}, window {asked.window}: {len(sample.texts):,} documents, "
        f"{sample.positions:,} positions, {asked.rounds} rounds ({asked.machine}, {rate / 1e9:,.0f} GFLOP/s)"
    )
    return Topic(title, rows, list(claims(asked, medians, least)))


@click.command()
@click.option("--shape", default="all-MiniLM-L6-v2", type=click.Choice([shape.name for shape in MODEL_CATALOG]))
@click.option("--corpus", default="reuters52", type=click.Choice(["reuters52", "newsgroups"]))
@click.option("--window", default=254)
@click.option("--tokens", default=40_000)
@click.option("--rounds", default=5)
@click.option("--device", default="cpu")
@click.option("--precision", default="float32", type=click.Choice(["float32", "bfloat16", "float16"]))
@click.option("--json", "as_json", is_flag=True)
def main(shape: str, as_json: bool, **asked: str | int) -> None:
    """Print the table of one corpus at one window, or with --json an object a claim on a line."""
    topic = measured(Asked(shape=shape_of(shape), **asked))  # type: ignore[arg-type]
    show(topic, as_json=as_json)


if __name__ == "__main__":
    main()
