"""embedonce.toml: what a person would otherwise type again at every command.

source = "tickets.csv"          a key above the first table holds for every command that has such an option
label = "queue"

[fit-head]
class-weight = "effective"      a table holds for the command of its name
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from data.errors import BadData, CallError, UnknownName, nearest

FILE = Path("embedonce.toml")

Defaults = dict[str, dict[str, Any]]


def defaults(commands: Mapping[str, click.Command], file: Path = FILE) -> Defaults:
    """What `file` says, for each command by parameter: click's `default_map`. Empty where there is no file.

    Raises BadData for a file that is no TOML, UnknownName for a key that no command has.
    """
    if not file.is_file():
        return {}
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{file} is not TOML: {error}.") from error
    parameters = {name: keys(command) for name, command in commands.items()}
    found: Defaults = {name: {} for name in commands}
    for name, value in said.items():
        if isinstance(value, dict):
            _take_table(found, parameters, name, value, file)
        else:
            _take_shared(found, parameters, name, value, file)
    return found


def keys(command: click.Command) -> dict[str, str]:
    """What embedonce.toml may say for a command: `class-weight` -> the parameter's name."""
    named = [parameter for parameter in command.params if parameter.name is not None]
    return {parameter.opts[0].lstrip("-"): str(parameter.name) for parameter in named}


def _take_table(
    found: Defaults, parameters: Mapping[str, dict[str, str]], name: str, table: Mapping[str, Any], file: Path
) -> None:
    if name not in parameters:
        raise UnknownName(f"{file}: no command is called '{name}'.{nearest(name, parameters)}")
    for option, value in table.items():
        if option not in parameters[name]:
            raise UnknownName(f"{file}: {name} has no option '{option}'.{nearest(option, parameters[name])}")
        found[name][parameters[name][option]] = value


def _take_shared(
    found: Defaults, parameters: Mapping[str, dict[str, str]], option: str, value: Any, file: Path
) -> None:
    having = [name for name, options in parameters.items() if option in options]
    if not having:
        raise UnknownName(
            f"{file}: no command has an option '{option}'.{nearest(option, set().union(*parameters.values()))}"
        )
    for name in having:
        found[name].setdefault(parameters[name][option], value)


def write(source: str, columns: Mapping[str, str], file: Path = FILE) -> None:
    """Make `file` say which documents to read. Raises CallError when it is there already."""
    lines = [
        f"source = {json.dumps(source)}",
        *(f"{name.rstrip('_').replace('_', '-')} = {json.dumps(value)}" for name, value in columns.items()),
    ]
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise CallError(f"{file} is there already. Edit it, or remove it to write a new one.") from error
