"""What a person reads: tables, bars, and files that appear only when they are whole."""

import io
import sys
from pathlib import Path

import click
import pytest

import cli
from commandline.output import note, open_output, progress, show, table, use_utf8
from data.errors import StorageFailed


def test_a_result_that_fails_midway_leaves_no_file(tmp_path: Path) -> None:
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


def test_a_label_is_shown_as_it_is_and_never_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table(["label", "n"], [(":smile:", "1"), ("[red]", "2"), ("\x1b[2J", "3"), ("a\r\n", "4")])
    note("label '\x1b[2J' is rare")
    shown = capsys.readouterr()
    assert all(word in shown.out for word in (":smile:", "[red]", r"\x1b[2J"))
    assert (shown.err, "\x1b" in shown.out, r"\x0d" in shown.out) == ("  - label '\\x1b[2J' is rare\n", False, False)


def test_names_and_numbers_are_not_broken_on_a_narrow_terminal(
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


def test_a_bar_in_a_terminal_leaves_stdout_to_the_results(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("labeling a[/b]", with_results=True) as bar:  # a store may be called so
        bar(1, 2, "half")
        print("result")  # noqa: T201
    captured = capfd.readouterr()
    assert captured.out == "result\n" and "labeling a[/b]" in captured.err and "result" not in captured.err


def test_results_on_a_terminal_replace_the_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with progress("labeling", with_results=True) as bar:
        bar(1, 2, "half")
    assert capsys.readouterr().err == ""


def test_optional_columns_are_left_out_if_the_terminal_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("lstm", "segments", "1,000"), ("linear", "cls", "10")]
    monkeypatch.setenv("COLUMNS", "24")
    table(["head", "reads", "parameters"], rows, text_columns=2, optional=["reads"])
    captured = capsys.readouterr()
    assert "segments" not in captured.out and "too narrow for the column 'reads'" in captured.err
    monkeypatch.setenv("COLUMNS", "40")
    table(["head", "reads", "parameters"], rows, text_columns=2, optional=["reads"])
    captured = capsys.readouterr()
    assert "segments" in captured.out and captured.err == ""


def test_long_lines_wrap_at_words_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    note("a note that is longer than a line")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    note("a note that is longer than a line")
    whole, *lines = capsys.readouterr().err.splitlines()
    assert whole == "  - a note that is longer than a line"
    assert lines == ["  - a note that is", "    longer than a", "    line"]


def test_a_note_is_printed_once_per_command(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def repeat() -> None:
        note("the same")
        note("the same")

    for _ in range(2):
        repeat.main([], standalone_mode=False)
        assert capsys.readouterr().err == "  - the same\n"


def latin1_stream() -> io.TextIOWrapper:
    """A stream as Python opens it under a Latin-1 locale, with the line ends of Windows."""
    return io.TextIOWrapper(io.BytesIO(), encoding="latin-1", newline="\r\n")


def test_output_is_utf8_with_one_line_end_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = latin1_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    use_utf8()
    show("日本\nä\udcff")
    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue() == "日本\nä\\udcff\n".encode()


def test_every_command_writes_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = latin1_stream(), latin1_stream()
    monkeypatch.setattr(sys, "argv", ["embedonce", "heads"])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit):
        cli.main()
    assert [stream.encoding for stream in streams] == ["utf-8", "utf-8"]


def test_a_file_is_written_although_a_path_in_it_is_not_utf8(tmp_path: Path) -> None:
    with open_output(tmp_path / "out.csv") as out:
        out.write("doc\udcff\n")
    assert (tmp_path / "out.csv").read_bytes() == b"doc\\udcff\n"
