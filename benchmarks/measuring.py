"""What the benchmarks of the store share: rounds in random order, cold files, a process's memory, claims and tables."""

import gc
import json
import math
import mmap
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from featurestore.shards import mapped

Ways = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Claim:
    """A figure that has a bar."""

    claim: str
    value: float
    bar: float
    holds: bool

    @property
    def verdict(self) -> str:
        """In a word."""
        return "holds" if self.holds else "fails"


@dataclass(frozen=True)
class Topic:
    """A table, the first of `rows` its heads, and what is claimed of it."""

    title: str
    rows: Sequence[Sequence[str]]
    claims: Sequence[Claim]

    def markdown(self) -> str:
        """Title, table, and a line a claim."""
        heads, *rows = self.rows
        rule = ["---", *["--:"] * (len(heads) - 1)]
        table = [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]
        claims = [f"- {each.claim}: {each.value:g}, bar {each.bar:g}: {each.verdict}" for each in self.claims]
        return "\n".join([f"## {self.title}", "", *table, "", *claims, ""])


def show(topic: Topic, *, as_json: bool) -> None:
    """Print the table and its claims, or as JSON an object a claim on a line."""
    for line in [json.dumps(asdict(claim)) for claim in topic.claims] if as_json else [topic.markdown()]:
        print(line, flush=True)


def at_least(claim: str, value: float, bar: float) -> Claim:
    """Holds from `bar` up."""
    return Claim(claim, float(f"{value:.3g}"), bar, value >= bar)


def at_most(claim: str, value: float, bar: float) -> Claim:
    """Holds up to `bar`."""
    return Claim(claim, float(f"{value:.3g}"), bar, value <= bar)


def difference(gains: Sequence[float], scored: float = 0.0) -> str:
    """The mean of what was gained, a seed each, and half of Student's 95 % interval; no interval for one seed.

    scored: of all documents the share that a seed scores, where seeds deal the same documents anew. Their gains are
    alike then, and the variance is corrected for that (Nadeau & Bengio 2003, Machine Learning 52, section 3).
    """
    from scipy.stats import t

    count = len(gains)
    if count < 2:
        return f"{np.mean(gains):+.3f}"
    half = float(t.ppf(0.975, count - 1)) * float(np.std(gains, ddof=1)) * math.sqrt(1 / count + scored / (1 - scored))
    return f"{np.mean(gains):+.3f} ± {half:.3f}"


def seconds(ways: Ways, rounds: int, before: Callable[[], object] = lambda: None) -> dict[str, float]:
    """The median of each way; a round runs all of them, in random order, each after `before`."""
    rng, taken = np.random.default_rng(0), {name: list[float]() for name in ways}
    for _ in range(rounds):
        for name in rng.permutation(list(ways)).tolist():
            before()
            start = time.perf_counter()
            result = ways[name]()
            taken[name].append(time.perf_counter() - start)
            del result
    return {name: float(np.median(each)) for name, each in taken.items()}


def fresh() -> None:
    """Close the stores' maps, as if nothing had been read."""
    mapped._opened.cache_clear()
    gc.collect()


def drop(folder: Path, *maps: mmap.mmap) -> None:
    """Have no page of the files of `folder` in memory; `maps` are those that others than a store have open."""
    fresh()  # a page that is mapped stays
    for each in maps:
        each.madvise(mmap.MADV_DONTNEED)
    for file in _opened(folder):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def settle(folder: Path) -> None:
    """Have all files of `folder` on the disk: before that, their pages cannot be dropped."""
    for file in _opened(folder):
        os.fsync(file.fileno())


def _opened(folder: Path) -> Iterator[BinaryIO]:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                yield file


def memory(kind: str) -> int:
    """Bytes of this process: VmHWM, the most that it had of all kinds, or RssAnon, what is its own now."""
    found = re.search(rf"^{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def maps(folder: Path) -> int:
    """How many files of `folder` this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[-1] for line in lines if str(folder) in line})
