"""Options that several commands share: a decorator that adds them, and a dataclass that holds their values.

A command receives its options as one frozen dataclass:

    @click.command()
    @json_option
    @receives(CompareOptions)
    def compare(options: CompareOptions) -> None: ...
"""

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from commandline.config_file import CONFIG_FILE
from data.atomic_write import check_writable
from data.errors import CallError, suggest_name
from data.ranges import MAX_SEED
from data.text_format import join_names, join_words

if TYPE_CHECKING:
    from stages.report.plots import FileFormat

Options = TypeVar("Options")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def receives(options: Callable[..., Options]) -> Callable[[Callable[[Options], None]], Command]:
    """A decorator that calls a command with one dataclass of type `options`, built from click's keyword arguments."""

    def decorate(command: Callable[[Options], None]) -> Command:
        @wraps(command)
        def call(**parameters: Any) -> None:
            command(options(**parameters))

        return call

    return decorate


def combine_options(*decorators: Decorator) -> Decorator:
    """One decorator that adds several options, in the order in which help shows them."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


class NewFile(click.Path):
    """A file to write. Its folder must exist and be writable, which is checked before the work and not after it.

    replaces: whether it may take the place of a file.
    """

    def __init__(self, *, replaces: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self.replaces = replaces

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Fails as click's own types do if its folder is missing, or it exists and may not."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}. Make it, or name another file.", param, ctx)
        check_writable(path.parent)
        try:
            exists = path.exists()
        except OSError as error:  # a name that is too long
            self.fail(f"{path}: {error.strerror}. Name another file.", param, ctx)
        if exists and not self.replaces:
            option = "file" if param is None else param.opts[0]
            raise CallError(f"{path} exists already. Name another {option}, or remove it.")
        return path


class Name(click.Choice[str]):
    """One of many names. A wrong one is answered with those that contain it, the closest one, or all."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 - click names it
        """The message on a value that is no choice."""
        longer = [f"'{name}'" for name in self.choices if value in name]
        hint = f" Did you mean {join_words(longer, 'or')}?" if longer else suggest_name(value, self.choices)
        return f"there is no '{value}'.{hint}"


class StoreLocation(click.Path):
    """A folder, or the URL of one in a bucket."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Path or a StoreUrl. Raises CallError for a URL that no store can have."""
        if "://" not in str(value):
            return super().convert(value, param, ctx)
        from featurestore import parse_location

        return parse_location(value)


FOLDER = click.Path(path_type=Path)
STORE = StoreLocation()

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
runs_option = click.option("--runs", type=FOLDER, default=Path("runs"), help="Folder of the runs.")
stores_option = click.option(
    "--stores",
    "stores_folder",
    type=STORE,
    default=Path("stores"),
    show_default=True,
    help="Folder of the stores, also s3://BUCKET/FOLDER.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, help="Seed of everything that is random."
)
device_option = click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
on_option = click.option(
    "--on",
    type=click.Choice(["local", "ray"]),
    help="Engine of the workers: ray, the cluster at RAY_ADDRESS or this machine; or local, processes of this machine.",
)
trust_option = click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that comes with the model. Read it first."
)
chart_options = combine_options(
    click.option("--html", type=NewFile(), help="Also write a page with the chart and a table."),
    click.option("--svg", type=NewFile(), help="Also write the chart as SVG."),
    click.option("--png", type=NewFile(), help="Also write the chart as PNG; needs the extra plots."),
    click.option("--pdf", type=NewFile(), help="Also write the chart as PDF; needs the extra plots."),
)


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """The values of `chart_options`."""

    html: Path | None
    svg: Path | None
    png: Path | None
    pdf: Path | None

    def check_formats(self) -> None:
        """Raise ExtraMissing if a format needs matplotlib, which is missing: before anything is computed."""
        if self.png is not None or self.pdf is not None:
            from stages.report.plots import require_matplotlib

            require_matplotlib()

    @property
    def chart_files(self) -> "list[tuple[FileFormat, Path]]":
        """The requested files with their formats."""
        files: list[tuple[FileFormat, Path | None]]
        files = [("html", self.html), ("svg", self.svg), ("png", self.png), ("pdf", self.pdf)]
        return [(file_format, path) for file_format, path in files if path is not None]


def split_names(names: str | None) -> tuple[str, ...] | None:
    """The names between commas, None if there are none; a name with a comma in it is quoted, as in a CSV file."""
    if not names:
        return None
    (cells,) = csv.reader([names], skipinitialspace=True)
    return tuple(cell.strip() for cell in cells)


def is_given(parameter: str) -> bool:
    """Whether the user set a parameter of the running command, on the command line or in embedonce.toml."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)


def refuse_unused(parameters: Sequence[str], reason: str) -> None:
    """Raise CallError for parameters on the command line that would be ignored; those of embedonce.toml may be.

    reason: what they are for instead, after "is" or "are".
    """
    context = click.get_current_context()
    given = [
        each.opts[0]
        for each in context.command.params
        if each.name in parameters and context.get_parameter_source(each.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        verb, them = ("is", "it") if len(given) == 1 else ("are", "them")
        raise CallError(f"{join_names(given, quoted=False)} {verb} {reason}. Leave {them} out.")


def describe_store_origin(corpus: str | None) -> str:
    """Where the store of a command with --corpus came from, as `describe_origin` writes it."""
    return describe_origin("store", "the newest store" if corpus is None else "the newest store with this corpus")


def describe_origin(parameter: str, default: str) -> str:
    """Where a value came from, in parentheses, for the first line that a command prints; "" for the command line."""
    source = click.get_current_context().get_parameter_source(parameter)
    if source is click.core.ParameterSource.COMMANDLINE:
        return ""
    return f" (from {CONFIG_FILE})" if source is click.core.ParameterSource.DEFAULT_MAP else f" ({default})"
