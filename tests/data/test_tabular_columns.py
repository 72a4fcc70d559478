"""Tabular columns are read from every format with the same kinds and values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.documents import Corpus
from data.errors import CallError, ColumnMissing
from data.readers import read_corpus
from data.readers.in_memory import read_in_memory
from data.source_spec import SourceSpec
from data.tabular import Tabular
from tests.data.tables import WRITERS, Rows, write

ROWS: Rows = [
    {"text": "a", "price": "12.5", "country": "DE", "sent": "2026-03-01", "label": "x"},
    {"text": "b", "price": "", "country": "", "sent": "2026-03-02T12:00:00Z", "label": "y"},
    {"text": "c", "price": "-3", "country": "AT", "sent": "", "label": "x"},
]
SPEC = SourceSpec(text=("text",), label="label", tabular=("price", "country", "sent"))


def column(name: str, *cells: Any, **spec: Any) -> Corpus:
    frame = pytest.importorskip("polars").DataFrame({"text": ["a"] * len(cells), name: cells}, strict=False)
    return read_in_memory(frame, SourceSpec(text=("text",), label="", tabular=(name,), **spec))


def values(corpus: Corpus) -> list[Any]:
    assert corpus.tabular is not None
    return [None if np.isnan(value) else value for value in corpus.tabular.columns[0].values.tolist()]


@pytest.mark.parametrize("ending", list(WRITERS))
def test_numbers_dates_and_categories_are_told_apart_in_every_format(ending: str, tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, ending, ROWS), SPEC)
    assert corpus.tabular is not None
    price, country, sent = corpus.tabular.columns
    assert (price.kind, price.values.tolist()[::2], np.isnan(price.values[1])) == ("number", [12.5, -3], True)
    assert (country.kind, country.levels, country.values.tolist()) == ("category", ("AT", "DE"), [1, -1, 0])
    assert (sent.kind, sent.values.tolist()[:2], np.isnan(sent.values[2])) == ("date", [20513, 20514.5], True)
    assert corpus.spec.tabular == ("price:number", "country:category", "sent:date")
    assert corpus.notes == (
        "tabular columns are 'price' (numbers, 1 missing), 'country' (2 categories, 1 missing) and 'sent' (dates, 1 "
        "missing) (guessed; name one as in --tabular zip:category)",
    )


@pytest.mark.parametrize("ending", list(WRITERS))
def test_the_resolved_spec_reads_the_same_without_a_word(ending: str, tmp_path: Path) -> None:
    source = write(tmp_path, ending, ROWS)
    once = read_corpus(source, SPEC)
    again = read_corpus(source, SourceSpec.from_json(once.spec.to_json()))
    assert (again.tabular, again.spec, again.notes) == (once.tabular, once.spec, ())


def test_values_of_a_format_itself_are_read() -> None:
    moment = datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert values(column("n", 3, 4.5, None)) == [3, 4.5, None]
    assert values(column("n", Decimal("1.50"), Decimal(2))) == [1.5, 2]
    assert values(column("n", date(2026, 3, 1), None)) == [20513, None]
    assert values(column("n", moment, None)) == [20513.25, None]
    corpus = column("n", True, False, None)
    assert corpus.tabular is not None
    assert corpus.tabular.columns[0].levels == ("false", "true")


def test_a_marker_is_a_missing_number_but_may_be_a_category() -> None:
    assert values(column("n", "1", "NA", "n/a", "-", "NaN")) == [1, None, None, None, None]
    corpus = column("n", "DE", "NA")
    assert corpus.tabular is not None
    assert corpus.tabular.columns[0].levels == ("DE", "NA")


def test_a_number_that_is_not_finite_is_no_number() -> None:
    assert column("n", "1", "inf").spec.tabular == ("n:category",)
    assert column("n", "1", "1_0").spec.tabular == ("n:category",)


def test_a_blank_column_is_one_of_missing_numbers() -> None:
    assert values(column("n", "", None)) == [None, None]


def test_a_column_that_is_nearly_numbers_is_explained() -> None:
    assert column("n", "1", "2", "3", "1,234.5").notes[-1] == (
        "most cells of 'n' are numbers, but '1,234.5' is none, so it is read as categories; --tabular n:number reads "
        "such cells as missing"
    )
    assert (
        column("d", "2026-01-01", "2026-01-02", "2026-01-03", "soon")
        .notes[-1]
        .startswith("most cells of 'd' are dates, but 'soon' is none, so it is read as categories; --tabular d:date")
    )
    assert "rare ones as 'other'" in column("n", *(f"user {row}" for row in range(60))).notes[-1]


def test_a_named_kind_makes_other_cells_missing_and_counts_them(tmp_path: Path) -> None:
    rows: Rows = [{"text": "a", "n": cell} for cell in ("1", "x", "NA", "y")]
    corpus = read_corpus(write(tmp_path, "csv", rows), SourceSpec(tabular=("n:number",)))
    assert values(corpus) == [1, None, None, None]
    assert corpus.notes[-1] == "2 cells of 'n' are no number and read as missing (the first is 'x', line 3)"
    frame = pytest.importorskip("polars").DataFrame({"text": ["a"], "zip": ["10117"]})
    corpus = read_in_memory(frame, SourceSpec(tabular=("zip:category",)))
    assert corpus.tabular is not None
    assert corpus.tabular.columns[0].levels == ("10117",)


def test_a_code_with_a_leading_zero_is_a_category() -> None:
    assert column("zip", "01067", "10115").spec.tabular == ("zip:category",)
    assert column("n", "0", "0.5", "-0.5").spec.tabular == ("n:number",)


def test_a_decimal_comma_is_read_unless_it_may_separate_thousands() -> None:
    assert values(column("n", "12,5", "-0,125", "3", "1,23456")) == [12.5, -0.125, 3, 1.23456]
    assert column("n", "12,5", "1,234").spec.tabular == ("n:category",)


def test_a_name_with_a_colon_is_a_name(tmp_path: Path) -> None:
    source = write(tmp_path, "csv", [{"text": "a", "a:number": "x", "b:c": "1"}])
    assert read_corpus(source, SourceSpec(tabular=("a:number", "b:c"))).spec.tabular == (
        "a:number:category",
        "b:c:number",
    )


def test_a_tabular_column_is_not_guessed_to_be_anything_else(tmp_path: Path) -> None:
    source = write(tmp_path, "csv", [{"text": "a", "category": "shoes"}])
    assert read_corpus(source, SourceSpec(tabular=("category",))).documents[0].labels is None


def test_a_column_that_does_not_exist_is_named_with_its_nearest(tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing, match=r"has no column 'prise'\. Did you mean 'price'\?$"):
        read_corpus(write(tmp_path, "csv", ROWS), SourceSpec(tabular=("prise:number",)))


@pytest.mark.parametrize("label", [None, "label"])
def test_the_label_is_no_tabular_column(tmp_path: Path, label: str | None) -> None:
    with pytest.raises(CallError, match="'label' is the label: as a tabular column it gives the answer away"):
        read_corpus(write(tmp_path, "csv", ROWS), SourceSpec(label=label or "label", tabular=("price", "label")))


def test_rows_are_selected_and_joined() -> None:
    first, second = column("c", "b", "a", None).tabular, column("c", "c", "b").tabular
    assert first is not None and second is not None
    both = Tabular.concatenate([first, second])
    (joined,) = both.columns
    assert [None if code < 0 else joined.levels[code] for code in joined.values] == ["b", "a", None, "c", "b"]
    assert both[:3] == first and both[[3, 4]] == second and both[::-1] != both
    assert hash(both[:3]) == hash(first)
