"""What a person reads: tables, bars, and files that appear only when they are whole."""

import sys
from pathlib import Path

import pytest

from commandline.output import open_output, progress, table
from data.errors import StorageFailed


def test_a_result_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_output(tmp_path / "out.csv") as out:
        out.write("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageFailed, match=r"out\.csv cannot be written: No such file"),
        open_output(tmp_path / "no" / "out.csv"),
    ):
        pass


def test_a_pipe_gets_no_line_before_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encoding") as bar:
        bar(1, 2, "half")
    assert capsys.readouterr().err == ""


def test_names_and_figures_stay_whole_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table(
        ["run", "macro-F1", "rule"],
        [("transformer-5c6394ac", "0.765 [0.722, 0.810]", "per-label offsets")],
        text_columns=1,
    )
    shown = capsys.readouterr().out
    assert "transformer-5c6394ac" in shown and "0.765 [0.722, 0.810]" in shown
