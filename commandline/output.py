"""What a person sees: sentences, notes, tables and progress bars. Results go to stdout, everything else to stderr."""

import io
import json
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

from data.atomic_write import open_atomically

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SECONDS_PER_LINE = 10.0  # of progress, if stderr is not a terminal
WIDTH_WITHOUT_TERMINAL = 160  # columns of a table if no standard stream is a terminal, as in a scheduled job
_NOTES = "commandline.output.notes"


def say(sentence: str) -> None:
    """Print one line to stderr."""
    click.echo(sentence, err=True)


def show_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def note(sentence: str) -> None:
    """Print a note about the result to stderr, once per command."""
    context = click.get_current_context(silent=True)
    printed: set[str] = set() if context is None else context.meta.setdefault(_NOTES, set())
    if sentence not in printed:
        printed.add(sentence)
        say(f"  - {sentence}")


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """A text file that appears under its name once it is complete, or stdout if `path` is None.

    Raises StorageFailed if the file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    with open_atomically(path, next_step="Make room, or name another file.") as file:
        out = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield out
        out.detach()


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1, optional: Collection[str] = ()
) -> None:
    """Print a table to stdout, as wide as the terminal, which may be at the other end of a pipe.

    Args:
        columns: The headings.
        rows: One cell per column, as text.
        text_columns: How many columns, from the left, are aligned left and may wrap; the others hold numbers. The first
            column and the numbers never wrap, so that they can be read and copied.
        optional: Headings of columns that are left out, the last first, if the table would be too wide; a note
            says so.
    """
    rows, width = list(rows), terminal_width()
    shown = list(range(len(columns)))
    for place in reversed([place for place, name in enumerate(columns) if name in optional]):
        if _needed_width(columns, rows, shown, text_columns) > width:
            shown.remove(place)
    console = _console(max(width, _minimum_width(columns, rows, shown, text_columns)))
    console.print(_draw(columns, rows, shown, text_columns))
    if missing := [name for place, name in enumerate(columns) if place not in shown]:
        note(f"The terminal is too narrow for: {', '.join(missing)}. A wider one or --json shows them.")


def terminal_width() -> int:
    """The columns of the terminal that stdin, stdout or stderr is connected to, or of COLUMNS if that is set."""
    if (columns := os.environ.get("COLUMNS", "")).isdigit():
        return int(columns)
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        try:
            return os.get_terminal_size(stream.fileno()).columns or WIDTH_WITHOUT_TERMINAL
        except (OSError, ValueError, AttributeError):  # not a terminal, or not a file
            continue
    return WIDTH_WITHOUT_TERMINAL


def _console(width: int) -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout, width=width, markup=False, highlight=False)


def _draw(
    columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int], text_columns: int, *, wrap: bool = True
) -> "Table":
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place in shown:
        is_text, cells = place < text_columns, [columns[place], *(row[place] for row in rows)]
        widest = max(cell_len(line) for cell in cells for line in cell.split("\n"))
        minimum = None if wrap and is_text and place else widest
        drawn.add_column(cells[0], justify="left" if is_text else "right", overflow="fold", min_width=minimum)
    for row in rows:
        drawn.add_row(*(row[place] for place in shown))
    return drawn


def _minimum_width(
    columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int], text_columns: int, *, wrap: bool = True
) -> int:
    from rich.measure import Measurement

    console = _console(10_000)
    return Measurement.get(console, console.options, _draw(columns, rows, shown, text_columns, wrap=wrap)).minimum


def _needed_width(
    columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int], text_columns: int
) -> int:
    """The width at which no cell wraps."""
    return _minimum_width(columns, rows, shown, text_columns, wrap=False)


class Bar(Protocol):
    """A callback that shows progress and a few words about it."""

    def __call__(self, done: float, total: float, status: str) -> None:
        """`done` of `total`, in one unit."""


@contextmanager
def progress(activity: str) -> Iterator[Bar]:
    """A progress bar if stderr is a terminal, and else a line every ten seconds."""
    if sys.stderr.isatty():
        yield from _show_bar(activity)
    else:
        yield _print_lines(activity)


def _show_bar(activity: str) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(activity, total=None, status="")

        def update(done: float, total: float, status: str) -> None:
            bar.update(task, completed=done, total=total, status=status)

        yield update


def _print_lines(activity: str) -> Bar:
    last = time.monotonic()

    def update(done: float, total: float, status: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_PER_LINE:
            last = time.monotonic()
            say(f"{activity}: {done / max(total, 1):.0%}, {status}")

    return update
