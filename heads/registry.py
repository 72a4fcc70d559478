"""Heads by name: ours, listed once, and those that other packages join through the entry point `embedonce.heads`.

    [project.entry-points."embedonce.heads"]
    nearest = "my_package.nearest:NearestHead"

A head's module is imported when the head is asked for, because torch, scikit-learn and LightGBM load with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from data.errors import CallError, UnknownName, suggest_name
from heads.core.hyperparameters import Hyperparameter, hyperparameters_of

if TYPE_CHECKING:
    from heads.core.head import Head

__all__ = ["HEADS", "OURS", "STACKING_HEADS", "Description", "describe", "full_name", "head_class", "make_head"]

OURS = {
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
}

# they read no features but the scores of other runs, so that `all` and whoever fits on features leave them out
STACKING_HEADS = {"stack": "heads.classifiers.stacking:StackingHead"}


def _joined(ours: Mapping[str, str]) -> dict[str, str]:
    """Ours, then those of other packages by name; a name of ours cannot be taken."""
    others = {point.name: point.value for point in entry_points(group="embedonce.heads")}
    return {**ours, **{name: others[name] for name in sorted(others) if name not in ours}}


HEADS: Mapping[str, str] = _joined(OURS)


@dataclass(frozen=True)
class Description:
    """A head as `embedonce heads` prints it: the first line of its docstring, its parameters, what it reads."""

    name: str
    summary: str
    parameters: tuple[Hyperparameter, ...]
    reads: tuple[str, ...]


def head_class(name: str) -> "type[Head]":
    """The class of a head. Raises UnknownName, or CallError for one of another package that cannot be imported."""
    known = {**HEADS, **STACKING_HEADS}
    if name not in known:
        raise UnknownName(f"There is no head '{name}'.{suggest_name(name, known)}")
    module, _, attribute = known[name].partition(":")
    try:
        found: type[Head] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CallError(
            f"The head {name} ({known[name]}) cannot be loaded: {error}. Repair or remove its package."
        ) from error
    return found


def make_head(name: str, settings: Mapping[str, str]) -> "Head":
    """An unfitted head of that name, its parameters read from strings as `--set key=value` gives them.

    A nested parameter may go by its last part: lr for training__lr.

    Raises UnknownName for a head, parameter or choice that does not exist, CallError for a value of another type, out
    of range, or given twice.
    """
    cls = head_class(name)
    known = {parameter.name: parameter for parameter in hyperparameters_of(cls)}
    values: dict[str, object] = {}
    for asked, text in settings.items():
        full = _full_name(asked, known, name)
        if full in values:
            raise CallError(f"{full} is set twice. Leave one out.")
        values[full] = known[full].parse(text)
    own = {parameter.name: parameter for parameter in hyperparameters_of(cls, deep=False)}
    nested = {full.partition("__")[0] for full in values if full not in own}
    head = cls(**{key: own[key].nested() for key in nested})  # type: ignore[misc]  # only names of nested parameters
    return head.set_params(**values)  # type: ignore[no-any-return]  # scikit-learn has no types


def full_name(head: str, asked: str) -> str:
    """The parameter that `asked` is: lr -> training__lr. Raises as `make_head` does."""
    return _full_name(asked, {parameter.name: parameter for parameter in hyperparameters_of(head_class(head))}, head)


def describe(name: str) -> Description:
    """What the command line says about a head. Raises as `head_class` does."""
    cls = head_class(name)
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    return Description(name, summary, tuple(hyperparameters_of(cls)), cls().reads)


def _full_name(asked: str, known: Mapping[str, Hyperparameter], head: str) -> str:
    if asked in known:
        return asked
    found = [full for full in known if full.endswith(f"__{asked}")]
    if len(found) > 1:
        raise CallError(f"{asked} could be {' or '.join(found)}. Write the one that is meant.")
    if not found:
        last_parts = {full.rpartition("__")[2] for full in known}
        raise UnknownName(f"{head} has no parameter '{asked}'.{suggest_name(asked, last_parts)}")
    return found[0]
