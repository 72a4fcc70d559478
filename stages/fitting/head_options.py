"""Heads as the command line describes them: a name, hyperparameters, class weights."""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from data.errors import BadData, CallError, FileMissing
from heads.core.class_weights import CLASS_WEIGHTS
from heads.core.head import Head
from heads.registry import HEADS, make_head, short_names

__all__ = ["ALL", "parse_class_weight", "parse_heads"]

ALL = "all"
NETWORK_OPTIONS, LOCAL = {"loss", "sampler", "init"}, "local"  # hyperparameters that have an option of their own


def parse_heads(
    names: Sequence[str],
    settings: Sequence[str] = (),
    class_weight: str | None = None,
    first: str | None = None,
    seed: int = 0,
    layers: int = 1,
) -> list[Head]:
    """Make the unfitted heads that the command line describes.

    Args:
        names: heads; "all" stands for every head that reads features.
        settings: hyperparameters, "key=value" each.
        class_weight: a strategy of heads/core/class_weights.py, or the path of a JSON file {label: weight}.
        first: for cascade, the label that the first classifier separates from all others.
        seed: the seed of every head.
        layers: how many encoder layers the store has; with one, "all" leaves out heads that combine layers.

    Returns:
        The heads, in the order of `names`, each once.

    Raises:
        CallError: for a hyperparameter without a value, set twice, or not of this head; for options with several heads.
        FileMissing: if there is no file of class weights.
        BadData: if that file is not a JSON object of numbers.
    """
    distinct = list(dict.fromkeys(chain.from_iterable(HEADS if name == ALL else [name] for name in names)))
    if len(distinct) > 1 and (settings or first):
        raise CallError("Hyperparameters, as of --set, are for one head: fit it alone.")
    heads = [_parse_head(name, settings, class_weight, first, seed) for name in distinct]
    return [head for head in heads if head.name in names or layers > 1 or not head.every_layer]


def _parse_head(name: str, settings: Sequence[str], class_weight: str | None, first: str | None, seed: int) -> Head:
    head = make_head(name, {**_parse_settings(name, settings), "seed": str(seed)})
    if class_weight is not None:
        head.set_params(class_weight=parse_class_weight(class_weight))
    if first is not None:
        if "first" not in head.get_params():
            raise CallError(f"{name} has no first step: --first is for cascade. Leave it out.")
        head.set_params(first=first)
    return head


def _parse_settings(name: str, settings: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, equals, value in (setting.partition("=") for setting in settings):
        if not equals:
            raise CallError(f"--set {key} has no value: write --set {key}=VALUE.")
        if key == "seed":
            raise CallError("seed is set by --seed, for the head and its folds.")
        if key in values:
            raise CallError(f"{key} is set twice. Leave one out.")
        values[key] = value
    for key in sorted((NETWORK_OPTIONS | {LOCAL}) & values.keys() - short_names(name, values)):
        if key == LOCAL:
            raise CallError(f"{name} has no local classifiers: local is for cascade. Leave it out.")
        instead = "." if key == "init" else ", and use --class-weight."
        raise CallError(f"{name} has no hyperparameter {key}. Leave it out{instead}")
    return values


def parse_class_weight(text: str) -> str | dict[str, float]:
    """The value of --class-weight: a strategy, or the weights in a JSON file. Raises as `parse_heads` does."""
    if text in CLASS_WEIGHTS:
        return text
    path = Path(text)
    if not path.is_file():
        raise FileMissing(
            f"--class-weight is {', '.join(CLASS_WEIGHTS)} or a JSON file, and there is no file '{text}'."
        )
    try:
        return {str(label): float(weight) for label, weight in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BadData(f'{path} is not a JSON object of weights, as in {{"earn": 1, "cocoa": 5}}: {error}.') from error
