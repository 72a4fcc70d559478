"""embedonce.toml fills in what a person leaves out, and never in silence what no command has."""

from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from commandline.config_file import DefaultMap, load_defaults, write_config
from data.errors import BadData, CallError, UnknownName


def load(folder: Path, text: str) -> DefaultMap:
    (folder / "embedonce.toml").write_text(text, encoding="utf-8")
    return load_defaults(cli.embedonce.commands, folder / "embedonce.toml")


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert load_defaults(cli.embedonce.commands, tmp_path / "embedonce.toml") == {}


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffseed = 1\n")["embed"] == {"seed": 1}


def _make_folder(path: Path) -> None:
    path.mkdir()


def _make_looping_link(path: Path) -> None:
    path.symlink_to(path)


def _make_latin1(path: Path) -> None:
    path.write_bytes('label = "größe"\n'.encode("latin-1"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_make_folder, "embedonce.toml is not a file."),
        (_make_looping_link, "embedonce.toml is not a file."),
        (_make_latin1, r"embedonce.toml is not UTF-8 \(byte 12\). Save it as UTF-8."),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None], sentence: str) -> None:
    make(tmp_path / "embedonce.toml")
    with pytest.raises(BadData, match=sentence):
        load_defaults(cli.embedonce.commands, tmp_path / "embedonce.toml")


def test_a_key_on_top_holds_for_every_command_that_has_it(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'source = "t.csv"\nlabel = "queue"\nid = "ticket"\n')
    assert defaults["embed"] == {"source": "t.csv", "label": "queue", "id_": "ticket"}
    assert defaults["predict"] == {"id_": "ticket"}  # new text has no label
    assert defaults["store"]["label"] == {"label": "queue", "id_": "ticket"}
    assert defaults["compare"] == {}


def test_the_source_and_the_model_of_embed_are_not_those_of_explain_and_augment(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'source = "t.csv"\nmodel = "m"\n[augment]\nmodel = "bert-base-uncased"\n')
    assert defaults["adapt"] == {"source": "t.csv", "model": "m"}
    assert defaults["explain"] == {} and defaults["augment"] == {"model": "bert-base-uncased"}


def test_a_table_holds_for_its_command_and_wins(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'seed = 1\n[fit-head]\nclass-weight = "none"\nseed = 2\n')
    assert defaults["fit-head"] == {"class_weight": "none", "seed": 2}
    assert defaults["embed"] == {"seed": 1}


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("modle = 'x'", UnknownName, "Did you mean 'model'"),
        ("[fit-haed]\nseed = 1", UnknownName, "Did you mean 'fit-head'"),
        ("[embed]\nwindw = 3", UnknownName, "Did you mean 'window'"),
        ("[store.info]\nstors = 'x'", UnknownName, "Did you mean 'stores'"),
        ("[store.inof]\njson = true", UnknownName, "Did you mean 'info'"),
        ("source = ", BadData, "is not TOML"),
        (r'source = "a\u0000b"', BadData, r"source holds the character \\u0000, which no name or path can have"),
        (r'text = ["a", "\u0000"]', BadData, r"text holds the character \\u0000"),
        ("seed = 1.5", BadData, r"seed is 1\.5\. Write a whole number"),
        ("[embed]\nstore = ['a', 'b']", BadData, "store is a list, but the command takes one value"),
        ("label = ['toxic', 'insult']", BadData, r"label is a list.*Join names by commas"),
        ("validate-on = 'fold'", BadData, r"validate-on is 'fold'\. Did you mean 'folds'\?"),
        ("metric = 'macro_f1'", BadData, r"metric is 'macro_f1'\. Did you mean 'macro-f1'\?"),
        ("precision = ['half']", BadData, r"precision is \['half'\]\. Known: auto, bfloat16, float16, float32"),
        ("[store]\nformat = 'h6'", BadData, r"format is 'h6'\. Known: h5, npz, parquet"),
    ],
)
def test_what_is_misspelt_is_named(tmp_path: Path, text: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        load(tmp_path, text)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "embedonce.toml"
    write_config('a "quoted" \\ name.csv', {"text": ["title", "body"], "path_separator": "/"}, file)
    defaults = load_defaults(cli.embedonce.commands, file)
    assert defaults["embed"] == {"source": 'a "quoted" \\ name.csv', "text": ["title", "body"], "path_separator": "/"}
    with pytest.raises(CallError, match="exists already"):
        write_config("other.csv", {}, file)


def test_a_table_of_a_group_holds_for_all_that_it_has_and_one_within_it_for_one(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'stores = "f"\n[store]\ncorpus = "c"\n[store.export]\ncorpus = "e"\n')
    assert defaults["fit-head"] == {"stores_folder": "f"}
    assert defaults["store"]["label"] == {"stores_folder": "f", "corpus": "c"}
    assert defaults["store"]["export"] == {"stores_folder": "f", "corpus": "e"}


@pytest.mark.parametrize("value", ['"s"', '["s"]'])
def test_one_value_and_a_list_of_one_are_the_same(tmp_path: Path, value: str) -> None:
    defaults = load(tmp_path, f"store = {value}\nsplit = {value.replace('s', 'test')}\n")
    assert (defaults["compare"], defaults["embed"].pop("split")) == ({"split": "test"}, "test")
    assert (defaults["embed"], defaults["fit-head"]) == ({"store": "s"}, {"store": ["s"]})


def test_a_list_is_passed_over_by_commands_that_take_one_value(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'store = ["a", "b"]\n')
    assert (defaults["embed"], defaults["fit-head"]) == ({}, {"store": ["a", "b"]})


def test_a_word_that_one_command_does_not_know_is_for_the_others(tmp_path: Path) -> None:
    defaults = load(tmp_path, 'split = "fold"\nvalidate-on = "share"\n')
    assert (defaults["embed"], defaults["compare"], defaults["fit-head"]) == ({"split": "fold"}, {}, {})
    assert defaults["finetune"] == {"split": "fold", "validate_on": "share"}


def test_heads_are_a_list(tmp_path: Path) -> None:
    defaults = load(tmp_path, '[fit-head]\nheads = ["linear", "mlp"]\n')
    assert defaults["fit-head"] == {"heads": ["linear", "mlp"]}


def test_the_example_in_the_help_of_init_is_read(tmp_path: Path) -> None:
    example = str(cli.embedonce.commands["init"].help).partition("\b\n")[2]
    defaults = load(tmp_path, example)
    assert defaults["embed"] == {"source": "tickets.csv", "label": "queue"}
    assert defaults["fit-head"] == {"heads": ["linear", "mlp"], "class_weight": "effective"}
    assert defaults["store"]["export"] == {"overwrite": True}
