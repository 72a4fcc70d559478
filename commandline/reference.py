"""The generated pages of the documentation, on standard output.

python -m commandline.reference commands > docs/reference/commands.md
python -m commandline.reference heads > docs/reference/heads.md
python -m commandline.reference python > docs/reference/python.md
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

import cli
from commandline.python_reference import python_page
from heads.registry import BUILT_IN_HEADS, STACKING_HEADS, describe, head_class

WIDTH = 110  # columns of the help in docs/reference/commands.md

COMMANDS_INTRODUCTION = """# Commands

The help of each command, as `--help` prints it. Results go to stdout, everything else to stderr. Exit codes: 0 success,
1 the work failed, 2 the call was wrong, 130 interrupted by Ctrl-C, 143 interrupted by SIGTERM, which schedulers send
(the same command resumes the work).
"""

HEADS_INTRODUCTION = """# Heads

The heads of `fit-head`, with their hyperparameters. Each head reads the views of a store that are listed next to it, or
those of them that the store has, if it can do without some. `--set name=value` sets a hyperparameter by its short name,
as in `lr` for `training__optimization__lr`. A mapping is set in Python, or by an option of its own
(`--class-weight FILE`). `stack` reads the scores of other runs. [Your own head](../howto/your-own-head.md)
joins through an entry point.
"""


def commands_page() -> str:
    """docs/reference/commands.md: the help of every command."""
    blocks = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _help_texts(cli.embedonce, "embedonce", None)]
    return "\n".join([COMMANDS_INTRODUCTION, *blocks])


def _help_texts(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """The path and the help of a command, followed by those of its subcommands."""
    settings: dict[str, Any] = {**cli.CONTEXT_SETTINGS, "terminal_width": WIDTH}
    context = click.Context(command, info_name=path.split()[-1], parent=parent, **settings)
    yield path, command.get_help(context)
    for name, inner in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
        yield from _help_texts(inner, f"{path} {name}", context)


def heads_page() -> str:
    """docs/reference/heads.md: a table of all heads, then each head with its source and its hyperparameters."""
    names = [*BUILT_IN_HEADS, *STACKING_HEADS]
    heads = [describe(name) for name in names]
    rows = [f"| [{head.name}](#{head.name}) | {', '.join(head.reads)} | {head.summary} |" for head in heads]
    table = "\n".join(["| head | reads | description |", "|---|---|---|", *rows])
    return "\n".join([HEADS_INTRODUCTION, table, "", *map(_head_section, names)])


def _head_section(name: str) -> str:
    rows = [
        f"| {item.short_name} | `{item.shown_default}` | {item.allowed} | {item.help} |"
        for item in describe(name).hyperparameters
    ]
    head = ["| hyperparameter | default | values | description |", "|---|---|---|---|"]
    return "\n".join([f"## {name}\n", (inspect.getdoc(head_class(name)) or "") + "\n", *head, *rows, ""])


PAGES: Mapping[str, Callable[[], str]] = {
    "commands": commands_page,
    "heads": heads_page,
    "python": python_page,
}


@click.command()
@click.argument("page", type=click.Choice(list(PAGES)))
def main(page: str) -> None:
    """Print a page of the documentation as Markdown."""
    click.echo(PAGES[page](), nl=False)


if __name__ == "__main__":
    main()
