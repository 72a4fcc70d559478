"""Hyperparameters, declared as fields of a dataclass and read from there.

    @dataclass(eq=False, repr=False, kw_only=True)
    class MLPHead(NetworkHead):
        pooling: Annotated[Literal["mean", "sum"], Help("pooling over the chunks"), Search()] = "mean"      a choice
        dropout: Annotated[float, Range(0, below=1), Help("dropout rate")] = 0.2      a number, 0 <= dropout < 1

The annotations are used to check values in `fit`, to parse `--set dropout=0.1`, to print `embedonce heads`, to sample
the search space of `embedonce sweep`, and to read a saved head's JSON. A field whose type has hyperparameters itself,
such as `training: Training | None = None`, is nested: `training__optimization__lr`. The class of a nested object comes
from the annotation, never from a file; or from a name, if the annotation says by `ByName` where classes are found.
"""

import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from data.errors import CallError, EmbedOnceError, UnknownName, suggest_name

__all__ = [
    "ByName",
    "Help",
    "Hyperparameter",
    "NestedHyperparameters",
    "Range",
    "Search",
    "check_hyperparameters",
    "from_json",
    "hyperparameters_in",
    "hyperparameters_of",
    "to_json",
    "with_explicit_defaults",
]

NONE = ("none", "null")  # how None is written on the command line


@dataclass(frozen=True)
class Help:
    """What a hyperparameter does, in one sentence without its name, as command line and docs show it."""

    text: str


