"""Commands and options that strings of the product name exist: in messages, help, docstrings and pages of docs."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest

from tests.suggested_commands import commands_of, option_names, parse

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("cli.py", "commandline", "embedonce", "stages", "heads", "featurestore", "data")
OF_OTHER_PACKAGES = {"your-own-head.md"}  # fits heads that it defines
PAGES = [page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page.name not in OF_OTHER_PACKAGES]
COMMANDS = dict(commands_of())
OPTIONS = {name: option_names(command) for name, command in COMMANDS.items()}
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
NAMES = re.compile(r"--[a-z]|embedonce ")
QUOTED = re.compile(r"`([^`]+)`")
PIPE = re.compile(r" \| | > (?=[^\s\"]+$)")  # what a shell does with the output
HOLE = "…"  # a value that is known when the message is made

OF_ALL_COMMANDS = {"--help", "--debug", "--version"}
OTHER_PROGRAMS = {
    "--nproc-per-node": "torchrun, in the help of finetune",
    "--no-python": "torchrun, in the help of finetune",
    "--stdout": "gunzip, in the help of predict",
    "--head": "ray, in stages/engines",
}
FILES_OF_OTHER_PROGRAMS = {"data/benchmarks.py": "calls pip"}

# The commands that show the messages of a folder or file, the longest path first. An option that a message names must
# be one of each, unless the message names a command that has it.
READERS = ("embed", "finetune", "adapt", "perplexity", "taxonomy", "init", "store label")
SHOWN_BY = {
    "stages/adapt/perplexity.py": ("perplexity",),
    "stages/adapt/": ("adapt",),
    "stages/augment/": ("augment",),
    "stages/curve/": ("curve",),
    "stages/deciding/": ("decide",),
    "stages/score_table.py": ("decide",),
    "stages/explain/": ("explain",),
    "stages/finetune/": ("finetune",),
    "stages/lengthen/": ("lengthen",),
    "stages/sweep/": ("sweep",),
    "stages/taxonomy/": ("taxonomy",),
    "stages/relabel.py": ("store label",),
    "stages/comparing/": ("compare",),
    "stages/embed/network/": ("embed", "finetune", "predict", "decide", "augment"),
    "stages/embed/model_files/saved_encoders.py": ("adapt", "finetune", "lengthen"),
    "stages/embed/model_files/trust.py": ("embed", "finetune", "perplexity", "predict", "decide", "augment"),
    "stages/embed/model_files/": ("embed", "finetune"),
    "stages/embed/encoder/encoder.py": ("embed", "finetune", "adapt"),
    "stages/embed/pipeline/encode_slice.py": ("embed", "finetune", "augment", "predict", "decide"),
    "stages/embed/": ("embed",),
    "stages/fitting/": ("fit-head", "sweep"),
    "stages/stores.py": ("fit-head", "sweep", "curve", "taxonomy", "store label"),
    "featurestore/maintenance/export.py": ("store export",),
    "featurestore/shards/shard.py": ("fit-head", "sweep", "curve"),
    "featurestore/": ("embed",),
    "data/target.py": ("fit-head", "sweep", "curve"),
    "data/splitting/sampling.py": ("embed",),
    "data/splitting/": READERS,
    "data/readers/": READERS,
    "data/label": READERS,
    "heads/classifiers/": ("fit-head", "sweep", "curve"),
    "heads/training/": ("fit-head", "sweep", "curve"),
    "heads/evaluation/decisions/objective_request.py": ("fit-head", "sweep", "curve", "finetune", "decide"),
    "heads/evaluation/decisions/": ("decide",),
    "heads/evaluation/metrics.py": ("compare", "report", "sweep", "curve"),
}
NO_SUGGESTIONS = {
    ("stages/comparing/notes.py", "--scored-level"): "says how runs differ",
    ("stages/fitting/head_options.py", "--first"): "is an answer to --first, which fit-head has",
}
VERBS = {"embed": "embed", "fit ": "fit-head", "fitted ": "fit-head", "adapted": "adapt", "fine-tun": "finetune"}


@dataclass(frozen=True)
class Text:
    """A string of the product, its values as HOLE. path: of its file. line: where it starts."""

    path: str
    line: int
    text: str
    is_docstring: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.text.split())}"


def texts_of(path: Path) -> Iterator[Text]:
    """The strings of a file; adjacent ones and f-strings are one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT).as_posix()
    nodes = list(ast.walk(tree))
    inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if id(node) not in inside and (text := _text(node)):
            yield Text(name, getattr(node, "lineno", 0), text, is_docstring=id(node) in alone)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return HOLE
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def all_texts() -> tuple[Text, ...]:
    """The strings of all files that name an option or a command."""
    python = [
        file for name in PRODUCT for file in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    ]
    files = [file for file in sorted(python) if NAMES.search(file.read_text(encoding="utf-8"))]
    texts = [text for file in files for text in texts_of(file) if NAMES.search(text.text)]
    return tuple(each for each in texts if each.path not in FILES_OF_OTHER_PROGRAMS)


