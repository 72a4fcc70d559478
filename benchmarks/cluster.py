"""Many machines on Ray: nodes that are killed, join and are slow, on real `ray start` processes of this machine.

    python -m benchmarks.cluster --json

Four nodes run at once. The encoder sleeps for a fixed time per token, so that two busy cores do as for four nodes. What
is compared was measured in the same run of this script.
"""

import argparse
import json
import os
import random
import resource
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ray_nodes import Cluster, LoggedEngine, Node
from benchmarks.sleeping_encoder import SLOWDOWN, SleepingFactory, with_sleep
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from stages.embed.pipeline import engine_queue
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.engine_queue import embed_on_engine
from stages.embed.windows.corpus_part import CorpusPart
from tests.tiny_encoder import SENTENCES, make_encoder

NODES, KILLS, SLOWER = 4, 3, 4
WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()})


@dataclass
class Result:
    """One run: its engine's record, and what is in the store."""

    seconds: float
    engine: LoggedEngine
    store: FeatureStore
    stored: int
    distinct: int

    @property
    def item(self) -> float:
        """The seconds of the longest item."""
        return max(end - start for _, start, end, _ in self.engine.items)

    def last_ends(self) -> dict[str, float]:
        """When each node's last item ended."""
        return {node: max(end for each, _, end, _ in self.engine.items if each == node) for node in self.engine.ready}


class Benchmark:
    """The corpus and the encoder of all runs."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.item_seconds, self.rate = folder, options.item_seconds, options.tokens_per_second
        self.model, self.source = make_encoder(folder / "encoder"), folder / "documents.jsonl"
        rng, tokens = random.Random(0), options.seconds * options.tokens_per_second * NODES
        with self.source.open("w") as file:
            while tokens > 0:
                words = rng.choices(WORDS, k=rng.randint(5, 60))
                file.write(json.dumps({"text": " ".join(words), "label": str(rng.randrange(3))}) + "\n")
                tokens -= 5 * len(words)  # most words are spelled in pieces
        self.options = Options(
            model=str(self.model), backend="torch", precision="float32", dtype="float32", keep=("mean",), device="cpu"
        )
        self.encoder = open_encoder(self.options)

    def run(self, name: str, cluster: Cluster, disturb: Any = None) -> Result:
        """Encode the corpus into a new store. disturb: called after each item with the number of items so far."""
        os.environ["RAY_ADDRESS"] = cluster.address
        request = EmbedRequest(source=str(self.source), options=self.options, store=self.folder / name)
        store, corpus = FeatureStore.create(self.folder / name, self.encoder.recipe), request.read()
        factory = partial(SleepingFactory, seconds=1 / self.rate)
        with LoggedEngine.connect() as engine:
            if disturb is not None:
                engine.on_done = lambda: disturb(engine)
            _wait_for_nodes(engine, cluster)
            started = time.monotonic()
            embed_on_engine(
                corpus,
                self.encoder,
                store,
                request,
                engine,
                notify=lambda sentence: print(f"  {name}: {sentence}", file=sys.stderr),
                progress=lambda _: None,
                create_factory=factory,
                seconds=self.item_seconds,
            )
            seconds = time.monotonic() - started
        sizes = [len(shard.keys) for shard in store.shards()]
        starts = ", ".join(f"{engine.start_seconds(node):.1f}" for node in sorted(engine.ready))
        print(f"  {name}: {seconds:.1f} s, {len(engine.items)} items, worker starts {starts} s", file=sys.stderr)
        return Result(seconds, engine, store, sum(sizes), store.documents)

    def run_parts(self) -> FeatureStore:
        """The same corpus as two processes with `--part` encode it, without sleep."""
        store = FeatureStore.create(self.folder / "parts", self.encoder.recipe)
        corpus = EmbedRequest(source=str(self.source)).read()
        for number in (1, 2):
            embed(corpus, with_sleep(self.encoder, 0), store, part=CorpusPart(number, 2))
        return store


def _wait_for_nodes(engine: LoggedEngine, cluster: Cluster) -> None:
    """Wait until all nodes have joined: their start is no part of a run that is not disturbed."""
    for _ in range(600):
        engine.uses_gpu = False
        if len(engine.places()) == sum(node.process.poll() is None for node in cluster.nodes.values()) - 1:
            return
        time.sleep(0.2)
    raise SystemExit(f"Not all nodes joined; see {cluster.folder.parent}/*.log.")


@dataclass
class Killer:
    """Kills three nodes in the middle of an item, one after the other, and starts each of them again."""

    cluster: Cluster
    killed: list[str] = field(default_factory=list)

    def __call__(self, engine: LoggedEngine) -> None:  # noqa: ARG002
        """After the first item."""
        if not self.killed:
            self.killed.append("node1")
            self.thread = threading.Thread(target=self._kill_all, daemon=True)
            self.thread.start()

    def _kill_all(self) -> None:
        self.killed = [f"node{number}" for number in range(1, KILLS + 1)]
        for name in self.killed:
            time.sleep(1.0)
            self.cluster.nodes[name].kill()
        for name in self.killed:
            self.cluster.start(name)


@contextmanager
def _cluster(folder: Path, port: int) -> Iterator[Cluster]:
    cluster = Cluster(folder, port)
    try:
        yield cluster
    finally:
        cluster.close()


def claims(benchmark: Benchmark, cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Measure, and yield one claim after the other."""
    for number in range(1, NODES + 1):
        cluster.start(f"node{number}")
    calm, killer = benchmark.run("undisturbed", cluster), Killer(cluster)
    hit = benchmark.run("killed", cluster, killer)
    killer.thread.join()
    added, node = _run_with_added_node(benchmark, cluster)
    yield from _claims_of_kills(calm, hit, killer.killed, added.engine.start_seconds(node.name))
    yield _claim_of_added_node(calm, added, node)
    node.kill()
    cluster.start("node3")
    cluster.start("slow", **{SLOWDOWN: str(SLOWER)})
    slowed = benchmark.run("slowed", cluster)
    ends = slowed.last_ends().values()
    yield _claim("seconds between the last items of nodes, one slowed 4 times", max(ends) - min(ends), calm.item)
    parts = benchmark.run_parts()
    for result in (calm, hit, added, slowed):
        yield _claim(f"largest difference to --part, {result.store.name}", _difference(result.store, parts), 1e-6)


