"""embedonce.toml fills in what a person leaves out, and never in silence what no command has."""

from pathlib import Path

import click
import pytest

import cli
from commandline import settings
from data.errors import BadData, CallError, UnknownName


def said(folder: Path, text: str) -> settings.Defaults:
    (folder / "embedonce.toml").write_text(text, encoding="utf-8")
    return settings.defaults(cli.embedonce.commands, folder / "embedonce.toml")


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert settings.defaults(cli.embedonce.commands, tmp_path / "embedonce.toml") == {}


def test_a_key_on_top_holds_for_every_command_that_has_it(tmp_path: Path) -> None:
    found = said(tmp_path, 'source = "t.csv"\nlabel = "queue"\nid = "ticket"\n')
    assert found["embed"] == {"source": "t.csv", "label": "queue", "id_": "ticket"}
    assert found["predict"] == {"label": "queue", "id_": "ticket"}
    assert found["compare"] == {}


def test_a_table_holds_for_its_command_and_wins(tmp_path: Path) -> None:
    found = said(tmp_path, 'seed = 1\n[fit-head]\nclass-weight = "none"\nseed = 2\n')
    assert found["fit-head"] == {"class_weight": "none", "seed": 2}
    assert found["embed"] == {"seed": 1}


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("modle = 'x'", UnknownName, "Did you mean 'model'"),
        ("[fit-haed]\nseed = 1", UnknownName, "Did you mean 'fit-head'"),
        ("[embed]\nwindw = 3", UnknownName, "Did you mean 'window'"),
        ("source = ", BadData, "is not TOML"),
    ],
)
def test_what_is_misspelt_is_named(tmp_path: Path, text: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        said(tmp_path, text)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "embedonce.toml"
    settings.write('a "quoted" \\ name.csv', {"text": "body", "path_separator": "/"}, file)
    found = settings.defaults(cli.embedonce.commands, file)
    assert found["embed"] == {"source": 'a "quoted" \\ name.csv', "text": "body", "path_separator": "/"}
    with pytest.raises(CallError, match="is there already"):
        settings.write("other.csv", {}, file)


def test_every_option_has_help() -> None:
    options = [
        (name, option.name, option.help)
        for name, command in cli.embedonce.commands.items()
        for option in command.params
        if isinstance(option, click.Option)
    ]
    assert [(name, option) for name, option, text in options if not text] == []
