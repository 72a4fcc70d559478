"""Arguments of `embedonce` in Python: the spellings that a notebook may use, and those that are refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.errors import CallError
from stages.embed import Options
from stages.embed.encoder.options import parse_keep

__all__ = ["encoding_options", "list_argument"]


def list_argument(name: str, values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    """The values of a list argument; None for None. Raises CallError for a text, whose letters they would be."""
    if isinstance(values, str):
        parts = ", ".join(f'"{part.strip()}"' for part in values.split(","))
        raise CallError(f'{name}="{values}" is one text. Pass a list: {name}=[{parts}].')
    return None if values is None else tuple(values)


def encoding_options(model: str | None, options: Mapping[str, Any]) -> tuple[Options, frozenset[str]]:
    """How documents are to be encoded, and which fields of that the user set; the others follow an existing store.

    Args:
        model: the encoder; None if the user named none.
        options: further fields of `Options`. keep may be a text, as in "cls,segments:32"; layers a number or several.

    Raises:
        CallError: a field has no valid value, or the tokens per segment are given twice.
    """
    given = dict(options) if model is None else {"model": model, **options}
    keep, layers = given.get("keep"), given.get("layers", "")
    if isinstance(keep, str):
        given["keep"], segment = parse_keep(keep)
        if ":" in keep and given.setdefault("segment", segment) != segment:
            raise CallError(f'keep="{keep}" and segment={given["segment"]} differ. Leave out one of the lengths.')
    if not isinstance(layers, str):
        several = layers if isinstance(layers, Sequence) else [layers]
        given["layers"] = ",".join(map(str, several))
    return Options(**given), frozenset(given)
