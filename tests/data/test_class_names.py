"""Class numbers of Hugging Face datasets: names from a schema."""

from typing import Any

import pytest

from data.errors import BadData
from data.readers.class_names import features_of_metadata, name_classes

CLASS = {"names": ["a", "b"], "_type": "ClassLabel"}


def named(feature: Any, *cells: Any) -> list[Any]:
    return list(name_classes(cells, {"label": feature}, "label", "letters.parquet"))


def test_numbers_are_named_and_missing_ones_are_none() -> None:
    assert named(CLASS, 1, 0, -1, None) == ["b", "a", None, None]


@pytest.mark.parametrize(
    "feature", [[CLASS], {"feature": CLASS, "_type": "Sequence"}, {"feature": CLASS, "_type": "List"}]
)
def test_lists_of_numbers_are_named(feature: Any) -> None:
    assert named(feature, [1, 0], [], None) == [["b", "a"], [], None]


def test_the_field_of_an_object_is_named() -> None:
    feature = {"label": CLASS, "score": {"dtype": "float32", "_type": "Value"}}
    assert named(feature, {"label": 1, "score": 0.5}, None) == [{"label": "b", "score": 0.5}, None]


@pytest.mark.parametrize("feature", [None, {"dtype": "int64", "_type": "Value"}, {"_type": "ClassLabel"}, {}, []])
def test_other_columns_stay(feature: Any) -> None:
    assert named(feature, 1, [0]) == [1, [0]]


@pytest.mark.parametrize("number", [2, -2])
def test_a_number_without_a_name_is_named_by_its_row(number: int) -> None:
    with pytest.raises(
        BadData, match=rf"letters.parquet row 2: column 'label' holds {number}, a class that has no name"
    ):
        named(CLASS, 0, number)


@pytest.mark.parametrize(
    "content", [None, {}, {b"huggingface": b"x"}, {b"huggingface": b"[]"}, {b"huggingface": b"{}"}]
)
def test_other_metadata_has_no_features(content: Any) -> None:
    assert features_of_metadata(content) == {}
