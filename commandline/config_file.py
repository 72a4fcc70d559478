"""embedonce.toml: what a person would otherwise type again at every command.

source = "tickets.csv"          a key above the first table holds for every command that has such an option
label = "queue"

[fit-head]
class-weight = "effective"      a table holds for the command of its name, as [store.info] does for `store info`
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from data.errors import BadData, CallError, UnknownName, suggest_name

FILE = Path("embedonce.toml")

Defaults = dict[str, dict[str, Any]]


def defaults(commands: Mapping[str, click.Command], file: Path = FILE) -> Defaults:
    """What `file` says, for each command by parameter, those of a group under its name: click's `default_map`.

    Empty where there is no file. Raises BadData for a file that is no TOML or has a value of another type, UnknownName
    for a key that no command has.
    """
    if not file.is_file():
        return {}
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{file} is not TOML: {error}.") from error
    return _said_for(commands, said, file)


def keys(command: click.Command) -> dict[str, click.Parameter]:
    """What embedonce.toml may say for a command: `class-weight` -> the parameter; of a group for any of its own."""
    if isinstance(command, click.Group):
        return {key: each for inner in command.commands.values() for key, each in keys(inner).items()}
    return {each.opts[0].lstrip("-"): each for each in command.params if each.name is not None}


def _said_for(commands: Mapping[str, click.Command], said: Mapping[str, Any], file: Path) -> Defaults:
    tables = {name: value for name, value in said.items() if isinstance(value, dict)}
    known = {name: keys(command) for name, command in commands.items()}
    for name, table in tables.items():
        if name not in commands:
            raise UnknownName(f"{file}: no command is called '{name}'.{suggest_name(name, commands)}")
        all_known = [*known[name], *getattr(commands[name], "commands", {})]
        for option in table:
            if option not in all_known:
                raise UnknownName(f"{file}: {name} has no option '{option}'.{suggest_name(option, all_known)}")
    shared = {name: value for name, value in said.items() if name not in tables}
    for option in shared:
        if not any(option in each for each in known.values()):
            every = set().union(*known.values())
            raise UnknownName(f"{file}: no command has an option '{option}'.{suggest_name(option, every)}")
    found: Defaults = {}
    for name, command in commands.items():
        values = {option: value for option, value in shared.items() if option in known[name]} | tables.get(name, {})
        if isinstance(command, click.Group):
            found[name] = _said_for(command.commands, values, file)
        else:
            found[name] = dict(_values(known[name], values, tables.get(name, {}), file))
    return found


def _values(
    known: Mapping[str, click.Parameter], values: Mapping[str, Any], own: Mapping[str, Any], file: Path
) -> Iterator[tuple[str, Any]]:
    """Parameter and value; a list that other commands are meant to take is passed over, one in `own` is refused."""
    for option, value in values.items():
        parameter, many = known[option], isinstance(value, list)
        if parameter.multiple:
            yield str(parameter.name), value if many else [value]
        elif not many:
            if isinstance(parameter.type, click.types.IntParamType) and type(value) is not int:
                raise BadData(f"{file}: {option} is {value!r}. Write a whole number.")
            yield str(parameter.name), value
        elif len(value) == 1:
            yield str(parameter.name), value[0]
        elif option in own:
            raise BadData(f"{file}: {option} is a list, and takes one value.")


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
