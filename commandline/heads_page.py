"""docs/heads.md, written from the heads themselves: `python -m commandline.heads_page > docs/heads.md`."""

import inspect
import re

import click

from heads.core.hyperparameters import hyperparameters_of
from heads.registry import OURS, STACKING_HEADS, describe, head_class

INTRODUCTION = """# Heads

What `fit-head` takes, as the heads declare it. Each reads the views of a store that stand beside it (those of them that
the store keeps, where it can do without some), and is set by `--set parameter=value`, where `lr` is `training__lr`;
what takes a mapping is set in Python, or by an option of its own (`--class-weight FILE`). `stack` reads the scores of
other runs. A head of yours joins by [an entry point](your-own-head.md).
"""


def page() -> str:
    """The whole page, as Markdown: a table of all heads of ours, then each with its source and its parameters."""
    names = [*OURS, *STACKING_HEADS]
    described = [describe(name) for name in names]
    rows = [f"| [{one.name}](#{one.name}) | {', '.join(one.reads)} | {one.summary} |" for one in described]
    table = "\n".join(["| head | reads | |", "|---|---|---|", *rows])
    return "\n".join([INTRODUCTION, table, "", *map(section, names)])


def section(name: str) -> str:
    """One head: what its docstring says before the parameters, and these with their defaults."""
    told, words = inspect.getdoc(head_class(name)) or "", descriptions(name)
    text = re.split(r"\n\n(?:Parameters\n-|Its parameters are)", told)[0]
    rows = [
        f"| {each.name} | `{each.default}` | {each.allowed} | {words.get(each.name.rpartition('__')[2], '')} |"
        for each in describe(name).parameters
    ]
    return "\n".join([f"## {name}\n", text + "\n", "| parameter | default | value | |", "|---|---|---|---|", *rows, ""])


def descriptions(name: str) -> dict[str, str]:
    """Each parameter's line in the docstrings of a head, of what it is made from and of its nested parameters."""
    nested = [each.nested for each in hyperparameters_of(head_class(name), deep=False) if each.nested is not None]
    words: dict[str, str] = {}
    for cls in [*nested, *reversed(head_class(name).__mro__)]:
        documented = re.split(r"Parameters\n-+\n", inspect.cleandoc(cls.__doc__ or ""))
        for names, text in re.findall(r"^([\w, ]+) : (.+(?:\n    .+)*)", documented[-1], flags=re.MULTILINE):
            words |= dict.fromkeys(names.split(", "), re.sub(r"\s+", " ", text))
    return words


if __name__ == "__main__":
    click.echo(page(), nl=False)
