"""Heads by name."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from data.errors import CallError, UnknownName
from heads import registry
from heads.classifiers.linear import LinearHead
from heads.registry import HEADS, describe, head_class, make_head

FULL_NAME = "training__optimization__lr"


@pytest.mark.parametrize("name", HEADS)
def test_every_listed_head_is_made_and_described(name: str) -> None:
    head, description = make_head(name, {"seed": "7"}), describe(name)
    assert (head.name, head.seed) == (name, 7)
    assert description.summary.endswith((".", ":"))
    assert description.reads == head.reads
    assert {"class_weight", "seed"} <= {parameter.name for parameter in description.hyperparameters}
    assert head.get_params().keys() >= {parameter.name.partition("__")[0] for parameter in description.hyperparameters}


def test_settings_are_read_by_type_and_leave_other_defaults() -> None:
    head = make_head("linear", {"C": "2", "pooling": "cls,mean", "class_weight": "none"})
    assert repr(head) == repr(LinearHead(C=2.0, pooling=("cls", "mean"), class_weight="none"))


@pytest.mark.parametrize("asked", ["lr", "training__optimization__lr"])
def test_a_nested_parameter_goes_by_its_last_part(asked: str) -> None:
    assert make_head("lstm", {asked: "0.5"}).get_params()["training__optimization__lr"] == 0.5


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"local": "lstm", "hidden": "8"}, "local__hidden", 8),
        ({"lr": "0.5", "local": "lstm"}, "local__training__optimization__lr", 0.5),
        ({"local": "linear", "C": "3"}, "local__C", 3),
        ({"local": "linear", "local__C": "3"}, "local__C", 3),
        ({"local": "linear", "class_weight": "none"}, "class_weight", "none"),
        ({"local": "none", "C": "3"}, "C", 3),
    ],
)
def test_settings_reach_a_head_in_a_head(settings: dict[str, str], name: str, value: object) -> None:
    assert make_head("cascade", settings).get_params()[name] == value


@pytest.mark.parametrize(
    ("name", "settings", "error", "sentence"),
    [
        ("cascade", {"local": "lsmt"}, UnknownName, "There is no head 'lsmt'. Did you mean 'lstm'?"),
        ("cascade", {"local": "stack"}, CallError, "stack cannot be a local classifier. Choose a head that reads one"),
        ("cascade", {"local": "layermix"}, CallError, "layermix cannot be a local classifier."),
        ("cascade", {"local__C": "3"}, UnknownName, "cascade has no hyperparameter 'local__C'."),
        ("cascade", {"local": "linear", "local__class_weight": "none"}, UnknownName, "no hyperparameter 'local__class"),
        ("linaer", {}, UnknownName, "There is no head 'linaer'. Did you mean 'linear'?"),
        ("linear", {"max_itre": "3"}, UnknownName, "linear has no hyperparameter 'max_itre'. Did you mean 'max_iter'?"),
        ("linear", {"C": "-1"}, CallError, "C is -1.0; it must be above 0."),
        ("mlp", {"lr": "-1"}, CallError, "lr is -1.0; it must be above 0."),
        ("linear", {"C": "strong"}, CallError, "C is 'strong'; it must be a number or loo."),
        ("linear", {"class_weight": "equal"}, UnknownName, "class_weight is 'equal'."),
        (
            "lstm",
            {"lr": "1", "training__optimization__lr": "1"},
            CallError,
            "training__optimization__lr is set twice. Leave one out.",
        ),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(
    name: str, settings: dict[str, str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        make_head(name, settings)


def test_a_head_of_another_package_joins_and_takes_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name, "heads.classifiers.linear:LinearHead", "embedonce.heads") for name in ("theirs", "mlp")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    joined = registry._with_entry_points({"mlp": "heads.classifiers.mlp:MLPHead"})
    assert joined == {"mlp": "heads.classifiers.mlp:MLPHead", "theirs": "heads.classifiers.linear:LinearHead"}


def test_a_broken_head_of_another_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "HEADS", {"theirs": "not_installed_here:Head"})
    with pytest.raises(CallError, match=r"The head theirs \(not_installed_here:Head\) cannot be loaded: No module"):
        head_class("theirs")


def test_listing_heads_loads_no_heavy_library() -> None:
    heavy = "torch sklearn lightgbm scipy transformers"
    code = f"import heads.registry, sys; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