@dataclass(frozen=True)
class Range:
    """low <= value <= high, above < value < below; None is no limit."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        limits = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(
            f"{word} {limit if isinstance(limit, int) else f'{limit:g}'}"
            for word, limit in limits.items()
            if limit is not None
        )


@dataclass(frozen=True)
class Search:
    """What a sweep tries: numbers from low to high, by their logarithm where `log`; or `choices`.

    `Search()` is every choice of a Literal, and both of a bool.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def __contains__(self, value: Any) -> bool:
        if self.low is None or self.high is None:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class ByName:
    """Declares an object with hyperparameters of its own, or None, whose class is chosen by name: a head in a head.

    find: the class of a name, which is the class's attribute `name`. word: what the names are of.
    """

    find: Callable[[str], type]
    word: str


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter: its name ("dropout", or "training__optimization__lr"), annotation and default value."""

    name: str
    annotation: Any
    default: Any

    @property
    def nested(self) -> type | None:
        """The class of a nested object (`Training | None`), else None."""
        return next((kind for kind in _alternatives(self.annotation) if hasattr(kind, "get_params")), None)

    @property
    def by_name(self) -> ByName | None:
        """Where the class of its object is found."""
        return next((extra for extra in _extras(self.annotation) if isinstance(extra, ByName)), None)

    def class_of(self, content: Any) -> type | None:
        """The class of the object that `to_json` wrote as `content`, by its declaration or its name."""
        if self.by_name is not None and isinstance(content, dict) and "name" in content:
            return self.by_name.find(content["name"])
        return self.nested

    @property
    def short_name(self) -> str:
        """The last part of the name: "lr" of "training__optimization__lr"."""
        return self.name.rpartition("__")[2]

    @property
    def help(self) -> str:
        """What the hyperparameter does; empty if its declaration has no `Help`."""
        return next((extra.text for extra in _extras(self.annotation) if isinstance(extra, Help)), "")

    @property
    def range(self) -> Range | None:
        """The range that a number is held to."""
        return next((extra for extra in _extras(self.annotation) if isinstance(extra, Range)), None)

    @property
    def search(self) -> Search | None:
        """What a sweep tries of it, its choices filled in; None for a parameter that no sweep touches."""
        found = next((extra for extra in _extras(self.annotation) if isinstance(extra, Search)), None)
        if found is None or found.low is not None or found.choices:
            return found
        kinds = _alternatives(self.annotation)
        return replace(found, choices=(False, True) if bool in kinds else tuple(chain(*map(_choices, kinds))))

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return int in _alternatives(self.annotation)

    @property
    def shown_default(self) -> str:
        """The default as `--set` takes it: "none" for None."""
        return self.format(self.default) or str(self.default)

    @property
    def allowed(self) -> str:
        """What values it takes, in words: "a whole number, at least 1"."""
        if self.by_name is not None:
            return f"the name of {self.by_name.word}, or none"
        kinds = " or ".join(map(_word, _alternatives(self.annotation)))
        return f"{kinds}, {self.range}" if self.range is not None else kinds

    def check(self, value: Any) -> None:
        """Raise UnknownName for a value that is no choice, CallError for one out of range or of another type."""
        if self.by_name is not None and value is not None and not _has_hyperparameters(value):
            raise CallError(f"{self.name} is {value!r}; it must be {self.by_name.word}, or none.")
        kinds = _alternatives(self.annotation)
        if not any(_is(value, kind) for kind in kinds):
            choices = [str(choice) for kind in kinds for choice in _choices(kind)]
            if choices and isinstance(value, str) and float not in kinds:
                raise UnknownName(f"{self.name} is '{value}'.{suggest_name(value, choices)}")
            raise CallError(f"{self.name} is {value!r}; it must be {' or '.join(map(_word, kinds))}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise CallError(f"{self.name} is {value}; it must be {self.allowed}, and finite.")
        if self.range is not None and isinstance(value, int | float) and value not in self.range:
            raise CallError(f"{self.name} is {value}; it must be {self.range}.")

    def parse(self, text: str) -> Any:
        """The value that `text` is, by the declared type. Raises as `check` does."""
        if self.by_name is not None:
            return None if text.lower() in NONE else self.by_name.find(text)()
        kinds = _alternatives(self.annotation)
        for kind in sorted(kinds, key=_strictness):
            try:
                value = _parse(text, kind)
            except ValueError:
                continue
            self.check(value)
            return value
        self.check(text)
        return text

    def format(self, value: Any) -> str | None:
        """The text that `parse` reads as a value; None if there is none, as for a mapping."""
        if self.by_name is not None:
            return NONE[0] if value is None else getattr(type(value), "name", None)
        items = value if isinstance(value, tuple | list) else [value]
        words = {None: NONE[0], True: "true", False: "false"}
        text = ",".join(words[item] if item is None or isinstance(item, bool) else str(item) for item in items)
        try:
            return text if self.parse(text) == value else None
        except EmbedOnceError:
            return None


def hyperparameters_of(cls: type, prefix: str = "", *, deep: bool = True) -> list[Hyperparameter]:
    """The hyperparameters of a class: its own first, then those of its base classes.

    Args:
        cls: a class whose constructor arguments are its hyperparameters.
        prefix: put before each name.
        deep: replace a nested object by its hyperparameters, as `training__optimization__lr`.
    """
    arguments = inspect.signature(cls, eval_str=True).parameters.values()
    found = [Hyperparameter(prefix + item.name, item.annotation, item.default) for item in arguments]
    found.sort(key=lambda item: _declaring_class(cls, item.name.removeprefix(prefix)))
    return list(_opened(found)) if deep else found


def hyperparameters_in(estimator: Any) -> list[Hyperparameter]:
    """The hyperparameters that an estimator uses: those of its class, and those of objects in it of a class by name.

    An estimator with an attribute `unused_hyperparameters`, a set of names, does not use these.
    """
    found = hyperparameters_of(type(estimator))
    for item in list(found):
        if item.by_name is not None and _has_hyperparameters(getattr(estimator, item.name)):
            inner = hyperparameters_in(getattr(estimator, item.name))
            found += [replace(each, name=f"{item.name}__{each.name}") for each in inner]
    unused: frozenset[str] = getattr(estimator, "unused_hyperparameters", frozenset())
    return [item for item in found if item.name not in unused]


def _declaring_class(cls: type, name: str) -> int:
    """The position, among the bases of `cls`, of the most general class that annotates `name`; 0 if none does."""
    return max((at for at, base in enumerate(cls.__mro__) if name in vars(base).get("__annotations__", {})), default=0)


class NestedHyperparameters:
    """Mixin for scikit-learn estimators: `set_params(training__optimization__lr=0.1)` works if `training` is None.

    The nested object is then created with its defaults before its hyperparameter is set.
    """

    def set_params(self, **params: Any) -> Self:
        """Set hyperparameters, as in scikit-learn. Raises ValueError for a name that does not exist."""
        nested = {name.partition("__")[0] for name in params if "__" in name}
        for item in hyperparameters_of(type(self), deep=False):
            if item.name in nested and item.nested is not None and getattr(self, item.name) is None:
                setattr(self, item.name, params.pop(item.name, None) or item.nested())
        super().set_params(**params)  # type: ignore[misc]  # of BaseEstimator, which scikit-learn does not type
        return self


def check_hyperparameters(estimator: Any) -> None:
    """Hold each parameter of an estimator against its declaration, nested ones too.

    Raises UnknownName for a value that is no choice, CallError for one out of range or of another type.
    """
    for parameter in hyperparameters_of(type(estimator), deep=False):
        value = getattr(estimator, parameter.name)
        is_nested = parameter.nested is not None and isinstance(value, parameter.nested)
        if is_nested or (parameter.by_name is not None and _has_hyperparameters(value)):
            check_hyperparameters(value)
        else:
            parameter.check(value)


def with_explicit_defaults(estimator: Any) -> Any:
    """An unfitted copy in which nested objects that are None are replaced by their defaults, at every depth."""
    from sklearn.base import clone

    copy = clone(estimator)
    for item in hyperparameters_of(type(copy), deep=False):
        value = getattr(copy, item.name)
        if item.by_name is not None and value is not None:
            setattr(copy, item.name, with_explicit_defaults(value))
        if item.nested is not None:
            setattr(copy, item.name, with_explicit_defaults(item.nested() if value is None else value))
    return copy


def to_json(value: Any) -> Any:
    """A hyperparameter's value as JSON; mappings keep keys that are not strings, tuples stay tuples."""
    if hasattr(value, "get_params"):
        nested = {name: to_json(item) for name, item in value.get_params(deep=False).items()}
        name = getattr(type(value), "name", None)
        return {"name": name, "nested": nested} if isinstance(name, str) else {"nested": nested}
    if isinstance(value, Mapping):
        return {"mapping": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [to_json(item) for item in value]}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def from_json(value: Any, nested: type | None = None) -> Any:
    """The value that `to_json` wrote; an object of class `nested` where one was."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "mapping" in value:
        return {from_json(key): from_json(item) for key, item in value["mapping"]}
    if "tuple" in value:
        return tuple(from_json(item) for item in value["tuple"])
    if nested is None:
        raise ValueError("a nested object where none is declared")
    inner = {item.name: item for item in hyperparameters_of(nested, deep=False)}
    return nested(**{name: from_json(item, inner[name].class_of(item)) for name, item in value["nested"].items()})


def _has_hyperparameters(value: Any) -> bool:
    return hasattr(value, "get_params") and not isinstance(value, type)


def _opened(parameters: list[Hyperparameter]) -> Iterator[Hyperparameter]:
    for parameter in parameters:
        if parameter.nested is None:
            yield parameter
        else:
            yield from hyperparameters_of(parameter.nested, f"{parameter.name}__")


def _extras(annotation: Any) -> list[Any]:
    """What Annotated adds to a type, or to a member of a union."""
    members = [annotation, *get_args(annotation)]
    return [extra for member in members if get_origin(member) is Annotated for extra in get_args(member)[1:]]


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, bare: int | None -> [int, NoneType]; Annotated[int, Range(0)] -> [int]."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _alternatives(member)]
    return [annotation]


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is tuple:
        return _choices(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) is Literal else ()


def _is(value: Any, kind: Any) -> bool:
    if kind is Any or kind is inspect.Parameter.empty:
        return True
    if get_origin(kind) is Literal:
        # isinstance, because an unhashable or array value must not be compared
        return isinstance(value, str | int) and value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple | list) and all(_is(item, get_args(kind)[0]) for item in value)
    if kind in (int, float):
        import numpy as np

        numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, get_origin(kind) or kind)


def _strictness(kind: Any) -> int:
    """Where a union is read from a string: choices before None, bool, int, float, then str."""
    order = [Literal, types.NoneType, bool, int, float, tuple, str]
    kind = get_origin(kind) or kind
    return order.index(kind) if kind in order else len(order)


def _parse(text: str, kind: Any) -> Any:
    """Raises ValueError where `text` is not of that kind."""
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        return choices[text] if text in choices else _no(text)
    if get_origin(kind) is tuple:
        return tuple(_parse(item.strip(), get_args(kind)[0]) for item in text.split(","))
    if kind is types.NoneType:
        return None if text.lower() in NONE else _no(text)
    if kind is bool:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return words[text.lower()] if text.lower() in words else _no(text)
    return kind(text) if kind in (int, float, str) else _no(text)


def _no(text: str) -> Any:
    raise ValueError(text)


def _word(kind: Any) -> str:
    if _choices(kind):
        return "one of " * (len(_choices(kind)) > 1) + ", ".join(map(str, _choices(kind)))
    if get_origin(kind) is tuple:
        return f"{_word(get_args(kind)[0])}, or several between commas"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", types.NoneType: "none"}
    return words.get(kind) or ("a mapping" if (get_origin(kind) or kind) is Mapping else str(kind))
