"""What a person sees: sentences, notes, tables and progress bars. Results go to stdout, everything else to stderr."""

import io
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

import click

from data.atomic_write import open_atomically
from data.text_format import format_bytes, format_duration, join_names

if TYPE_CHECKING:
    from featurestore import FeatureStore

SECONDS_PER_LINE = 10.0  # of progress, if stderr is not a terminal
WIDTH_WITHOUT_TERMINAL = 160  # columns of a table if no standard stream is a terminal, as in a scheduled job
_WRAPPED = 10  # columns that a wrapping column of a table keeps at least
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")  # but for tabs and line ends
_NOTES = "commandline.output.notes"


def use_utf8() -> None:
    r"""Let stdout and stderr be UTF-8 with the line ends "\n", whatever the locale, as every file that is written is.

    A path's bytes that are not UTF-8 are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            line_ends = None if stream.isatty() else "\n"
            with suppress(OSError):  # a descriptor that was a file when Python started, and is a pipe now
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline=line_ends)


def say(sentence: str) -> None:
    """Print a line to stderr, wrapped at words."""
    click.echo(_wrap(sentence, sys.stderr), err=True)


def show(paragraph: str) -> None:
    """Print a paragraph to stdout, wrapped at words."""
    click.echo(_wrap(paragraph, sys.stdout))


def _escape_controls(text: str) -> str:
    r"""The text with control characters as escapes, which a label or a text may have and a terminal would obey."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _wrap(text: str, stream: TextIO, *, indent: str = "") -> str:
    """The text with its lines wrapped at words if the stream is a terminal; paths and options are not divided.

    indent: of the lines that continue one.
    """
    text = _escape_controls(text)
    if not stream.isatty():
        return text
    wrapper = textwrap.TextWrapper(
        terminal_width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapper.fill(line) if len(line) > wrapper.width else line for line in text.split("\n"))


def show_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def note(sentence: str) -> None:
    """Print a note about the result to stderr, once per command."""
    context = click.get_current_context(silent=True)
    printed: set[str] = set() if context is None else context.meta.setdefault(_NOTES, set())
    if sentence not in printed:
        printed.add(sentence)
        click.echo(_wrap(f"  - {sentence}", sys.stderr, indent="    "), err=True)


def note_waiting_for_stdin(source: str) -> None:
    """Say what to do if `source` is standard input and that is a terminal, which otherwise seems to hang."""
    if source == "-" and sys.stdin.isatty():
        note("documents are read from the terminal: type or paste a table, and end it with Ctrl-D on a line of its own")


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """A text file that appears under its name once it is complete, or stdout if `path` is None.

    Raises StorageFailed if the file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    with open_atomically(path, next_step=", or name another file.") as file:
        out = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows, width = [tuple(map(_escape_controls, row)) for row in rows], terminal_width()
    widths = [_widest_line(cells) for cells in zip(columns, *rows, strict=True)]
    shown = list(range(len(columns)))
    for place in reversed([place for place, name in enumerate(columns) if name in optional]):
        if _table_width([widths[place] for place in shown]) > width:
            shown.remove(place)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    minimum = [min(widths[place], _WRAPPED) if 0 < place < text_columns else widths[place] for place in shown]
    for place, least in zip(shown, minimum, strict=True):
        justify: Literal["left", "right"] = "left" if place < text_columns else "right"
        drawn.add_column(columns[place], justify=justify, overflow="fold", min_width=least)
    for row in rows:
        drawn.add_row(*(row[place] for place in shown))
    needed = max(width, _table_width(minimum))
    console = Console(file=sys.stdout, width=needed, markup=False, emoji=False, highlight=False)
    console.print(drawn)
    if missing := [" ".join(name.split()) for place, name in enumerate(columns) if place not in shown]:
        columns_left_out = f"column{'s' * (len(missing) > 1)} {join_names(missing)}"
        note(f"The terminal is too narrow for the {columns_left_out}. A wider one shows all columns, as --json does.")


def _widest_line(cells: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _table_width(widths: Sequence[int]) -> int:
    """The width of a table whose columns have these widths: three spaces between columns, one on either side."""
    return sum(widths) + 3 * (len(widths) - 1) + 2


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


class Bar(Protocol):
    """A callback that shows progress and a few words about it."""

    def __call__(self, done: float, total: float, status: str) -> None:
        """`done` of `total`, in one unit."""


@contextmanager
def progress(activity: str, *, with_results: bool = False) -> Iterator[Bar]:
    """A progress bar if stderr is a terminal, and else a line every ten seconds.

    with_results: whether results are printed to stdout meanwhile. If stdout is a terminal, they take the place of a
    bar, which would overwrite them.
    """
    if with_results and sys.stdout.isatty():
        yield lambda *_: None
    elif sys.stderr.isatty():
        yield from _show_bar(activity)
    else:
        yield _print_lines(activity)


def bytes_progress(bar: Bar) -> Callable[[float, float], None]:
    """A callback that shows bytes done and bytes in total on `bar`."""
    return lambda done, total: bar(done, total, f"{format_bytes(done)} of {format_bytes(total)}")


def reading_progress(bar: Bar) -> Callable[[float, float], None]:
    """A callback that shows the bytes of a source that have been read, and how long this pass over it still takes."""
    started, first = time.monotonic(), 0.0
    last = first

    def update(done: float, total: float) -> None:
        nonlocal started, first, last
        if done < last:  # another pass
            started, first = time.monotonic(), done
        last = done
        seconds = time.monotonic() - started
        left = (
            f", {format_duration(seconds * (total - done) / (done - first))} left"
            if seconds > 1 and done > first
            else ""
        )
        bar(done, total, f"reading {format_bytes(done)} of {format_bytes(total)}{left}")

    return update


def download(stores: "Iterable[FeatureStore]") -> None:
    """Download what the cache lacks of the stores that are in a bucket, with a progress bar for each."""
    for store in stores:
        if not store.storage.is_local:
            with progress(f"downloading {store.name}") as bar:
                store.shards(bytes_progress(bar))


def _show_bar(activity: str) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    )
    # rich would send what is printed to stdout to stderr, past a file or a pipe that waits for it
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
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
