"""embedonce.toml, the defaults of all commands that are run in its folder.

source = "tickets.csv"          a key before the first table is for every command with an option that takes the value,
                                but for ONLY_IN_TABLES
label = "queue"

[fit-head]
class-weight = "effective"      a table is for the command of its name, as [store.info] is for `store info`
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from data.errors import BadData, CallError, UnknownName, suggest_name

CONFIG_FILE = Path("embedonce.toml")
# options that a key above the tables is not for: without them, each corpus and store has its own file or encoder
ONLY_IN_TABLES = {("explain", "source"), ("augment", "source"), ("augment", "model")}

# click's `default_map`: values by parameter name, by command name; those of a group are nested
DefaultMap = dict[str, dict[str, Any]]


def load_defaults(commands: Mapping[str, click.Command], file: Path = CONFIG_FILE) -> DefaultMap:
    """The values in `file` for each command, as click's `default_map`; empty if there is no such file.

    Raises BadData if the file cannot be read, is not TOML or a value has the wrong type, UnknownName for a key that no
    command has.
    """
    if not file.exists() and not file.is_symlink():
        return {}
    if not file.is_file():
        raise BadData(f"{file} is not a file. It holds the defaults of all commands: write it as one, or remove it.")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not UTF-8 (byte {error.start + 1}). Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"{file} is not TOML: {error}.") from error
    return _assign_values(commands, content, file)


def option_keys(command: click.Command) -> dict[str, click.Parameter]:
    """The keys that a command accepts, such as `class-weight`, with their parameters; for a group, all keys in it."""
    if isinstance(command, click.Group):
        return {key: parameter for inner in command.commands.values() for key, parameter in option_keys(inner).items()}
    known = (parameter for parameter in command.params if parameter.name not in (None, "files"))  # they follow a source
    return {parameter.opts[0].lstrip("-"): parameter for parameter in known}


def _assign_values(commands: Mapping[str, click.Command], content: Mapping[str, Any], file: Path) -> DefaultMap:
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    shared = {name: value for name, value in content.items() if name not in tables}
    known = {name: option_keys(command) for name, command in commands.items()}
    _check_tables(commands, tables, known, file)
    for key, value in shared.items():
        parameters = [keys[key] for keys in known.values() if key in keys]
        if not parameters:
            raise UnknownName(
                f"{file}: no command has an option '{key}'.{suggest_name(key, set().union(*known.values()))}"
            )
        if not any(_can_take(parameter, value) for parameter in parameters):
            raise BadData(f"{file}: {_explain_value(key, value, parameters)}")
    defaults: DefaultMap = {}
    for name, command in commands.items():
        options = known[name]
        taken = {
            key: value
            for key, value in shared.items()
            if key in options and _can_take(options[key], value) and (name, key) not in ONLY_IN_TABLES
        }
        values = taken | tables.get(name, {})
        if isinstance(command, click.Group):
            defaults[name] = _assign_values(command.commands, values, file)
        else:
            defaults[name] = dict(_parameter_values(options, values, file))
    return defaults


def _check_tables(
    commands: Mapping[str, click.Command],
    tables: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Mapping[str, click.Parameter]],
    file: Path,
) -> None:
    for name, table in tables.items():
        if name not in commands:
            raise UnknownName(f"{file}: no command is called '{name}'.{suggest_name(name, commands)}")
        keys = [*known[name], *getattr(commands[name], "commands", {})]
        for key in table:
            if key not in keys:
                raise UnknownName(f"{file}: {name} has no option '{key}'.{suggest_name(key, keys)}")


def _is_repeatable(parameter: click.Parameter) -> bool:
    return parameter.multiple or parameter.nargs == -1


def _can_take(parameter: click.Parameter, value: Any) -> bool:
    """Whether a key above the tables is for this command, too: `split` is a column for `embed`, not for `compare`."""
    values = value if isinstance(value, list) else [value]
    if len(values) != 1 and not _is_repeatable(parameter):
        return False
    return not isinstance(parameter.type, click.Choice) or all(str(each) in parameter.type.choices for each in values)


def _explain_value(key: str, value: Any, parameters: Sequence[click.Parameter]) -> str:
    """Why no command can take a value of a key that some have."""
    if isinstance(value, list) and len(value) != 1:
        return f'{key} is a list, but the command takes one value. Join names by commas, as in "area,topic".'
    choices = {word for each in parameters for word in getattr(each.type, "choices", ())}
    return f"{key} is {value!r}.{suggest_name(str(value), choices)}"


def _parameter_values(
    known: Mapping[str, click.Parameter], values: Mapping[str, Any], file: Path
) -> Iterator[tuple[str, Any]]:
    """Parameter names and values."""
    for key, value in values.items():
        parameter, is_list = known[key], isinstance(value, list)
        if any("\0" in str(each) for each in (value if is_list else [value])):
            raise BadData(f"{file}: {key} holds the character \\u0000, which no name or path can have. Remove it.")
        if _is_repeatable(parameter):
            yield str(parameter.name), value if is_list else [value]
        elif not is_list:
            if isinstance(parameter.type, click.types.IntParamType) and type(value) is not int:
                raise BadData(f"{file}: {key} is {value!r}. Write a whole number.")
            yield str(parameter.name), value
        elif len(value) == 1:
            yield str(parameter.name), value[0]
        else:
            raise BadData(f"{file}: {_explain_value(key, value, [parameter])}")


def write_config(source: str, options: Mapping[str, str | Sequence[str]], file: Path = CONFIG_FILE) -> None:
    """Write `file` with the documents to read and how. Raises CallError if it exists already."""
    lines = [
        f"source = {json.dumps(source)}",
        *(f"{name.rstrip('_').replace('_', '-')} = {json.dumps(value)}" for name, value in options.items()),
    ]
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise CallError(f"{file} exists already. Edit it, or remove it to write a new one.") from error