def _run_with_added_node(benchmark: Benchmark, cluster: Cluster) -> tuple[Result, Node]:
    """A run on two nodes, which a third one joins after the first item."""
    for name in ("node3", "node4"):  # so that the run lasts until a node has joined
        cluster.nodes[name].kill()
    join = threading.Thread(target=partial(cluster.start, "added"), daemon=True)
    result = benchmark.run("added", cluster, _after(1, join.start))
    join.join()
    return result, cluster.nodes["added"]


def _claims_of_kills(calm: Result, hit: Result, killed: Sequence[str], start: float) -> Iterator[dict[str, Any]]:
    """start: of a worker alone; those of nodes that start together share two cores, and take longer."""
    open_documents = sum(documents for _, _, documents in hit.engine.lost)
    bar = calm.seconds + len(killed) * (calm.item + start)
    yield _claim("nodes killed in one run", len(killed), KILLS, at_least=True)
    yield _claim("documents lost when three nodes are killed", calm.distinct - hit.distinct, 0)
    yield _claim("documents encoded twice, at most those of open items", hit.stored - hit.distinct, open_documents)
    terms = f"{calm.seconds:.1f} undisturbed + {len(killed)} kills x ({calm.item:.1f} item + {start:.1f} worker start)"
    yield _claim(f"seconds with three nodes killed; bar: {terms}", hit.seconds, bar)


def _claim_of_added_node(calm: Result, added: Result, node: Node) -> dict[str, Any]:
    """The start of a node that joins ends when its worker is ready; if it never was, the run ended before."""
    first = min((end for name, _, end, _ in added.engine.items if name == node.name), default=float("inf"))
    start = added.engine.ready.get(node.name, node.started) - node.started
    terms = f"{start:.1f} start of the node and its worker + {calm.item:.1f} item"
    text = f"seconds until a node that joins commits its first shard; bar: {terms}"
    return _claim(text, first - node.started, start + calm.item)


def _difference(store: FeatureStore, expected: FeatureStore) -> float:
    """The largest difference of a vector; infinite if the stores have different documents."""
    keys = list(expected.keys)
    if set(store.keys) != set(keys):
        return float("inf")
    return float(np.abs(store.bags(keys).pooled(("mean",)) - expected.bags(keys).pooled(("mean",))).max())


def _after(items: int, action: Any) -> Any:
    """Call `action` once, when `items` are done."""
    seen = [0]

    def on_done(engine: LoggedEngine) -> None:  # noqa: ARG001
        seen[0] += 1
        if seen[0] == items:
            action()

    return on_done


def _claim(text: str, value: float, bar: float, *, at_least: bool = False) -> dict[str, Any]:
    return {
        "claim": text,
        "value": round(value, 7),
        "bar": round(bar, 7),
        "holds": bool(value >= bar if at_least else value <= bar),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per claim")
    parser.add_argument("--item-seconds", type=float, default=20.0, help="how long an item takes")
    parser.add_argument("--seconds", type=float, default=240.0, help="how long an undisturbed run takes, about")
    parser.add_argument("--tokens-per-second", type=float, default=2000.0, help="of a node")
    parser.add_argument("--port", type=int, default=26379)
    options = parser.parse_args()
    engine_queue.FIRST_TOKENS = int(options.tokens_per_second * options.item_seconds / 4)
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    os.environ["EMBEDONCE_CACHE"] = str(folder / "cache")
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # nobody else may use the nodes
    try:
        with _cluster(folder / "ray", options.port) as cluster:
            for claim in claims(Benchmark(folder, options), cluster):
                print(json.dumps(claim) if options.json else _line(claim), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"CPU time of this process and of nodes that ended: {cpu:.0f} s", file=sys.stderr)


def _line(claim: Mapping[str, Any]) -> str:
    return f"{'holds' if claim['holds'] else 'FAILS'}  {claim['value']:>12g}  bar {claim['bar']:>12g}  {claim['claim']}"


if __name__ == "__main__":
    main()
