"""What default fits cost as a corpus grows: from 140 long documents to 1,000,000 short ones.

    python -m benchmarks.growth [--part long|bars|growth|memory]... [--head linear]... [--scale 0.01] [--folder F]
        [--json]

Every measurement is a whole command, `fit-head HEAD --folds 5` in a process of its own, with the start of Python, on a
store of made-up documents (benchmarks/labeled_stores.py) of 384 dimensions, 3 views and 20 labels.

long: 140 documents of 33 segments, each head. bars: 200,000 documents, with the time that each head may take. growth:
seconds per document at 3,000, 30,000 and 300,000 documents, and 1,000,000 for linear and mlp. memory: the peak of all
processes together at 1,000,000 documents, with the default number of folds.

Commands run in random order. Each result is appended to results.jsonl in --folder, and a command that is in it is not
run again, so that an interrupted benchmark resumes, and parts can be run one by one. --scale makes every corpus smaller
or larger by a factor; the bars stay, so with a small one it is only a rehearsal. Linux only, because it reads /proc.
"""

import json
import math
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.labeled_stores import Corpus
from benchmarks.measuring import Claim, Topic, at_most, print_topic
from commandline.output import say
from data.text_format import format_duration
from heads.registry import HEADS

ROOT = Path(__file__).parent.parent
LONG_DOCUMENTS, LONG_SEGMENTS, LONG_BAR = 140, 33, 60.0
BARS = {"linear": 60.0, "mlp": 120.0, "tfidf": 300.0, "fused": 300.0, "lightgbm": 300.0}  # seconds
BAR_DOCUMENTS = 200_000
GROWTH = (3_000, 30_000, 300_000)
MILLION = 1_000_000
GROWN_TO_MILLION = ("linear", "mlp")
GROWTH_BAR = 1.1  # per tenfold documents
MEMORY_BAR = 8.0  # GB
MEMORY_HEADS = ("linear", "mlp", "lightgbm")
NOT_HERE = ("layermix", "cascade")  # they need several layers, and a tree of labels
PARTS = ("long", "bars", "growth", "memory")
POLL = 0.1  # seconds between two samples of memory


@dataclass(frozen=True)
class Command:
    """One `fit-head`. segments: per document, 0 for short documents. folds: None for the default."""

    head: str
    documents: int
    segments: int = 0
    folds: int | None = 5


@dataclass(frozen=True)
class Result:
    """What a command took. gigabytes: the peak of all its processes together; unshared: without pages of files."""

    seconds: float
    cpu_seconds: float
    gigabytes: float
    unshared: float
    macro_f1: float


