"""Packed columns give back what was put in, as a list would."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents import Document, Documents
from data.packed import CategoricalColumn, PackedStrings, RowNumbers

# lone surrogates too: a file of another program can hold half a character
ANY_TEXT = st.text(st.characters(), max_size=20)


def same(packed: Sequence[Any], plain: list[Any]) -> None:
    assert len(packed) == len(plain)
    assert list(packed) == plain
    assert [packed[row] for row in range(len(plain))] == plain
    assert [packed[row] for row in range(-len(plain), 0)] == plain
    assert list(packed[1:-1]) == plain[1:-1]
    with pytest.raises(IndexError):
        packed[len(plain)]


@given(st.lists(ANY_TEXT))
def test_strings_come_back(texts: list[str]) -> None:
    same(PackedStrings(texts), texts)


@given(st.lists(ANY_TEXT), st.lists(ANY_TEXT))
def test_strings_that_are_added_at_once_come_back(first: list[str], second: list[str]) -> None:
    packed = PackedStrings(first)
    packed.extend(iter(second))
    same(packed, first + second)


@given(st.lists(st.none() | ANY_TEXT | st.tuples(ANY_TEXT)))
def test_repeated_values_come_back(values: list[Any]) -> None:
    same(CategoricalColumn(values), values)


@given(st.lists(st.integers(0, 5)))
def test_values_are_mapped_and_counted(values: list[int]) -> None:
    column = CategoricalColumn(values)
    same(column.map(lambda value: value // 2), [value // 2 for value in values])
    assert column.count_if(lambda value: value > 2) == sum(value > 2 for value in values)
    assert list(column.categories) == list(dict.fromkeys(values))


@given(st.integers(0, 30))
def test_rows_are_counted_from_one(rows: int) -> None:
    same(RowNumbers(rows), [str(row + 1) for row in range(rows)])


DOCUMENTS = st.builds(
    Document, ANY_TEXT, ANY_TEXT, st.lists(ANY_TEXT, max_size=2).map(tuple), st.none() | ANY_TEXT, st.none() | ANY_TEXT
)


@given(st.lists(DOCUMENTS))
def test_documents_in_columns_are_the_documents(documents: list[Document]) -> None:
    columns = Documents.from_documents(documents)
    same(columns, documents)
    assert Documents.from_documents(columns) is columns
