"""Commands for the next step of a check: the options that say what a run was fitted on are those of its own command."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data.errors import EmbedOnceError
from heads.core.hyperparameters import to_json, with_explicit_defaults
from heads.registry import head_class
from stages.fitting import runs

__all__ = ["repeat_command"]

# options of fit-head and sweep that say on what and how a head is fitted, whichever head it is
_FLAGS = {"--skip-unlabeled", "--no-test", "--labels-only", "--no-tabular", "--per-label"}
_WITH_VALUE = {
    "--stores", "--store", "--corpus", "--runs", "--order", "--scored-level", "--folds", "--validate-on", "--objective",
    "--layer", "--beta", "--costs", "--at", "--for-label", "--weight", "--weight-from", "--weight-id", "--augmented",
}  # fmt: skip
_NOT_OF_CURVE = frozenset({"--folds", "--no-test"})


def repeat_command(
    run: runs.Run,
    command: str,
    *,
    head: str = "",
    settings: Mapping[str, str] | None = None,
    seed: int | None = None,
    flags: Sequence[str] = (),
) -> str:
    """A command on the documents of a run.

    Args:
        run: the run.
        command: fit-head, sweep or curve.
        head: another head than that of the run, or several; "" for the same, which fit-head fits with the same
            hyperparameters.
        settings: hyperparameters by their short names that are other than those of the run.
        seed: another seed than that of the run.
        flags: further options.

    Returns:
        The command as a user types it.
    """
    without = _NOT_OF_CURVE if command == "curve" else frozenset[str]()
    kept = list(_kept_options(run.origin.record.command, without))
    words = ["embedonce", command, *(head or run.record.head).split(), *kept]
    if "--store" not in kept and not run.record.further_recipes:
        words += ["--store", run.record.store]
    if "--corpus" not in kept:
        words += ["--corpus", run.record.corpus]
    own = _own_settings(run.record) if command == "fit-head" and not head else {}
    for name, value in {**own, **(settings or {})}.items():
        words += ["--set", f"{name}={value}"]
    if seed is not None or run.record.seed:
        words += ["--seed", str(run.record.seed if seed is None else seed)]
    return shlex.join([*words, *(flag for flag in flags if flag not in kept)])


def _kept_options(command: str, without: frozenset[str]) -> Iterator[str]:
    """The options of the command that made a run, as far as they hold for every head, without some."""
    try:
        words = shlex.split(command)
    except ValueError:
        return
    rest = iter(words)
    for word in rest:
        name, sign, value = word.partition("=")
        if name in _WITH_VALUE:
            value = value if sign else next(rest, "")
            yield from () if name in without else (name, value)
        elif word in _FLAGS - without:
            yield word


def _own_settings(record: runs.Record) -> dict[str, str]:
    """The hyperparameters of a run that are not the head's defaults, as texts, if they are plain values."""
    try:
        defaults = _flatten(to_json(with_explicit_defaults(head_class(record.head)()))["nested"])
    except EmbedOnceError:  # a head of another package, which is not installed
        return {}
    own = _flatten(record.hyperparameters)
    return {name: own[name] for name in own if name != "seed" and own[name] != defaults.get(name, own[name])}


def _flatten(nested: Mapping[str, Any]) -> dict[str, str]:
    """Plain values by the last part of their name."""
    flat: dict[str, str] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and "nested" in value:
            flat |= _flatten(value["nested"])
        elif isinstance(value, Mapping) and "tuple" in value:
            flat[name] = ",".join(map(str, value["tuple"]))
        elif value is None or isinstance(value, str | int | float):
            flat[name] = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return flat