def run_command(command: Command, folder: Path) -> Result:
    """Run one command and measure it."""
    store = Corpus(command.documents, segments=command.segments).open(folder)
    with TemporaryDirectory(dir=folder) as runs:
        arguments = ["fit-head", command.head, "--store", str(store), "--runs", runs, "--json"]
        arguments += ["--folds", str(command.folds)] if command.folds else []
        output, errors = Path(runs) / "output", Path(runs) / "errors"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with (
            output.open("wb") as out,
            errors.open("wb") as error,
            subprocess.Popen([sys.executable, "cli.py", *arguments], cwd=ROOT, stdout=out, stderr=error) as process,
        ):
            peak, unshared = _watch_memory(process)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            raise click.ClickException(f"{' '.join(arguments)} failed: {errors.read_text()[-2000:]}")
        (row,) = json.loads(output.read_text())["rows"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    macro_f1 = row["out_of_fold"]["value"]
    return Result(round(seconds, 2), round(cpu, 2), round(peak / 1e9, 3), round(unshared / 1e9, 3), round(macro_f1, 4))


def _watch_memory(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The highest sum over a command's processes of their memory, in bytes, and of that which is not of files."""
    peak = unshared = 0
    while process.poll() is None:
        total = anonymous = 0
        for member in _family(process.pid):
            try:
                lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            except OSError:  # it has ended
                continue
            sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
            total += sizes["Pss"]
            anonymous += sizes["Pss_Anon"] + sizes.get("Pss_Shmem", 0)
        peak, unshared = max(peak, total), max(unshared, anonymous)
        time.sleep(POLL)
    return 1024 * peak, 1024 * unshared


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


class Results:
    """The results so far, in a file; `measure` runs a command that it lacks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / "results.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        rows = [json.loads(line) for line in lines]
        self._known = {Command(**row["command"]): Result(**row["result"]) for row in rows}

    def measure_all(self, commands: Sequence[Command]) -> None:
        """Run the commands that are missing, in random order."""
        missing = [command for command in dict.fromkeys(commands) if command not in self._known]
        random.shuffle(missing)
        costs, spent = [command.documents * (1 + command.segments) + 20_000 for command in missing], 0.0
        for done, command in enumerate(missing):
            left = format_duration(spent / sum(costs[:done]) * sum(costs[done:])) if done else "unknown"
            say(f"{done + 1} of {len(missing)}: {command.head}, {command.documents:,} documents; time left: {left}")
            start = time.perf_counter()
            result = self._known[command] = run_command(command, self.folder)
            spent += time.perf_counter() - start
            with self._path.open("a") as file:
                print(json.dumps({"command": asdict(command), "result": asdict(result)}), file=file)
            say(f"  {result.seconds:.1f} s, {result.cpu_seconds:.1f} s of CPU time, {result.gigabytes:.2f} GB")

    def __getitem__(self, command: Command) -> Result:
        return self._known[command]

    def row(self, command: Command) -> list[str]:
        """A row of a table."""
        result = self[command]
        values = [f"{result.seconds:.1f}", f"{result.cpu_seconds:.1f}", f"{result.gigabytes:.2f}"]
        return [command.head, f"{command.documents:,}", *values, f"{result.unshared:.2f}", f"{result.macro_f1:.3f}"]


HEADER = ["head", "documents", "s", "s of CPU time", "peak GB", "of which not files", "out-of-fold macro-F1"]


@dataclass(frozen=True)
class Part:
    """The commands of a part, and what it claims of their results."""

    name: str
    title: str
    commands: Sequence[Command]

    def topic(self, results: Results) -> Topic:
        """The table and the claims."""
        claims = {"long": _long_claims, "bars": _bar_claims, "growth": _growth_claims, "memory": _memory_claims}
        rows = [HEADER, *(results.row(command) for command in self.commands)]
        return Topic(self.title, rows, list(claims[self.name](self.commands, results)))


def _long_claims(commands: Sequence[Command], results: Results) -> Iterator[Claim]:
    for command in commands:
        name = f"{command.head}, {command.documents} documents of {command.segments} segments: seconds"
        yield at_most(name, results[command].seconds, LONG_BAR)


def _bar_claims(commands: Sequence[Command], results: Results) -> Iterator[Claim]:
    for command in commands:
        name = f"{command.head}, {command.documents:,} documents: seconds"
        yield at_most(name, results[command].seconds, BARS[command.head])


def _growth_claims(commands: Sequence[Command], results: Results) -> Iterator[Claim]:
    for head in dict.fromkeys(command.head for command in commands):
        sizes = sorted((command for command in commands if command.head == head), key=lambda each: each.documents)
        for small, large in pairwise(sizes):
            per_document = [results[each].seconds / each.documents for each in (small, large)]
            tenfold = math.log10(large.documents / small.documents)
            name = f"{head}: seconds per document, {large.documents:,} over {small.documents:,} documents"
            yield at_most(name, per_document[1] / per_document[0], round(GROWTH_BAR**tenfold, 3))


def _memory_claims(commands: Sequence[Command], results: Results) -> Iterator[Claim]:
    for command in commands:
        name = f"{command.head}, {command.documents:,} documents: peak GB of all processes"
        yield at_most(name, results[command].gigabytes, MEMORY_BAR)


def make_part(name: str, heads: Sequence[str], scale: float) -> Part:
    """A part for some heads; none for all that it has."""

    def chosen(names: Sequence[str]) -> list[str]:
        return [head for head in names if not heads or head in heads]

    def scaled(documents: int) -> int:
        return max(100, round(documents * scale))

    if name == "long":
        fitted = chosen([head for head in HEADS if head not in NOT_HERE])
        commands = [Command(head, LONG_DOCUMENTS, LONG_SEGMENTS) for head in fitted]
        return Part(name, "A small corpus of long documents", commands)
    if name == "bars":
        commands = [Command(head, scaled(BAR_DOCUMENTS)) for head in chosen(list(BARS))]
        return Part(name, "Many short documents", commands)
    if name == "growth":
        commands = [Command(head, scaled(documents)) for head in chosen(list(BARS)) for documents in GROWTH]
        commands += [Command(head, scaled(MILLION)) for head in chosen(GROWN_TO_MILLION)]
        return Part(name, "Growth", commands)
    commands = [Command(head, scaled(MILLION), folds=None) for head in chosen(MEMORY_HEADS)]
    return Part(name, "Memory", commands)


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), default=PARTS, show_default="all")
@click.option("--head", "heads", multiple=True, type=click.Choice(list(HEADS)), show_default="all of each part")
@click.option(
    "--scale", type=click.FloatRange(0, min_open=True), default=1.0, help="Factor of all numbers of documents."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Of the stores and results, to resume.  [temporary]")
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(parts: tuple[str, ...], heads: tuple[str, ...], scale: float, folder: Path | None, as_json: bool) -> None:
    """Print one table per part with its claims, or with --json one object per claim and line."""
    chosen = [part for part in (make_part(name, heads, scale) for name in parts) if part.commands]
    with TemporaryDirectory() as temporary:
        place = Path(temporary) if folder is None else folder
        place.mkdir(parents=True, exist_ok=True)
        results = Results(place.resolve())
        results.measure_all([command for part in chosen for command in part.commands])
    for part in chosen:
        print_topic(part.topic(results), as_json=as_json)


if __name__ == "__main__":
    main()
