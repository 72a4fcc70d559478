"""docs/commands.md, written from the commands themselves: `python -m commandline.reference > docs/commands.md`."""

from collections.abc import Iterator
from typing import Any

import click

import cli

INTRODUCTION = """# Commands

What each command takes, as `--help` shows it. Results go to stdout, everything else to stderr. Exit codes: 0 done,
1 the work failed, 2 the call was wrong, 130 interrupted (the same command goes on where it stopped).
"""


SHOWN: dict[str, Any] = {"terminal_width": 110, "show_default": True, "help_option_names": ["-h", "--help"]}


def page() -> str:
    """The whole page, as Markdown."""
    blocks = [f"## {path}\n\n```\n{shown}\n```\n" for path, shown in commands(cli.embedonce, "embedonce", None)]
    return "\n".join([INTRODUCTION, *blocks])


def commands(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """Each command's name and help, those of a group after it."""
    context = click.Context(command, info_name=path.split()[-1], parent=parent, **SHOWN)
    yield path, command.get_help(context)
    for name, inner in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
        yield from commands(inner, f"{path} {name}", context)


if __name__ == "__main__":
    click.echo(page(), nl=False)
