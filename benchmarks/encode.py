"""The speed of `embed` compared with sentence-transformers, the usual loop, and the limit of matrix products.

    python -m benchmarks.encode [--corpus reuters52] [--window 254] [--tokens 40000] [--rounds 5] [--json]
    python -m benchmarks.encode --shape xlm-roberta-base --device cuda --window 510 --tokens 900000

On a CPU, all backends run in float32 and int8, and in bfloat16 if the CPU has AMX or AVX512-BF16; on a GPU, torch in
bfloat16. All variants read the same tokens: the first window of each document of a sample in random order. Ours writes
its store too. Each round runs all variants in random order; values are medians. A shape that is not installed has
random weights, which cost the same. Needs `pip install sentence-transformers` in addition to the extras.
"""

import os
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
from benchmarks.measuring import Claim, Topic, at_least, median_seconds, not_measured, print_topic
from data.devices import computes_bfloat16_well
from stages.doctor import find_cpu
from stages.embed import Options, open_encoder
from stages.embed.batching.float32_similarity import measure_float32_similarity
from stages.embed.encoder.model_catalog import MODEL_CATALOG, CatalogModel
from stages.embed.network.backends import BACKENDS, PRECISIONS

# corpus, window -> the bar against the usual loop
LOOP_BARS = {("reuters52", 254): 2.3, ("reuters52", 510): 4.0, ("newsgroups", 254): 1.4}
CPU_SIZES = (4, 8, 16, 32, 64)
CUDA_SIZES = (32, 64, 128, 256)
LEAST_SIMILARITY = 0.999
NO_BFLOAT16 = "this CPU has neither AMX nor AVX512-BF16"


@dataclass(frozen=True)
class Setup:
    """The options of the command line."""

    shape: CatalogModel
    corpus: str
    window: int
    tokens: int
    rounds: int
    device: str

    @property
    def on_cpu(self) -> bool:
        """Whether all backends can run."""
        return self.device == "cpu"

    @property
    def precisions(self) -> tuple[str, ...]:
        """The number types in which sentence-transformers runs, too; the limit is that of the first."""
        if not self.on_cpu:
            return ("bfloat16",)
        return ("float32", "bfloat16") if computes_bfloat16_well("cpu") else ("float32",)

    @property
    def options_by_name(self) -> Iterator[tuple[str, Options]]:
        """The variants of `embed`: every backend in every number type that this machine computes well."""
        kinds = (*self.precisions, "int8") if self.on_cpu else self.precisions
        for kind in kinds:
            for backend in BACKENDS if self.on_cpu else ("torch",):
                if kind in PRECISIONS[backend]:
                    yield f"embedonce, {kind}, {backend}", Options(backend=backend, precision=kind)

    @property
    def machine(self) -> str:
        """Date, device and versions, for the title."""
        cpu = f"{find_cpu().model}, {os.cpu_count()} cores" if self.on_cpu else ""
        device = cpu or torch.cuda.get_device_name(self.device)
        return f"{date.today()}, {device}, torch {torch.__version__}"


def prepare_variants(setup: Setup, folder: Path) -> tuple[Sample, dict[str, Variant], dict[str, float]]:
    """The sample; every variant of encoding it, each run once; the mean cosine of ours with float32.

    Its set-up is not part of a variant's speed.
    """
    model = prepare_model(setup.shape, folder)
    common = {"model": model, "window": setup.window, "long": "head", "device": setup.device}
    encoders = {
        name: open_encoder(replace(options, **common))  # type: ignore[arg-type]
        for name, options in setup.options_by_name
    }
    first = next(iter(encoders.values()))
    sample = draw_sample(setup.corpus, first, setup.shape, setup.tokens)
    similarities = {
        name: found.mean
        for name, encoder in encoders.items()
        if encoder.is_compared_with_float32 and (found := measure_float32_similarity(sample.texts, encoder))
    }
    if setup.on_cpu:
        open_network: Any = first.open_network
        plain = replace(first, open_network=partial(open_network, onednn=False))
        encoders["embedonce without oneDNN layers, float32, torch"] = plain
    variants: dict[str, Variant] = {
        name: partial(embed_into_new_store, sample.corpus, encoder) for name, encoder in encoders.items()
    }
    sizes = CPU_SIZES if setup.on_cpu else CUDA_SIZES
    for kind in setup.precisions:
        variants |= dict(alternatives(sample.texts, model, setup.window, setup.device, getattr(torch, kind), sizes))
    for run in variants.values():
        run()
    return sample, variants, similarities


