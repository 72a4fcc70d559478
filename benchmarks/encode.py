"""The speed of `embed` compared with sentence-transformers, the usual loop, and the limit of matrix products.

    python -m benchmarks.encode [--corpus reuters52] [--window 254] [--tokens 40000] [--rounds 5]
    python -m benchmarks.encode --shape xlm-roberta-base --device cuda --precision bfloat16 --window 510 --tokens 900000

All variants read the same tokens: the first window of each document of a sample in random order. Ours writes its store
too. Each round runs all variants in random order; values are medians. A shape that is not installed has random weights,
which cost the same. Needs `pip install sentence-transformers` in addition to the extras.
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

from benchmarks.encode_variants import (
    Sample,
    Variant,
    alternatives,
    draw_sample,
    embed_into_new_store,
    find_shape,
    measure_gemm_rate,
    prepare_model,
)
from benchmarks.measuring import Claim, Topic, at_least, median_seconds, print_topic
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
class Setup:
    """The options of the command line."""

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
        """Date, device and versions, for the title."""
        cpu = f"{platform.machine()}, {os.cpu_count()} cores"
        device = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else cpu
        return f"{date.today()}, {device}, torch {torch.__version__}, {self.precision}"


def prepare_variants(setup: Setup, folder: Path) -> tuple[Sample, dict[str, Variant]]:
    """The sample, and every variant of encoding it, each run once: its set-up is not part of its speed."""
    model = prepare_model(setup.shape, folder)
    options = Options(
        model=model, window=setup.window, long="head", backend="torch", device=setup.device, precision=setup.precision
    )
    options_by_name = {"torch": options}
    if setup.on_cpu:
        options_by_name |= {name: replace(options, backend=name) for name in FLOAT32[1:]}
        options_by_name["int8"] = replace(options, backend="onnx", precision="int8")
    encoders = {name: open_encoder(options) for name, options in options_by_name.items()}
    if setup.on_cpu:
        open_network: Any = encoders["torch"].open_network
        without = replace(encoders["torch"], open_network=partial(open_network, onednn=False))
        encoders["torch without oneDNN layers"] = without
    sample = draw_sample(setup.corpus, encoders["torch"], setup.shape, setup.tokens)
    variants: dict[str, Variant] = {
        f"embedonce, {name}": partial(embed_into_new_store, sample.corpus, encoder)
        for name, encoder in encoders.items()
    }
    sizes = CPU_SIZES if setup.device == "cpu" else CUDA_SIZES
    variants |= dict(
        alternatives(sample.texts, model, setup.window, setup.device, getattr(torch, setup.precision), sizes)
    )
    for run in variants.values():
        run()
    return sample, variants


def check_claims(setup: Setup, medians: Mapping[str, float], least: float) -> Iterator[Claim]:
    """The goals of `embed`, as ratios within one run. least: seconds of the encoder's matrix products alone."""
    theirs = {name: seconds for name, seconds in medians.items() if name.startswith("sentence")}
    best = min(theirs, key=theirs.__getitem__)
    ours = medians["embedonce, torch"]
    bars = BARS.get((setup.corpus, setup.window), (1.0, 1.15, 1.4))
    yield at_least(f"torch, of {best} (its best batch size)", theirs[best] / ours, bars[0])
    yield at_least("torch, of sentence-transformers at 32", medians["sentence-transformers, 32"] / ours, bars[1])
    yield at_least("torch, of the usual loop", medians["usual loop"] / ours, bars[2])
    if not setup.on_cpu:
        yield at_least("of the limit that matrix products set", least / ours, 0.5)
        return
    exact = min(medians[f"embedonce, {name}"] for name in FLOAT32)
    yield at_least("torch, of the limit that matrix products set", least / ours, 0.7)
    yield at_least("fastest float32 backend, of that limit", least / exact, 0.8)
    yield at_least("int8, of float32 in torch", ours / medians["embedonce, int8"], 1.4)


def measure(setup: Setup) -> Topic:
    """Run all variants; returns the table and its claims."""
    rates: list[float] = []
    dtype = getattr(torch, setup.precision)
    with tempfile.TemporaryDirectory() as folder:
        sample, variants = prepare_variants(setup, Path(folder))
        medians = median_seconds(
            variants, setup.rounds, lambda: rates.append(measure_gemm_rate(setup.shape, setup.device, dtype))
        )
    rate = statistics.median(rates)
    least = sample.work / rate
    rows = [["", "tokens/s", "of the limit"]]
    rows += [
        [name, f"{sample.positions / seconds:,.0f}", f"{least / seconds:.2f}"] for name, seconds in medians.items()
    ]
    title = (
        f"{setup.shape.name}, {setup.corpus}, window {setup.window}: {len(sample.texts):,} documents, "
        f"{sample.positions:,} positions, {setup.rounds} rounds ({setup.machine}, {rate / 1e9:,.0f} GFLOP/s)"
    )
    return Topic(title, rows, list(check_claims(setup, medians, least)))


@click.command()
@click.option("--shape", default="all-MiniLM-L6-v2", type=click.Choice([shape.name for shape in MODEL_CATALOG]))
@click.option("--corpus", default="reuters52", type=click.Choice(["reuters52", "newsgroups"]))
@click.option("--window", default=254)
@click.option("--tokens", default=40_000)
@click.option("--rounds", default=5)
@click.option("--device", default="cpu")
@click.option("--precision", default="float32", type=click.Choice(["float32", "bfloat16", "float16"]))
@click.option("--json", "as_json", is_flag=True)
def main(shape: str, as_json: bool, **options: str | int) -> None:
    """Print the table of one corpus at one window, or with --json one object per claim and line."""
    topic = measure(Setup(shape=find_shape(shape), **options))  # type: ignore[arg-type]
    print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    main()
