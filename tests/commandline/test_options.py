"""Every command has a short help, help for its options, and a dataclass that holds their values."""

import inspect
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import click
import pytest

import cli
from commandline.options import receives
from commandline.source_options import unescape_template
from tests.conftest import Run


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


COMMANDS = dict(commands(cli.embedonce))


@pytest.mark.parametrize("arguments", [("--help",), ("store", "--help")])
def test_no_short_help_is_cut_at_80_columns(
    embedonce: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = embedonce(*arguments)
    assert "..." not in shown.out.split("Commands:")[1] and max(map(len, shown.out.splitlines())) <= 80
    assert shown.out.count("\n", shown.out.index("Commands:")) == 1 + len(
        cli.embedonce.commands if len(arguments) == 1 else [name for name in COMMANDS if name.startswith("store ")]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_an_option_fits_into_80_columns(name: str) -> None:
    shown = COMMANDS[name].get_help(click.Context(COMMANDS[name], **cli.CONTEXT_SETTINGS, terminal_width=80))
    assert max(map(len, shown.split("Options:")[1].splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_whole_number_has_a_range(name: str) -> None:
    numbers = [item for item in COMMANDS[name].params if isinstance(item.type, click.types.IntParamType)]
    assert {item.name for item in numbers if not isinstance(item.type, click.IntRange)} <= {"layer"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("compare", "--metric", "macrof1"), "there is no 'macrof1'. Did you mean 'macro-f1'?"),
        (("report", "--metric", "brier-score"), "Did you mean 'brier'?"),
        (("compare", "--metric", "recall"), "'macro-recall', 'micro-recall', 'weighted-recall' or 'samples-recall'?"),
        (("sweep", "linear", "--metric", "xyz"), "there is no 'xyz'. Known: accuracy, auroc,"),
        (("decide", "linear-1", "--objective", "balanced accuracy"), "Did you mean 'balanced-accuracy'?"),
    ],
)
def test_of_many_names_the_closest_to_a_misspelled_one_is_suggested(
    embedonce: Run, arguments: tuple[str, ...], hint: str
) -> None:
    answer = embedonce(*arguments)
    assert answer.code == 2 and hint in answer.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help and command.short_help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_the_options_of_a_command_are_the_fields_of_its_dataclass(name: str) -> None:
    command = COMMANDS[name]
    assert command.callback is not None
    (parameter,) = inspect.signature(command.callback, eval_str=True).parameters.values()
    assert parameter.annotation.__dataclass_params__.frozen
    assert {field.name for field in command.params} == set(parameter.annotation.__dataclass_fields__)


def test_a_command_receives_one_frozen_dataclass() -> None:
    @dataclass(frozen=True)
    class Options:
        folder: Path

    received: list[Options] = []
    receives(Options)(received.append)(folder=Path("a"))
    assert received == [Options(Path("a"))]
    with pytest.raises(FrozenInstanceError):
        received[0].folder = Path("b")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "template"),
    [(r"{a}\n{b}", "{a}\n{b}"), (r"\t\\n", "\t\\n"), (r"\d\\", "\\d\\"), ("", ""), (None, None)],
)
def test_a_template_is_written_with_escapes(written: str | None, template: str | None) -> None:
    assert unescape_template(written) == template
