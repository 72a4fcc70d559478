"""What a corpus of 100,000,000 documents on 8 GPUs takes: bytes, files, hours and money, from measured rates.

    python -m benchmarks.hundred_million [--documents 100000000 --gpus 8 --tokens 286 --rate 581000]

The rate of a GPU is that of xlm-roberta-base on an H200 (docs/measurements/encode-speed.md). The bytes follow from the
layout of a shard. The rates of hashing, of listing a folder and of merging keys are measured here, in CPU seconds; that
of reading comes from `python -m benchmarks.bookkeeping --documents 1000000`. The price of a GPU is an assumption.
"""

import hashlib
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring import Topic, print_topic
from data.text_format import format_bytes, format_duration
from featurestore.shards.keys import KeyIndex
from stages.embed.encoder.options import Options
from stages.embed.pipeline.background import SHARD_BYTES

LISTED_FILES = 10_000
HASHED_BYTES = 2**27
MERGED_KEYS = 1_000_000
CORPUS_BYTES = {"CSV": 95, "Parquet": 50}  # of a corpus table per document: id, key, split, label
INDEX_BYTES = 40  # of a key in memory


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A corpus, an encoder and machines.

    tokens: per document. rate: tokens per second of one GPU. dim, window: of the encoder. reading: CPU seconds that one
    process needs per document before the first batch. memory: bytes of bookkeeping per document. price: dollars per
    hour of a GPU.
    """

    documents: int
    gpus: int
    tokens: int
    rate: float
    dim: int
    window: int
    reading: float
    memory: int
    price: float

    @property
    def document_bytes(self) -> int:
        """The bytes of a document in a shard, as `stored_bytes` counts them for the default views in float16."""
        options = Options()
        windows = math.ceil(self.tokens / self.window)
        vectors = windows * sum(name in options.keep for name in ("cls", "mean", "max"))
        vectors += windows + self.tokens // options.segment if "segments" in options.keep else 0
        return vectors * self.dim * 2 + 4 * self.tokens + 100

    @property
    def store_bytes(self) -> int:
        """The bytes of the store."""
        return self.documents * self.document_bytes

    @property
    def shards(self) -> int:
        """The number of files in shards/."""
        return math.ceil(self.store_bytes / SHARD_BYTES)

    @property
    def encoding_seconds(self) -> float:
        """How long all GPUs encode."""
        return self.documents * self.tokens / (self.rate * self.gpus)


def hash_rate() -> float:
    """Bytes per second of sha256, with which `store verify` reads every shard."""
    data = bytes(HASHED_BYTES)
    started = time.process_time()
    hashlib.sha256(data)
    return HASHED_BYTES / (time.process_time() - started)


def listing_rate() -> float:
    """Files per second of a folder's listing, which each process repeats every few seconds."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(LISTED_FILES):
            (Path(name) / f"{number:064x}.h5").touch()
        started = time.process_time()
        sorted(path.name for path in Path(name).glob("*"))
        return LISTED_FILES / (time.process_time() - started)


def merge_rate() -> float:
    """Keys per second of merging two runs of the index of keys, each of which is merged log2(shards) times."""
    rng = np.random.default_rng(0)
    one, other = (rng.bytes(32 * MERGED_KEYS // 2) for _ in range(2))
    index = KeyIndex([np.frombuffer(one, "S32")], ["a"])
    new = {"b": np.frombuffer(other, "S32")}
    started = time.process_time()
    index.extended(new)
    return MERGED_KEYS / (time.process_time() - started)


def estimate(scale: Scale) -> Topic:
    """The table of what a corpus takes."""
    hours, shards = scale.encoding_seconds / 3600, scale.shards
    rows = [
        ["", "value", "from"],
        ["documents, tokens", f"{scale.documents:,} of {scale.tokens}", "assumed"],
        [
            "encoding",
            format_duration(scale.encoding_seconds),
            f"{scale.rate:,.0f} tokens/s on each of {scale.gpus} GPUs",
        ],
        ["money", f"${hours * scale.gpus * scale.price:,.0f}", f"${scale.price:g} per GPU and hour, assumed"],
        ["store", format_bytes(scale.store_bytes), f"{scale.document_bytes:,} bytes per document"],
        ["shards in one folder", f"{shards:,}", f"{format_bytes(SHARD_BYTES)} each"],
        *(
            [f"corpus table, {name}", format_bytes(size * scale.documents), f"{size} bytes per document"]
            for name, size in CORPUS_BYTES.items()
        ),
        [
            "reading before the first batch",
            format_duration(scale.reading * scale.documents),
            f"{1e6 * scale.reading:.0f} µs of one core per document, in each process",
        ],
        [
            "memory of bookkeeping",
            format_bytes(scale.memory * scale.documents * scale.gpus),
            f"{scale.memory} bytes per document in each of {scale.gpus} processes",
        ],
        [
            "of that, the index of keys",
            format_bytes(INDEX_BYTES * scale.documents * scale.gpus),
            f"{INDEX_BYTES} bytes per document in each process",
        ],
        [
            "merging keys, per process",
            format_duration(scale.documents * math.log2(shards) / merge_rate()),
            "in all, while encoding; measured here",
        ],
        ["listing the shards once", format_duration(shards / listing_rate()), "local disk; measured here"],
        ["`store verify`", format_duration(scale.store_bytes / hash_rate()), "sha256 on one core; measured here"],
    ]
    return Topic(f"{scale.documents:,} documents on {scale.gpus} GPUs", rows, [])


@click.command()
@click.option("--documents", default=100_000_000, show_default=True)
@click.option("--gpus", default=8, show_default=True)
@click.option("--tokens", default=286, show_default=True, help="Per document, special tokens included.")
@click.option("--rate", default=581_000.0, show_default=True, help="Tokens per second of one GPU.")
@click.option("--dim", default=768, show_default=True)
@click.option("--window", default=510, show_default=True)
@click.option("--reading", default=40e-6, show_default=True, help="CPU seconds per document before the first batch.")
@click.option("--memory", default=200, show_default=True, help="Bytes of bookkeeping per document and process.")
@click.option("--price", default=3.0, show_default=True, help="Dollars per hour of a GPU.")
def main(**options: float) -> None:
    """Print the estimate."""
    print_topic(estimate(Scale(**options)), as_json=False)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