def check_claims(
    setup: Setup, medians: Mapping[str, float], similarities: Mapping[str, float], least: float
) -> Iterator[Claim]:
    """The goals of `embed`, as ratios within one run. least: seconds of the encoder's matrix products alone."""

    def fastest(*words: str) -> str:
        names = [name for name in medians if name.startswith(words)]
        return min(names, key=medians.__getitem__)

    if setup.on_cpu:
        yield from _check_precisions(setup, medians, similarities)
        best = fastest("embedonce, float32")
        yield at_least(f"{best}: of the limit that matrix products set", least / medians[best], 0.8)
    for kind in setup.precisions:
        ours, theirs = fastest(f"embedonce, {kind}"), fastest(f"sentence-transformers, {kind}")
        yield at_least(f"{ours}: times {theirs} (its best batch size)", medians[theirs] / medians[ours], 1.2)
        bar = LOOP_BARS.get((setup.corpus, setup.window), 1.4)
        yield at_least(f"{ours}: times the usual loop", medians[f"usual loop, {kind}"] / medians[ours], bar)
    if setup.on_cpu:
        ours, exact = fastest("embedonce, int8"), medians["embedonce, float32, torch"]
        yield at_least(f"{ours}: times float32 in torch", exact / medians[ours], 1.4)
    else:
        yield at_least("of the limit that matrix products set", least / medians["embedonce, bfloat16, torch"], 0.5)


def _check_precisions(setup: Setup, medians: Mapping[str, float], similarities: Mapping[str, float]) -> Iterator[Claim]:
    """The fastest number type that is near to float32, against the fastest float32."""
    exact = min(seconds for name, seconds in medians.items() if name.startswith("embedonce, float32"))
    claims = "fastest precision: times the fastest float32", "fastest precision: mean cosine with float32"
    if "bfloat16" not in setup.precisions:
        yield not_measured(claims[0], 2.5, NO_BFLOAT16)
        yield not_measured(claims[1], LEAST_SIMILARITY, NO_BFLOAT16)
        return
    near = [name for name, value in similarities.items() if value >= LEAST_SIMILARITY] or list(similarities)
    best = min(near, key=medians.__getitem__)
    yield at_least(f"{claims[0]} ({best})", exact / medians[best], 2.5)
    yield replace(
        at_least(f"{claims[1]} ({best})", similarities[best], LEAST_SIMILARITY), value=round(similarities[best], 5)
    )


def measure(setup: Setup) -> Topic:
    """Run all variants; returns the table and its claims."""
    rates: list[float] = []
    dtype = getattr(torch, setup.precisions[0])
    with tempfile.TemporaryDirectory() as folder:
        sample, variants, similarities = prepare_variants(setup, Path(folder))
        medians = median_seconds(
            variants, setup.rounds, lambda: rates.append(measure_gemm_rate(setup.shape, setup.device, dtype))
        )
    rate = statistics.median(rates)
    least = sample.work / rate
    rows = [["", "tokens/s", "of the limit", "cosine"]]
    for name, seconds in medians.items():
        cosine = f"{similarities[name]:.5f}" if name in similarities else ""
        rows.append([name, f"{sample.positions / seconds:,.0f}", f"{least / seconds:.2f}", cosine])
    title = (
        f"{setup.shape.name}, {setup.corpus}, window {setup.window}: {len(sample.texts):,} documents, "
        f"{sample.positions:,} positions, {setup.rounds} rounds ({setup.machine}, {rate / 1e9:,.0f} GFLOP/s in "
        f"{setup.precisions[0]})"
    )
    return Topic(title, rows, list(check_claims(setup, medians, similarities, least)))


@click.command()
@click.option("--shape", default="all-MiniLM-L6-v2", type=click.Choice([shape.name for shape in MODEL_CATALOG]))
@click.option("--corpus", default="reuters52", type=click.Choice(["reuters52", "newsgroups"]))
@click.option("--window", default=254)
@click.option("--tokens", default=40_000)
@click.option("--rounds", default=5)
@click.option("--device", default="cpu")
@click.option("--json", "as_json", is_flag=True)
def main(shape: str, as_json: bool, **options: str | int) -> None:
    """Print the table of one corpus at one window, or with --json one object per claim and line."""
    topic = measure(Setup(shape=find_shape(shape), **options))  # type: ignore[arg-type]
    print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    main()
