"""Parameters: declared, checked, read from strings, kept as JSON."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone

from data.errors import CallError, UnknownName
from heads.classifiers.mlp import MLPHead
from heads.core.hyperparameters import (
    Help,
    Hyperparameter,
    NestedHyperparameters,
    Range,
    Search,
    check_hyperparameters,
    from_json,
    hyperparameters_of,
    to_json,
    with_explicit_defaults,
)
from heads.testing import training_of
from heads.training.config import Training


@dataclass(eq=False, repr=False, kw_only=True)
class Inner(BaseEstimator):
    lr: Annotated[float, Range(above=0), Help("learning rate")] = 1e-3
    batch: Annotated[int, Range(1)] = 32


@dataclass(eq=False, repr=False, kw_only=True)
class Outer(NestedHyperparameters, BaseEstimator):
    pooling: Literal["mean", "sum"] = "mean"
    dropout: Annotated[float, Range(0, below=1)] = 0.2
    layers: Annotated[int | None, Range(1)] = None
    views: tuple[Literal["cls", "mean"], ...] | None = None
    weight: Literal["none", "balanced"] | Mapping[Any, float] = "none"
    whole: bool = False
    name: str | None = None
    training: Inner | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class Derived(Outer):
    width: Annotated[int, Range(1), Help("units")] = 8
    dropout: Annotated[float, Range(0, below=1)] = 0.5


def of(name: str) -> Hyperparameter:
    return next(parameter for parameter in hyperparameters_of(Outer) if parameter.name == name)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pooling", "sum", "sum"),
        ("dropout", "0", 0.0),
        ("dropout", "5e-1", 0.5),
        ("layers", "3", 3),
        ("layers", "none", None),
        ("views", "cls, mean", ("cls", "mean")),
        ("views", "None", None),
        ("weight", "none", "none"),
        ("whole", "true", True),
        ("whole", "off", False),
        ("name", "12", "12"),
        ("name", "none", None),
        ("training__lr", "1e-4", 1e-4),
        ("training__batch", "8", 8),
    ],
)
def test_a_string_is_read_by_the_declared_type(name: str, text: str, value: object) -> None:
    found = of(name).parse(text)
    assert (found, type(found)) == (value, type(value))


def test_a_default_is_shown_as_a_string_that_is_read_as_it() -> None:
    assert [of(name).shown_default for name in ("layers", "dropout", "pooling")] == ["none", "0.2", "mean"]


@pytest.mark.parametrize(
    ("name", "text", "error", "sentence"),
    [
        ("pooling", "men", UnknownName, "pooling is 'men'. Did you mean 'mean'?"),
        ("views", "cls,men", UnknownName, "views is 'cls,men'."),
        ("dropout", "1", CallError, "dropout is 1.0; it must be at least 0 and below 1."),
        ("dropout", "nan", CallError, "dropout is nan; it must be a number, at least 0 and below 1, and finite."),
        ("dropout", "much", CallError, "dropout is 'much'; it must be a number."),
        ("layers", "1.5", CallError, "layers is '1.5'; it must be a whole number or none."),
        ("layers", "0", CallError, "layers is 0; it must be at least 1."),
        ("whole", "maybe", CallError, "whole is 'maybe'; it must be true or false."),
        ("training__lr", "0", CallError, "training__lr is 0.0; it must be above 0."),
    ],
)
def test_a_string_of_another_kind_is_refused(name: str, text: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        of(name).parse(text)


def test_nested_parameters_stand_where_their_object_does() -> None:
    names = [parameter.name for parameter in hyperparameters_of(Outer)]
    assert names[-2:] == ["training__lr", "training__batch"]
    assert [parameter.name for parameter in hyperparameters_of(Outer, deep=False)][-1] == "training"


@pytest.mark.parametrize(
    "wrong",
    [
        {"pooling": "max"},
        {"dropout": 1},
        {"layers": True},
        {"layers": 0},
        {"views": ("max",)},
        {"views": "cls"},
        {"training": "fast"},
        {"training": Inner(lr=-1.0)},
        {"weight": [1.0]},
    ],
)
def test_values_given_in_python_are_held_to_the_same(wrong: dict[str, Any]) -> None:
    check_hyperparameters(Outer())
    with pytest.raises(CallError):
        check_hyperparameters(Outer(**wrong))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values)
def test_any_value_survives_json(value: Any) -> None:
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_a_nested_object_survives_json_by_the_declared_class() -> None:
    written = json.loads(json.dumps(to_json(Outer(training=Inner(lr=0.5)))))
    found = from_json(written, Outer)
    assert isinstance(found.training, Inner)
    assert found.get_params()["training__lr"] == 0.5


def test_an_object_that_no_declaration_names_is_not_made() -> None:
    with pytest.raises(ValueError, match="none is declared"):
        from_json({"nested": {"lr": 1}})


def test_what_a_sweep_tries_is_declared_beside_the_parameter() -> None:
    number = Hyperparameter("hidden", Annotated[int, Range(0), Search(64, 1024, log=True)], 256)
    assert number.whole and number.range == Range(0) and str(number.search) == "64 to 1024 (log)"
    assert number.search is not None and 64 in number.search and 63 not in number.search
    assert Hyperparameter("epochs", Annotated[int, Range(1)], 12).search is None


@pytest.mark.parametrize(
    ("annotation", "choices"),
    [
        (Annotated[Literal["mean", "sum"], Search()], ("mean", "sum")),
        (Annotated[bool, Search()], (False, True)),
        (Annotated[Literal["balanced", "none"] | Mapping[str, float], Search()], ("balanced", "none")),
        (Annotated[float, Range(above=0), Search(choices=(None, 0.1))] | None, (None, 0.1)),
    ],
)
def test_without_limits_a_sweep_tries_every_choice(annotation: Any, choices: tuple[Any, ...]) -> None:
    search = Hyperparameter("way", annotation, choices[0]).search
    assert search is not None and search.choices == choices and all(each in search for each in choices)
    assert "other" not in search


def test_a_training_survives_json() -> None:
    training = training_of(lr=0.5, order=("low", "high"))
    read = from_json(json.loads(json.dumps(to_json(training))), Training)
    assert repr(read) == repr(training)
    assert read.get_params()["imbalance__order"] == ("low", "high")


def test_a_nested_object_that_is_none_is_created_when_its_hyperparameter_is_set() -> None:
    outer = Outer().set_params(training__lr=0.5)
    assert isinstance(outer.training, Inner)
    assert (outer.training.lr, outer.training.batch) == (0.5, 32)
    assert clone(outer).get_params()["training__lr"] == 0.5
    assert Outer().training is None
    deep = MLPHead().set_params(training__optimization__lr=0.5, training__stopping__patience=9)
    assert deep.get_params()["training__optimization__lr"] == 0.5
    assert deep.get_params()["training__imbalance"] is None


def test_defaults_of_nested_objects_are_made_explicit_at_every_depth() -> None:
    head = with_explicit_defaults(MLPHead(training=training_of(lr=0.5)))
    assert head.get_params()["training__optimization__lr"] == 0.5
    assert head.get_params()["training__stopping__patience"] == 4


def test_own_hyperparameters_come_before_inherited_ones() -> None:
    names = [item.name for item in hyperparameters_of(Derived)]
    assert names[0] == "width" and names[1] == "pooling"
    assert {item.name: item.default for item in hyperparameters_of(Derived)}["dropout"] == 0.5


def test_the_help_text_is_that_of_the_declaration() -> None:
    assert hyperparameters_of(Derived)[0].help == "units"
    assert of("pooling").help == ""
    assert of("training__lr").help == "learning rate" and of("training__lr").short_name == "lr"


def test_a_number_beyond_all_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(CallError, match=r"^dropout is inf; it must be a number, at least 0 and below 1, and finite\.$"):
        check_hyperparameters(Outer(dropout=float("inf")))
