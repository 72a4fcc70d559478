"""Heads by name: those of embedonce, and those of other packages, through the entry point `embedonce.heads`.

    [project.entry-points."embedonce.heads"]
    nearest = "my_package.nearest:NearestHead"

A head's module is imported when the head is requested, because it imports torch, scikit-learn or LightGBM.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from data.errors import CallError, UnknownName, suggest_name
from heads.core.hyperparameters import Hyperparameter, hyperparameters_in, hyperparameters_of

if TYPE_CHECKING:
    from heads.core.head import Head

__all__ = [
    "BUILT_IN_HEADS",
    "HEADS",
    "LOADED_HEADS",
    "STACKING_HEADS",
    "Description",
    "describe",
    "full_name",
    "head_class",
    "make_head",
    "short_names",
    "shown_names",
]

BUILT_IN_HEADS = {
    "linear": "heads.classifiers.linear:LinearHead",
    "tfidf": "heads.classifiers.tfidf:TfIdfHead",
    "fused": "heads.classifiers.fused:FusedHead",
    "knn": "heads.classifiers.knn:KNNHead",
    "prototype": "heads.classifiers.prototype:PrototypeHead",
    "mlp": "heads.classifiers.mlp:MLPHead",
    "gated": "heads.classifiers.gated:GatedHead",
    "mil": "heads.classifiers.mil:MILHead",
    "attention": "heads.classifiers.attention:AttentionHead",
    "lstm": "heads.classifiers.lstm:LSTMHead",
    "gru": "heads.classifiers.gru:GRUHead",
    "transformer": "heads.classifiers.transformer:TransformerHead",
    "layermix": "heads.classifiers.layermix:LayerMixHead",
    "lightgbm": "heads.classifiers.lightgbm:LightGBMHead",
    "cascade": "heads.classifiers.cascade:CascadeHead",
    "supcon": "heads.classifiers.supcon:SupConHead",
    "hierarchical": "heads.classifiers.hierarchical:HierarchicalHead",
}

# these read the scores of other runs instead of features, so `all` does not include them
STACKING_HEADS = {"stack": "heads.classifiers.stacking:StackingHead"}

# a run may have these heads, but `fit-head` cannot fit them
LOADED_HEADS = {"finetuned": "heads.classifiers.finetuned:FinetunedHead"}


def _with_entry_points(built_in: Mapping[str, str]) -> dict[str, str]:
    """The built-in heads, then those of other packages, sorted by name; these cannot replace a built-in head."""
    others = {point.name: point.value for point in entry_points(group="embedonce.heads")}
    return {**built_in, **{name: others[name] for name in sorted(others) if name not in built_in}}


HEADS: Mapping[str, str] = _with_entry_points(BUILT_IN_HEADS)


@dataclass(frozen=True)
class Description:
    """A head as `embedonce heads` prints it.

    summary: the first line of its docstring. reads: the views that it reads by default.
    """

    name: str
    summary: str
    hyperparameters: tuple[Hyperparameter, ...]
    reads: tuple[str, ...]


def head_class(name: str) -> "type[Head]":
    """The class of a head. Raises UnknownName, or CallError if its package cannot be imported."""
    known = {**HEADS, **STACKING_HEADS, **LOADED_HEADS}
    if name not in known:
        raise UnknownName(f"There is no head '{name}'.{suggest_name(name, {**HEADS, **STACKING_HEADS})}")
    module, _, attribute = known[name].partition(":")
    try:
        cls: type[Head] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CallError(
            f"The head {name} ({known[name]}) cannot be loaded: {error}. Repair or remove its package."
        ) from error
    return cls


def make_head(name: str, hyperparameters: Mapping[str, object]) -> "Head":
    """An unfitted head. String values are parsed, as `--set key=value` gives them; others are taken as they are.

    Args:
        name: of the head.
        hyperparameters: name -> value. A nested one may have its short name: lr for training__optimization__lr.

    Raises:
        UnknownName: for a head, hyperparameter or choice that does not exist.
        CallError: for a value that has another type, is out of range, or is set twice.
    """
    head = _with_inner_heads(name, hyperparameters)
    known = {item.name: item for item in hyperparameters_in(head)}
    values: dict[str, object] = {}
    for short, value in hyperparameters.items():
        full = _full_name(short, known, name)
        if full in values:
            raise CallError(f"{full} is set twice. Leave one out.")
        values[full] = replace(known[full], name=short).parse(value) if isinstance(value, str) else value
    return head.set_params(**values)


def short_names(name: str, hyperparameters: Mapping[str, object]) -> set[str]:
    """The short names that `make_head` knows for a head: also those of a head in it, which `hyperparameters` names."""
    return {item.short_name for item in hyperparameters_in(_with_inner_heads(name, hyperparameters))}


def _with_inner_heads(name: str, hyperparameters: Mapping[str, object]) -> "Head":
    """The unfitted head with those hyperparameters that are heads themselves."""
    cls = head_class(name)
    inner = {item.name: item for item in hyperparameters_of(cls, deep=False) if item.by_name is not None}
    given = {name: hyperparameters[name] for name in inner if name in hyperparameters}
    return cls().set_params(
        **{name: inner[name].parse(value) if isinstance(value, str) else value for name, value in given.items()}
    )


def full_name(head: "Head", name: str) -> str:
    """The full name of a hyperparameter: lr -> training__optimization__lr. Raises as `make_head` does."""
    return _full_name(name, {item.name: item for item in hyperparameters_in(head)}, head.name)


def shown_names(head: "Head") -> dict[str, str]:
    """The shortest name by which `make_head` knows each hyperparameter of a head: lr for training__optimization__lr."""
    known = {item.name: item for item in hyperparameters_in(head)}
    count = Counter(item.short_name for item in known.values())
    return {name: item.short_name if count[item.short_name] == 1 else name for name, item in known.items()}


def describe(name: str) -> Description:
    """The description of a head. Raises as `head_class` does."""
    cls = head_class(name)
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    return Description(name, summary, tuple(hyperparameters_of(cls)), cls().reads)


def _full_name(name: str, known: Mapping[str, Hyperparameter], head: str) -> str:
    if name in known:
        return name
    matches = [full for full in known if full.endswith(f"__{name}")]
    if len(matches) > 1:
        raise CallError(f"{name} is ambiguous. Write {' or '.join(matches)}.")
    if not matches:
        short_names = {item.short_name for item in known.values()}
        raise UnknownName(f"{head} has no hyperparameter '{name}'.{suggest_name(name, short_names)}")
    return matches[0]
