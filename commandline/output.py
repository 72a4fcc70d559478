"""What a person sees: sentences, tables and bars. Results go to stdout, everything else to stderr."""

import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import click

from data.atomic_write import open_atomically

LINE_EVERY_SECONDS = 10.0
WIDEST = 400  # columns of a table


def say(sentence: str) -> None:
    """One line for the person, on stderr."""
    click.echo(sentence, err=True)


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def note(sentence: str) -> None:
    """A remark beside the result, on stderr."""
    say(f"  - {sentence}")


@contextmanager
def whole_file(path: Path | None) -> Iterator[TextIO]:
    """Where results go: stdout, or a file that appears under its name once it is whole."""
    if path is None:
        yield sys.stdout
        return
    with open_atomically(path, next_step="Make room, or name another file.") as file:
        out = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield out
        out.detach()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> None:
    """A table on stdout; the first `text_columns` are aligned left, the figures right."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, cells in enumerate(zip(columns, *(rows := list(rows)), strict=True)):
        text = position < text_columns
        # names and figures stay whole, to be read and copied
        least = None if text and position else max(cell_len(line) for cell in cells for line in cell.split("\n"))
        drawn.add_column(cells[0], justify="left" if text else "right", overflow="fold", min_width=least)
    for row in rows:
        drawn.add_row(*row)
    console = Console(file=sys.stdout, markup=False, highlight=False)
    # a pipe or a log has no edge to fold at
    edge = console.width if sys.stdout.isatty() else WIDEST
    console.width = max(edge, Measurement.get(console, console.options.update(max_width=WIDEST), drawn).minimum)
    console.print(drawn)


class Bar(Protocol):
    """Shows how much is done, and a few words beside it."""

    def __call__(self, done: float, total: float, beside: str) -> None:
        """`done` of `total`, in one unit."""


@contextmanager
def progress(doing: str) -> Iterator[Bar]:
    """A bar with the time left on a terminal; elsewhere a line every ten seconds."""
    if sys.stderr.isatty():
        yield from _bar(doing)
    else:
        yield _lines(doing)


def _bar(doing: str) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[beside]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=None, beside="")

        def update(done: float, total: float, beside: str) -> None:
            shown.update(task, completed=done, total=total, beside=beside)

        yield update


def _lines(doing: str) -> Bar:
    last = time.monotonic()

    def update(done: float, total: float, beside: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_SECONDS:
            last = time.monotonic()
            say(f"{doing}: {done / max(total, 1):.0%}, {beside}")

    return update
