"""A recipe: what moves its fingerprint, what it says of another, what it refuses."""

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from data.errors import BadData
from featurestore import Recipe
from tests.featurestore.made import RECIPE
from tests.suggested_commands import parse

OTHER: dict[str, Any] = {
    "weights": "d" * 64,
    "config": "d" * 64,
    "tokenizer": "d" * 64,
    "window": 510,
    "stride": 16,
    "special_tokens": False,
    "long": "head",
    "max_windows": 4,
    "prefix": "passage: ",
    "layers": (-1, -4),
    "keep": ("cls", "mean", "max", "segments", "tokens"),
    "segment": 16,
    "dtype": "float32",
    "precision": "bfloat16",
    "backend": "onnx",
}


@pytest.mark.parametrize("name", [each.name for each in fields(Recipe) if each.compare])
def test_each_field_alone_moves_the_fingerprint(name: str) -> None:
    changed = replace(RECIPE, **{name: OTHER[name]})
    assert changed.fingerprint != RECIPE.fingerprint
    assert changed != RECIPE
    assert len(RECIPE.differences(changed)) == 1


def test_the_name_to_show_does_not_move_the_fingerprint() -> None:
    renamed = replace(RECIPE, encoder="sentence-transformers/made-up", revision="v1", commit="f" * 40)
    assert renamed.fingerprint == RECIPE.fingerprint
    assert renamed == RECIPE
    assert RECIPE.differences(renamed) == ()


def test_the_fingerprint_is_the_hash_of_json_with_sorted_names_and_no_spaces() -> None:
    text = (
        '{"backend":"torch","config":"' + "b" * 64 + '","dtype":"float16","keep":["cls","mean","max","segments"],'
        '"layers":[-1],"long":"windows","max_windows":null,"precision":"float32","prefix":"","segment":32,'
        '"special_tokens":true,"stride":0,"tokenizer":"' + "c" * 64 + '","weights":"' + "a" * 64 + '","window":254}'
    )
    assert RECIPE.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert RECIPE.short == RECIPE.fingerprint[:8]


def test_a_recipe_comes_back_from_json() -> None:
    back = Recipe.from_json(json.loads(json.dumps(RECIPE.to_json())))
    assert back == RECIPE and back.encoder == RECIPE.encoder and back.layers == (-1,)
    assert not {"revision", "commit"} & RECIPE.to_json().keys()
    pinned = replace(RECIPE, revision="v1", commit="f" * 40)
    back = Recipe.from_json(json.loads(json.dumps(pinned.to_json())))
    assert (back.revision, back.commit) == ("v1", "f" * 40)
    file = pinned.to_file(2)
    assert file == RECIPE.to_file(2) | {"hub": {"revision": "v1", "commit": "f" * 40}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "a" * 63),
        ("window", "254"),
        ("window", True),
        ("special_tokens", 1),
        ("max_windows", -1),
        ("layers", []),
        ("layers", [0]),
        ("layers", -1),
        ("keep", ["mean", "cls"]),
        ("keep", ["sum"]),
        ("dtype", "int8"),
        ("prefix", None),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: object) -> None:
    with pytest.raises(BadData, match=rf"^A recipe has .* as {name}\.$"):
        Recipe.from_json(RECIPE.to_json() | {name: value})


def test_a_missing_and_an_unknown_field_are_named() -> None:
    content = RECIPE.to_json()
    del content["window"]
    with pytest.raises(BadData, match="fields missing or unknown: pooling, window"):
        Recipe.from_json(content | {"pooling": "mean"})


def test_differences_are_clauses_a_person_can_read() -> None:
    asked = replace(RECIPE, window=510, special_tokens=False, prefix="query: ", layers=(-1, -4))
    assert RECIPE.differences(asked) == (
        "window is 254 in this store, 510 was requested",
        "special_tokens is on in this store, off was requested",
        "prefix is not set in this store, query:  was requested",
        "layers is -1 in this store, -1,-4 was requested",
    )


@pytest.mark.parametrize(
    ("changes", "way"),
    [
        ({"window": 510, "stride": 8}, "give --window 254 --stride 0"),
        ({"max_windows": 3, "prefix": "x"}, "give --prefix '' and leave --max-windows out"),
        ({"max_windows": 3}, "leave --max-windows out"),
        ({"segment": 8, "keep": ("cls",)}, "give --keep cls,mean,max,segments:32"),
        ({"encoder": "other", "weights": "d" * 64, "config": "d" * 64}, "give --model made-up"),
        ({"weights": "d" * 64}, ""),
        ({"window": 510, "backend": "onnx"}, "give --window 254 --backend torch"),
    ],
)
def test_the_way_back_names_the_options_that_lead_there(changes: dict[str, Any], way: str) -> None:
    assert RECIPE.options(replace(RECIPE, **changes)) == way


def test_the_way_back_is_accepted_by_embed() -> None:
    stored = replace(RECIPE, **OTHER, encoder="my encoders/it's one", commit="1" * 40)
    options = stored.options(replace(RECIPE, encoder="another")).removeprefix("give ")
    parameters = parse(f"embedonce embed news.csv {options}")
    assert (parameters["model"], parameters["prefix"]) == ("my encoders/it's one", OTHER["prefix"])
    assert (parameters["window"], parameters["layers"], parameters["special_tokens"]) == (510, "-1,-4", False)


def test_another_commit_of_the_same_model_is_named_by_its_revision() -> None:
    pinned, moved = (replace(RECIPE, commit=digit * 40, weights=digit * 64) for digit in "12")
    assert pinned.options(moved) == f"give --revision {'1' * 40}"


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"keep": ("cls", "segments")}, True),
        ({"keep": ("cls",), "segment": 8}, True),
        ({"segment": 8}, False),
        ({"keep": ("cls", "tokens")}, False),
        ({"layers": (-1, -4)}, False),
        ({"keep": ("cls",), "dtype": "float32"}, False),
    ],
)
def test_a_recipe_covers_those_that_keep_a_part_of_it(changes: dict[str, Any], covered: bool) -> None:
    assert RECIPE.covers(replace(RECIPE, **changes)) is covered
