"""Shared by the benchmarks: rounds in random order, cold files, a process's memory, claims and tables."""

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

Variants = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Claim:
    """A measured value and the bar that it has to reach; without a value the reason why it was not measured."""

    claim: str
    value: float | str
    bar: float
    holds: bool | None

    @property
    def verdict(self) -> str:
        """Whether the claim holds, in a few words."""
        return "not decided" if self.holds is None else "holds" if self.holds else "fails"


@dataclass(frozen=True)
class Topic:
    """A table and the claims about it; the first of `rows` is the header."""

    title: str
    rows: Sequence[Sequence[str]]
    claims: Sequence[Claim]

    def markdown(self) -> str:
        """Title, table, and one line per claim."""
        header, *rows = self.rows
        rule = ["---", *["--:"] * (len(header) - 1)]
        table = [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
        values = [each.value if isinstance(each.value, str) else f"{each.value:g}" for each in self.claims]
        pairs = zip(self.claims, values, strict=True)
        claims = [f"- {claim.claim}: {value}, bar {claim.bar:g}: {claim.verdict}" for claim, value in pairs]
        return "\n".join([f"## {self.title}", "", *table, "", *claims, ""])


def print_topic(topic: Topic, *, as_json: bool) -> None:
    """Print the table and its claims, or one JSON object per claim and line."""
    for line in [json.dumps(asdict(claim)) for claim in topic.claims] if as_json else [topic.markdown()]:
        print(line, flush=True)


def at_least(claim: str, value: float, bar: float) -> Claim:
    """A claim that holds if the value is at least `bar`."""
    return Claim(claim, float(f"{value:.3g}"), bar, value >= bar)


def not_measured(claim: str, bar: float, reason: str) -> Claim:
    """A claim that this machine cannot decide."""
    return Claim(claim, f"not measured: {reason}", bar, None)


def at_most(claim: str, value: float, bar: float) -> Claim:
    """A claim that holds if the value is at most `bar`."""
    return Claim(claim, float(f"{value:.3g}"), bar, value <= bar)


def format_mean_gain(gains: Sequence[float], scored_share: float = 0.0) -> str:
    """The mean of gains, one per seed, and half of Student's 95 % confidence interval; no interval for one seed.

    scored_share: the share of all documents that each seed scores, if seeds split the same documents. The gains are
    then correlated, and the variance is corrected for that (Nadeau & Bengio 2003, Machine Learning 52, section 3).
    """
    from scipy.stats import t

    count = len(gains)
    if count < 2:
        return f"{np.mean(gains):+.3f}"
    half = (
        float(t.ppf(0.975, count - 1))
        * float(np.std(gains, ddof=1))
        * math.sqrt(1 / count + scored_share / (1 - scored_share))
    )
    return f"{np.mean(gains):+.3f} ± {half:.3f}"


def median_seconds(variants: Variants, rounds: int, before: Callable[[], object] = lambda: None) -> dict[str, float]:
    """The median time of each variant; a round runs all of them, in random order, each after a call of `before`."""
    rng, times = np.random.default_rng(0), {name: list[float]() for name in variants}
    for _ in range(rounds):
        for name in rng.permutation(list(variants)).tolist():
            before()
            start = time.perf_counter()
            result = variants[name]()
            times[name].append(time.perf_counter() - start)
            del result
    return {name: float(np.median(measured)) for name, measured in times.items()}


def close_stores() -> None:
    """Close the memory maps of all stores, as if nothing had been read."""
    mapped._open_map.cache_clear()
    gc.collect()


def drop_page_cache(folder: Path, *maps: mmap.mmap) -> None:
    """Drop all pages of the files in `folder` from memory; `maps` are maps that are not a store's."""
    close_stores()  # a mapped page would stay
    for mapping in maps:
        mapping.madvise(mmap.MADV_DONTNEED)
    for file in _open_files(folder):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def flush_to_disk(folder: Path) -> None:
    """Write all files in `folder` to the disk: before that, their pages cannot be dropped."""
    for file in _open_files(folder):
        os.fsync(file.fileno())


def _open_files(folder: Path) -> Iterator[BinaryIO]:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                yield file


def process_memory(kind: str) -> int:
    """Bytes of this process by kind: VmHWM for the peak of all memory, RssAnon for its own memory now."""
    line = re.search(rf"^{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert line
    return int(line[1]) * 1024


def count_mapped_files(folder: Path) -> int:
    """The number of files in `folder` that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[-1] for line in lines if str(folder) in line})
