"""Lengthened encoders: equality on short inputs, a planted problem of distant words, and time and memory per token.

    python -m benchmarks.lengthening [--part equality] [--part distance] [--part cost] [--json]

`equality` lengthens encoders of published shapes with random weights, and all-MiniLM-L6-v2. `distance` fits heads on
documents whose label is the combination of two words that are 3,000 tokens apart (tests/distant_evidence.py). `cost`
encodes the same long documents with all-MiniLM-L6-v2 in windows and with the lengthened one in longer and longer
inputs, each in a process of its own with one thread; CPU time is counted, which other load on the machine hardly moves.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.full_size import make_encoder
from benchmarks.measuring import Topic, at_least, at_most, print_topic, process_memory
from data.readers import read_corpus
from data.source_spec import SourceSpec
from featurestore import FeatureStore
from heads.registry import make_head
from stages.embed import Options, embed, open_encoder
from stages.embed.pipeline.encode_slice import encode_slice
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.lengthen.lengthen import LengthenedEncoder, LengthenRequest, lengthen
from tests.distant_evidence import distant_documents, make_marker_encoder
from tests.tiny_encoder import SENTENCES

MINILM = "all-MiniLM-L6-v2"
SHAPES = ("bert-base-uncased", "roberta-base", "xlm-roberta-base")
HEADS = ("linear", "mlp")
WINDOWS = (254, 1022, 4094)
TRAIN, TEST = 32, 16


def measure_equality(folder: Path) -> Topic:
    """The largest difference of hidden states between originals and lengthened encoders."""
    rows, claims = [["encoder", "from", "to", "equal up to", "largest difference", "seconds"]], []
    for name in (*SHAPES, MINILM):
        if name in SHAPES:
            make_encoder(name, list(SENTENCES), folder / name)
        model = str(folder / name) if name in SHAPES else name
        new = lengthen(LengthenRequest(model=model, name=f"{name}-long"))
        rows.append([name, *_describe(new)])
        claims.append(at_most(f"difference of {name}", new.largest_difference, 1e-5))
    return Topic("Equality on short inputs", rows, claims)


def _describe(new: LengthenedEncoder) -> list[str]:
    lengths = (new.original_positions, new.positions, new.equal_positions)
    return [*map(str, lengths), f"{new.largest_difference:.1e}", f"{new.seconds:.0f}"]


def measure_distance(folder: Path) -> Topic:
    """Accuracy of heads on the planted problem, on windows of the original and on single inputs."""
    original = make_marker_encoder(folder / "marker")
    lengthen(LengthenRequest(model=str(original), name="marker-long", attention_window=64))
    source = folder / "distant.jsonl"
    texts, labels = distant_documents(TRAIN + TEST)
    with source.open("w", encoding="utf-8") as file:
        for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
            split = "train" if number < TRAIN else "test"
            file.write(json.dumps({"text": text, "label": label, "split": split}) + "\n")
    rows = [["features", "head", f"out of fold, {TRAIN} documents", f"test, {TEST} documents"]]
    accuracies = {}
    for features, options in (
        ("windows of 254 tokens", Options(model=str(original), window=254)),
        ("one input of the lengthened encoder", Options(model="marker-long", long="model")),
    ):
        for head, out_of_fold, test in _accuracies(source, folder, options):
            rows.append([features, head, f"{out_of_fold:.2f}", f"{test:.2f}"])
            accuracies[features, head] = out_of_fold
    windows, _, single, _ = accuracies.values()
    claims = [
        at_least("out-of-fold accuracy of linear on single inputs", single, 0.9),
        at_most("out-of-fold accuracy of linear on windows", windows, 0.65),
    ]
    return Topic("Two words 3,000 tokens apart", rows, claims)


def _accuracies(source: Path, folder: Path, options: Options) -> Iterator[tuple[str, float, float]]:
    """Yield each head with its accuracy out of fold and on the test split."""
    encoder = open_encoder(options)
    store = FeatureStore.create(folder / f"store-{encoder.recipe.short}", encoder.recipe)
    corpus = read_corpus(str(source), SourceSpec(text=("text",), label="label", split="split"))
    embed(corpus, encoder, store)
    for head in HEADS:
        plan = FitPlan(head=make_head(head, {}), folds=2)
        run, _ = fit_head(store, store.corpus("distant"), plan, folder / "runs", jobs=1)
        out_of_fold, test = (run.scorecards[name].accuracy.value for name in ("out_of_fold", "test"))
        yield head, out_of_fold, test


def measure_cost(documents: int) -> Topic:
    """CPU time and peak memory of encoding the same documents."""
    lengthen(LengthenRequest(model=MINILM, name="minilm-long"))
    generator = " ".join(SENTENCES[:4])
    texts = [f"{number} " + " ".join([generator] * 200) for number in range(documents)]
    rows = [["encoder", "window", "CPU ms per 1,000 tokens", "times the original", "peak memory, MB"]]
    measured = {}
    for model, window in ((MINILM, 254), *(("minilm-long", window) for window in WINDOWS)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            measured[model, window] = pool.submit(encode_texts, texts, model, window).result()
        seconds, peak = measured[model, window]
        ratio = seconds / measured[MINILM, 254][0]
        rows.append([model, str(window), f"{1e6 * seconds:.0f}", f"{ratio:.2f}", f"{peak / 1e6:.0f}"])
    return Topic("Time and memory per token", rows, [])


def encode_texts(texts: list[str], model: str, window: int) -> tuple[float, int]:
    """CPU seconds per token, and the peak memory of this process; the first 4,094 tokens of each text are encoded."""
    import torch

    torch.set_num_threads(1)
    options = Options(model=model, window=window, max_windows=-(-4094 // window), keep=("cls", "mean"), device="cpu")
    encoder = open_encoder(options)
    windows = encoder.tokenizer.tokenize(texts, encoder.windowing)
    _ = encoder.network
    from stages.embed.batching.budget import TokenBudget

    started = time.process_time()
    encode_slice([str(number) for number in range(len(texts))], windows, encoder, TokenBudget(4096))
    return (time.process_time() - started) / int(windows.length.sum()), process_memory("VmHWM")


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(["equality", "distance", "cost"]))
@click.option("--documents", default=2, help="Of 4,094 tokens, for cost.")
@click.option("--json", "as_json", is_flag=True)
def main(parts: tuple[str, ...], documents: int, as_json: bool) -> None:
    """Measure the parts, all by default."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["EMBEDONCE_ENCODERS"] = str(folder / "encoders")
        measures = {
            "equality": lambda: measure_equality(folder),
            "distance": lambda: measure_distance(folder),
            "cost": lambda: measure_cost(documents),
        }
        for part in parts or measures:
            print_topic(measures[part](), as_json=as_json)


if __name__ == "__main__":
    main()
