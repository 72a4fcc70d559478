"""Commands for the next step of a check: on the documents of a run, and with what it was fitted with."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from data.errors import EmbedOnceError
from data.text_format import csv_row
from heads.core.hyperparameters import from_json, hyperparameters_in, with_explicit_defaults
from heads.evaluation.decisions.objective_request import default_objective
from heads.registry import LOADED_HEADS, STACKING_HEADS, head_class, shown_names
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fold_count import FOLDS, MIN_DOCUMENTS

__all__ = ["can_be_searched", "has_defaults", "reads_features", "repeat_command"]

Options = list[tuple[str, ...]]  # a name and a value, or the name of a flag

# what only the command of a run knows of its documents
_FLAGS = {"--skip-unlabeled", "--no-tabular"}
_WITH_VALUE = {"--stores", "--store", "--order", "--costs", "--weight", "--weight-from", "--weight-id"}
_OF_FIT_HEAD = {"--calibration", "--class-weight"}
_NOT_OF_CURVE = {"--folds", "--no-test"}
_DERIVED = {"columns", "order", "seed", "tree"}  # hyperparameters that a fit takes from its documents and options


def reads_features(run: runs.Run) -> bool:
    """Whether a run's head can be fitted and searched alone: not an ensemble over runs, nor one with its encoder."""
    return run.record.head not in {*STACKING_HEADS, *LOADED_HEADS}


def can_be_searched(run: runs.Run) -> bool:
    """Whether a sweep of a run's head may find something new: it reads features, and no sweep chose its numbers."""
    return reads_features(run) and not run.origin.record.search


def has_defaults(run: runs.Run) -> bool:
    """Whether a run's head has its default hyperparameters."""
    return not _own_settings(run.origin.record)


def repeat_command(
    run: runs.Run,
    command: Literal["fit-head", "sweep", "curve"],
    *,
    head: str = "",
    settings: Mapping[str, str] | None = None,
    seed: int | None = None,
    flags: Sequence[str] = (),
) -> str:
    """A command on the documents of a run.

    Args:
        run: the run; without `head` one that `reads_features`.
        command: its name.
        head: another head than that of the run, or several; "" for the same, which has the same hyperparameters unless
            a sweep searches them.
        settings: hyperparameters that are other than those of the run, by the names that `--set` takes.
        seed: another seed than that of the run.
        flags: further options.

    Returns:
        The command as a user types it.
    """
    record = run.origin.record
    is_repeated = command == "fit-head" and not head
    given = list(_options_of(record.command, is_repeated=is_repeated))
    names = {name for name, *_ in given}
    own = {} if head or command == "sweep" else _own_settings(record)
    options: Options = [
        *given,
        *(option for option in _options(record) if option[0] not in names),
        *_decision_options(record, has_costs="--costs" in names),
        *([("--no-tune",)] if is_repeated and not record.tuned else []),
        *(("--set", f"{name}={value}") for name, value in {**own, **(settings or {})}.items()),
        *((flag,) for flag in flags if (flag,) not in given),
    ]
    if seed is not None or record.seed:
        options.append(("--seed", str(record.seed if seed is None else seed)))
    excluded = _NOT_OF_CURVE if command == "curve" else set()
    words = [word for option in options if option[0] not in excluded for word in option]
    return shlex.join(["embedonce", command, *(head or record.head).split(), *words, *run.folder_option])


def _options_of(command: str, *, is_repeated: bool) -> Iterator[tuple[str, ...]]:
    """The options of the command that made a run which its record does not have. is_repeated: with the same head."""
    try:
        words = iter(shlex.split(command))
    except ValueError:
        return
    names = _WITH_VALUE | (_OF_FIT_HEAD if is_repeated else set())
    for word in words:
        name, sign, value = word.partition("=")
        if name in names:
            yield name, value if sign else next(words, "")
        elif word in _FLAGS:
            yield (word,)


def _options(record: runs.Record) -> Iterator[tuple[str, ...]]:
    """The options that say on what, and how, a run was fitted, as far as they are not the defaults."""
    stores = record.store.split(" + ") if record.further_recipes else [record.store]
    yield from (("--store", store) for store in stores)
    yield "--corpus", record.corpus
    yield from (("--augmented", copies) for copies in record.copies)
    if record.layer not in (None, -1):
        yield "--layer", str(record.layer)
    if record.unlabeled:
        yield ("--skip-unlabeled",)
    if record.kind == "ordinal":
        yield "--order", csv_row(record.labels)
    if record.scored_level is not None:
        yield "--scored-level", str(record.scored_level)
    if record.validate_on == "split":
        yield "--validate-on", "split"
    elif not record.fold_stores and (record.folds != FOLDS or sum(record.documents.values()) >= MIN_DOCUMENTS):
        yield "--folds", str(record.folds)
    if "test" not in record.documents:
        yield ("--no-test",)


def _decision_options(record: runs.Record, *, has_costs: bool) -> Iterator[tuple[str, ...]]:
    """The options of the decision rule. An objective of costs is left out unless the command names their file."""
    options = DecisionOptions.from_json(record.rule_options)
    default = default_objective(record.target(np.empty((0, len(record.labels)), bool)))
    usual = (default,) if default is not None or record.kind == "ordinal" else ("macro-f1",)
    if options.labels_only:
        yield ("--labels-only",)
    if options.objective in (None, *usual) or (options.objective == "cost" and not has_costs):
        return
    yield "--objective", str(options.objective)
    values = {"--beta": options.beta, "--at": options.at, "--for-label": options.label}
    yield from ((name, str(value)) for name, value in values.items() if value is not None)
    if options.per_label:
        yield ("--per-label",)


def _own_settings(record: runs.Record) -> dict[str, str]:
    """The hyperparameters of a run that are not the head's defaults, by the names that `--set` takes, as texts.

    One that cannot be written as a text is left out, as is a head of another package that is not installed.
    """
    try:
        head = with_explicit_defaults(from_json({"nested": record.hyperparameters}, head_class(record.head)))
    except (EmbedOnceError, KeyError, TypeError, ValueError):
        return {}
    items, values = hyperparameters_in(head), head.get_params()
    inner = {item.name: type(values[item.name])() for item in items if item.by_name and values[item.name] is not None}
    defaults = with_explicit_defaults(type(head)().set_params(**inner)).get_params()
    names = shown_names(head)
    settings = {names[name]: type(value).name for name, value in inner.items()}
    for item in items:
        value = values[item.name]
        if item.by_name is not None or item.short_name in _DERIVED or value == defaults[item.name]:
            continue
        if (text := item.format(value)) is not None:
            settings[names[item.name]] = text
    return settings
