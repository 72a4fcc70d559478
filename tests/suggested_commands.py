"""Commands that messages suggest, parsed by the commands of the program: what it would refuse fails a test."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click

from cli import CONTEXT_SETTINGS, embedonce
from commandline.curve import CurveOptions
from commandline.fit_head import FitHeadOptions
from commandline.sweep import SweepOptions
from heads.registry import LOADED_HEADS, STACKING_HEADS
from stages.curve import parse_curve_heads
from stages.fitting.head_options import parse_heads
from stages.fitting.plan import FitPlan

HELP = CONTEXT_SETTINGS["help_option_names"]  # click keeps the help option of the first context that a command is in


def commands_of(group: click.Group = embedonce, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each command with its name, those of groups as "store info"."""
    for name, command in group.commands.items():
        yield prefix + name, command
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{prefix}{name} ")


def option_names(command: click.Command) -> set[str]:
    """The options of a command, as `--name`."""
    return {name for option in command.params if isinstance(option, click.Option) for name in _names(option)}


def _names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def suggested(message: str) -> list[dict[str, Any]]:
    """The parameters of each complete command in backticks in a message. Raises as the program does for a wrong one."""
    return [parse(command) for command in re.findall(r"`(embedonce [^`]+)`", message)]


def parse(line: str) -> dict[str, Any]:
    """The parameters of a command line, after the checks that the program makes before it reads a store."""
    program, *words = shlex.split(line)
    assert program == "embedonce"
    command: click.Command = embedonce
    name = ""
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    parameters = command.make_context(name, words, help_option_names=HELP).params
    check = {"fit-head": _check_fit_head, "sweep": _check_sweep, "curve": _check_curve}.get(name)
    if check is not None:
        check(parameters)
    return parameters


def _check_fit_head(parameters: dict[str, Any]) -> None:
    options = FitHeadOptions(**parameters)
    heads = parse_heads(options.heads, options.all_settings, options.class_weight, options.first, options.seed)
    assert not {head.name for head in heads} & set(LOADED_HEADS)
    assert not options.base_runs or any(head.name in STACKING_HEADS for head in heads)
    for head in heads:
        FitPlan(head=head, folds=options.folds, seed=options.seed, decision=options.decision)


def _check_sweep(parameters: dict[str, Any]) -> None:
    options = SweepOptions(**parameters)
    assert options.head not in {*STACKING_HEADS, *LOADED_HEADS}
    parse_heads([options.head], options.settings, options.class_weight, seed=options.seed)
    FitPlan(head=parse_heads([options.head])[0], folds=options.folds, decision=options.decision)


def _check_curve(parameters: dict[str, Any]) -> None:
    options = CurveOptions(**parameters)
    assert not set(LOADED_HEADS) & set(options.heads)
    parse_curve_heads(options.heads, options.settings, options.class_weight)
    assert options.decision