def named_commands(text: str) -> list[str]:
    """The commands that a text names: in backticks, or by their verbs, as in "embed with --keep"."""
    quoted = [command for command, _ in commands_in_backticks(text)]
    return [*quoted, *(command for verb, command in VERBS.items() if re.search(rf"\b{verb}", text, re.IGNORECASE))]


def commands_in_backticks(text: str) -> Iterator[tuple[str, str]]:
    """The name of each command in backticks, and its options and arguments."""
    for quoted in QUOTED.findall(text):
        words = quoted.removeprefix("embedonce ")
        name = next(
            (each for each in sorted(COMMANDS, key=len, reverse=True) if f"{words} ".startswith(f"{each} ")), ""
        )
        if name or (words != quoted and words[0].isalpha()):
            yield name, words.removeprefix(name)


def test_an_option_that_a_string_names_is_one_of_a_command() -> None:
    known = set().union(*OPTIONS.values(), OF_ALL_COMMANDS, OTHER_PROGRAMS)
    assert [str(each) for each in all_texts() if set(OPTION.findall(each.text)) - known] == []


def test_a_command_in_backticks_exists_and_has_the_options_that_follow_it() -> None:
    found = [(each, command, rest) for each in all_texts() for command, rest in commands_in_backticks(each.text)]
    assert [str(text) for text, command, _ in found if not command] == []
    assert len(found) > 100
    wrong = [
        str(text)
        for text, command, rest in found
        if set(OPTION.findall(rest)) - OPTIONS[command] - OF_ALL_COMMANDS - OTHER_PROGRAMS.keys()
    ]
    assert wrong == []


def test_a_whole_command_in_backticks_is_accepted() -> None:
    """Those that only name a command, without the arguments that it needs, are checked above."""
    quoted = [
        command for each in all_texts() for command in QUOTED.findall(each.text) if command.startswith("embedonce ")
    ]
    unknown = (HOLE, "...", "--help")
    whole = [each for each in dict.fromkeys(quoted) if not any(part in each for part in unknown)]
    missing = [command for command in whole if _is_incomplete(command)]
    assert len(whole) - len(missing) > 20, missing


def _is_incomplete(line: str) -> bool:
    try:
        parse(line)
    except (click.MissingParameter, click.BadOptionUsage):  # an argument or a value is left out
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_accepted(page: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    for line in re.findall(r"^ {4}(embedonce [^#\n]+)", text, re.MULTILINE):
        if "..." not in line:
            parse(PIPE.split(line)[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_the_help_of_a_command_are_accepted(command: str) -> None:
    for line in re.findall(r"^ {4}(embedonce [^\n]+)", COMMANDS[command].callback.__doc__ or "", re.MULTILINE):
        parse(PIPE.split(line)[0])


def test_an_option_in_a_message_is_one_of_the_commands_that_show_it() -> None:
    wrong = []
    for each in all_texts():
        if each.is_docstring or " " not in each.text:  # a single word is a name in code
            continue
        named = named_commands(each.text)
        for option in dict.fromkeys(OPTION.findall(each.text)):
            lacking = [command for command in _shown_by(each.path) if option not in OPTIONS[command]]
            has_other = any(option in OPTIONS[command] for command in named)
            if lacking and not has_other and (each.path, option) not in NO_SUGGESTIONS:
                wrong.append(f"{option} is not an option of {', '.join(lacking)}: {each}")
    assert wrong == []


def _shown_by(path: str) -> tuple[str, ...]:
    return next((SHOWN_BY[prefix] for prefix in sorted(SHOWN_BY, key=len, reverse=True) if path.startswith(prefix)), ())
