"""The reference page of the Python interface, written from its signatures and docstrings."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import embedonce


def python_page() -> str:
    """docs/reference/python.md: every public function and class of the package `embedonce`."""
    parts = ["# Python\n\nWritten by `make docs` from the docstrings of the package `embedonce`.\n"]
    parts.append(_code(embedonce.__doc__ or ""))
    for name in embedonce.__all__:
        entry = getattr(embedonce, name)
        parts.append(f"## {name}\n")
        parts.extend(_class(name, entry) if inspect.isclass(entry) else _function(name, entry))
    return "\n".join(parts)


def _function(name: str, function: Any) -> Iterator[str]:
    yield _code(f"{name}{_signature(function)}")
    yield _code(inspect.getdoc(function) or "")


def _class(name: str, entry: type) -> Iterator[str]:
    yield _code(inspect.getdoc(entry) or "")
    for attribute, member in vars(entry).items():
        if attribute.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"**{name}.{attribute}** {inspect.getdoc(member)}\n"
        elif inspect.isfunction(member):
            yield f"### {name}.{attribute}\n"
            yield from _function(attribute, member)


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    written = [
        re.sub(r": '([^']*)'", r": \1", str(parameter)).replace("collections.abc.", "")
        for parameter in _with_star(parameters)
    ]
    inside = ", ".join(written) if len(written) < 4 else "\n    " + ",\n    ".join(written) + "\n"
    return f"({inside}) -> {_type_name(signature.return_annotation)}"


def _with_star(parameters: list[inspect.Parameter]) -> Iterator[Any]:
    """The parameters, with the star that makes the following ones keyword-only."""
    has_star = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            has_star = True
            yield "*"
        yield parameter


def _type_name(annotation: Any) -> str:
    return annotation.strip("'\"") if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _code(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"
