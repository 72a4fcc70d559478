"""The values of a run by key, for `--filter`, `--sort` and `--columns`: those of its record, and of its row in JSON.

A value inside another has a key with a dot: hyperparameters.C, documents.train, macro_f1.low. Where that is clear, the
part after the last dot is enough: C.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self

from data.errors import CallError, UnknownName, suggest_name
from heads.evaluation.bootstrap import ConfidenceInterval
from stages.fitting import runs

if TYPE_CHECKING:
    from stages.comparing.table import ComparisonRow

__all__ = ["COST_HEADINGS", "RunFilter", "find_key", "flatten", "format_cell", "record_values", "row_values"]

COST_HEADINGS = {  # of columns in a terminal -> their keys
    "decision": "rule",
    "reads": "inputs",
    "store": "store",
    "parameters": "parameters",
    "fit": "fit_seconds",
    "ms per document": "predict_milliseconds",
}
_INTERNAL = {"diagnostics", "search"}  # of the record: what checks read


@dataclass(frozen=True)
class RunFilter:
    """A condition on a run: that the value of `key` is `value`, in which * stands for any characters."""

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The condition that `key=value` states. Raises CallError for a text without a key or an equals sign."""
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise CallError(f"--filter {text} has no value. Write KEY=VALUE, as in --filter head=linear.")
        return cls(key.strip(), value.strip())

    def matches(self, value: Any) -> bool:
        """Whether a value is the requested one; of a list, whether an item is."""
        if isinstance(value, list | tuple):
            return any(map(self.matches, value))
        if isinstance(value, int | float) and not isinstance(value, bool) and _is_number(self.value):
            return float(self.value) == value
        return fnmatchcase(format_cell(value), self.value.replace("[", "[[]"))


def select_matching(selected: Sequence[runs.Run], filters: Sequence[RunFilter]) -> list[runs.Run]:
    """The runs that match all filters; of several filters with one key, at least one has to match.

    Args:
        selected: the runs.
        filters: conditions on their records.

    Returns:
        At least one run.

    Raises:
        UnknownName: no run has a value of such a key.
        CallError: no run matches.
    """
    values = {run.name: record_values(run) for run in selected}
    known = dict.fromkeys(key for of_run in values.values() for key in of_run)
    by_key: dict[str, list[RunFilter]] = {}
    for condition in filters:
        by_key.setdefault(find_key(condition.key, known), []).append(condition)
    matching = list(selected)
    for key, conditions in by_key.items():
        left = [run for run in matching if any(each.matches(values[run.name].get(key)) for each in conditions)]
        if not left:
            wanted = " or ".join(f"{key}={each.value}" for each in conditions)
            found = sorted({format_cell(values[run.name].get(key)) or "(none)" for run in matching})
            raise CallError(f"No run has {wanted}.{suggest_name(conditions[0].value, found)}")
        matching = left
    return matching


def find_key(name: str, known: Iterable[str]) -> str:
    """The key that a user named: in full, as the table of costs in a terminal heads its column, or by its last part.

    Raises UnknownName, which suggests the nearest one.
    """
    keys = list(known)
    if name in keys:
        return name
    if (key := COST_HEADINGS.get(name)) in keys:
        return key
    inside = [key for key in keys if key.rpartition(".")[2] == name]
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise UnknownName(f"'{name}' is the last part of {len(inside)} keys. Write {' or '.join(inside)}.")
    short = {key.rpartition(".")[2] for key in keys} | {*keys}
    raise UnknownName(f"No run has a value '{name}'.{suggest_name(name, short)}")


def record_values(run: runs.Run) -> dict[str, Any]:
    """What is known of a run before it is compared, by key."""
    values = {
        field.name: getattr(run.record, field.name) for field in fields(run.record) if field.name not in _INTERNAL
    }
    return {"run": run.name, "rule": run.decision.rule.family, **flatten(values)}


def row_values(row: "ComparisonRow", run: runs.Run) -> dict[str, Any]:
    """What is known of a compared run, by key; a value of the row has priority over one of the record."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {**record_values(run), **flatten(values)}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings and dataclasses by their path; of an interval, also its bounds."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        value = _unwrapped(value)
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{key}.")
        elif isinstance(value, ConfidenceInterval):
            flat |= {key: value, f"{key}.low": value.low, f"{key}.high": value.high}
        elif is_dataclass(value) and not isinstance(value, type):
            flat |= flatten({field.name: getattr(value, field.name) for field in fields(value)}, f"{key}.")
        else:
            flat[key] = value
    return flat


def _unwrapped(value: Any) -> Any:
    """A hyperparameter without what `heads.core.hyperparameters.to_json` puts around objects and tuples."""
    if isinstance(value, Mapping) and "nested" in value:
        return value["nested"]
    return value["tuple"] if isinstance(value, Mapping) and set(value) == {"tuple"} else value


def format_cell(value: Any) -> str:
    """A value as text, with all its digits; "" for one that a run does not have."""
    if value is None or value == {}:
        return ""
    if isinstance(value, ConfidenceInterval):
        return format_cell(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(format_cell, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
