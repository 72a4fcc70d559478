"""Cells that a spreadsheet would execute become texts, and every cell can be read back."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.text_format import neutralize, neutralize_row, restore


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "＝1", "--5"]
)
def test_what_a_spreadsheet_would_execute_gets_an_apostrophe(cell: str) -> None:
    assert neutralize(cell) == f"'{cell}" and restore(neutralize(cell)) == cell


@pytest.mark.parametrize("cell", ["", "grain", "-0.5", "+3", "1e-5", "-1E+5", "-.5", "'tis", "a=b", "[]", "0"])
def test_other_texts_and_numbers_stay(cell: str) -> None:
    assert neutralize(cell) == restore(cell) == cell


def test_a_text_that_has_the_apostrophe_already_gets_another() -> None:
    assert neutralize_row(["'=1", "'"]) == ["''=1", "'"] and restore("''=1") == "'=1"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="'=+-@\t\r\n1.e＝a", max_size=6))
def test_every_cell_is_read_back(cell: str) -> None:
    written = neutralize(cell)
    assert restore(written) == cell
    assert written == cell or written.startswith("'")


def test_csv_is_written_where_cells_are_neutralized_and_for_the_tables_of_a_store_alone() -> None:
    root = Path(__file__).resolve().parents[2]
    folders = ("cli.py", "commandline", "data", "embedonce", "featurestore", "heads", "stages")
    files = [
        file for name in folders for file in ([root / name] if name.endswith(".py") else (root / name).rglob("*.py"))
    ]
    writers = {str(file.relative_to(root)) for file in files if "csv.writer(" in file.read_text(encoding="utf-8")}
    of_commands = {"data/text_format.py"}  # labels in one option
    assert writers == {"stages/fitting/predictions.py", "featurestore/store/corpus_rows.py"} | of_commands
