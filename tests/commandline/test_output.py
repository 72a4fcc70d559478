"""What a person reads: durations, sizes, and files that appear only when they are whole."""

import sys
from pathlib import Path

import pytest

from commandline.output import duration, progress, size, table, whole_file
from data.errors import StorageFailed


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.44, "0.4 s"), (12.3, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_seconds_are_said_as_a_person_says_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(812, "812 B"), (1_234_567, "1.2 MB"), (2.5e12, "2.5 TB")])
def test_bytes_are_said_as_a_person_says_them(count: float, said: str) -> None:
    assert size(count) == said


def test_a_result_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_file(tmp_path / "out.csv") as out:
        out.write("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageFailed, match=r"out\.csv cannot be written: No such file"),
        whole_file(tmp_path / "no" / "out.csv"),
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
