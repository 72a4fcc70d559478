"""Heads as the command line describes them: a name, settings, class weights."""

import json
from collections.abc import Sequence
from pathlib import Path

from data.errors import BadData, CallError, FileMissing
from heads.core.class_weights import WAYS
from heads.core.head import Head
from heads.core.hyperparameters import hyperparameters_of
from heads.registry import HEADS, head_class, make_head

__all__ = ["ALL", "parse_heads"]

ALL = "all"


def parse_heads(
    name: str,
    settings: Sequence[str] = (),
    class_weight: str | None = None,
    first: str | None = None,
    seed: int = 0,
    layers: int = 1,
) -> list[Head]:
    """The unfitted heads that the command line describes: one, or for `all` every one.

    settings: "key=value" each. class_weight: a name that heads know, or a JSON file {label: weight}.
    layers: how many the store keeps; of one, `all` leaves out the heads that weigh several.
    """
    if name == ALL and (settings or first):
        raise CallError("--set, --loss, --sampler, --init and --first are for one head: name it instead of 'all'.")
    heads = [_head_as_asked(each, settings, class_weight, first, seed) for each in (HEADS if name == ALL else [name])]
    return [head for head in heads if name != ALL or layers > 1 or not head.every_layer]


def _head_as_asked(name: str, settings: Sequence[str], class_weight: str | None, first: str | None, seed: int) -> Head:
    pairs = [setting.partition("=") for setting in settings]
    for key, equals, _ in pairs:
        if not equals:
            raise CallError(f"--set {key} has no value: write --set {key}=VALUE.")
        own = {parameter.name.rpartition("__")[2] for parameter in hyperparameters_of(head_class(name))}
        if key in {"loss", "sampler", "init"} - own:
            instead = ", and take --class-weight." if key != "init" else "."
            raise CallError(f"{name} has no --{key} to choose. Leave it out{instead}")
        if key == "seed":
            raise CallError("seed is set by --seed, for the head and its folds alike.")
    names = [key for key, *_ in pairs]
    for key in names:
        if names.count(key) > 1:
            raise CallError(f"{key} is set twice. Leave one out.")
    head = make_head(name, {**{key: value for key, _, value in pairs}, "seed": str(seed)})
    if class_weight is not None:
        head.set_params(class_weight=_weights(class_weight))
    if first is not None:
        if "first" not in head.get_params():
            raise CallError(f"{name} asks no question first: --first is for cascade.")
        head.set_params(first=first)
    return head


def _weights(asked: str) -> str | dict[str, float]:
    if asked in WAYS:
        return asked
    path = Path(asked)
    if not path.is_file():
        raise FileMissing(f"--class-weight is {', '.join(WAYS)} or a JSON file; there is no file '{asked}'.")
    try:
        return {str(label): float(weight) for label, weight in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BadData(f'{path} is not a JSON object of weights, as in {{"earn": 1, "cocoa": 5}}: {error}.') from error
