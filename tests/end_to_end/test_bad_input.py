"""Each wrong call ends in one sentence and the right exit code, with nothing written."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.tiny_encoder import make_encoder, make_network

ROWS = [f"a text about number {number},{'odd' if number % 2 else 'even'}" for number in range(20)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["text,label", *ROWS]) + "\n")
    return path


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error: ")]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["embed", "tabel.csv"], 2, "tabel.csv"),
        (["embed", "reuters53"], 2, "reuters52"),
        (["embed", "table.csv", "--text", "txt"], 2, "'text'"),
        (["embed", "table.csv", "--model", "no-such-model-anywhere"], 2, "all-MiniLM-L6-v2"),
        (["embed", "table.csv", "--windw", "3"], 2, "--window"),
        (["embed", "table.csv", "--keep", "clss"], 2, "'cls'"),
        (["embed", "table.csv", "--device", "cuda:7"], 2, "cuda:7"),
        (["embed", "table.csv", "--window", "9999"], 2, "9999"),
        (["embed", "table.csv", "--window", "8", "--stride", "8"], 2, "stride"),
        (["embed", "table.csv", "--window", "many"], 2, "many"),
        (["embd"], 2, "'embed'"),
        (["fit-head", "lstm"], 2, "embedonce embed"),
        (["compare"], 2, "embedonce fit-head"),
        (["compare", "nothing"], 2, "nothing"),
        (["predict", "nothing", "table.csv"], 2, "nothing"),
        (["store", "info", "nowhere"], 2, "nowhere"),
        (["heads", "lstn"], 2, "'lstm'"),
        (["fit-head"], 2, "See `embedonce fit-head --help`"),
        (["fit-head", "linear", "--debug"], 2, "--debug"),
        (["embed", "table.csv", "--modl", "m"], 2, "No such option '--modl'. Did you mean '--model'? See"),
        (["adapt", "table.csv", "--name", "m"], 2, "Choose from: mlm, tsdae, simcse, supervised. See `embedonce adapt"),
        (["embed", "table.csv", "--stride", "2-4"], 2, "'2-4' is not a valid integer. See"),
        (["curve", "linear", "--html", "nowhere/curve.html"], 2, "there is no folder nowhere. Make it, or name"),
        (["init", "table.csv", "--label", ""], 2, "has no column of labels, which heads learn from"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(
    embedonce: Run, table: Path, arguments: list[str], code: int, sentence: str
) -> None:
    before = sorted(table.parent.rglob("*"))
    result = embedonce(*arguments)
    assert (result.code, result.out) == (code, "")
    assert [sentence in line for line in errors(result.err)] == [True]
    assert "Traceback" not in result.err and "Warning" not in result.err
    assert sorted(table.parent.rglob("*")) == before


def _without_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def _with_too_many_ids(model: Path) -> None:
    make_network(model, "bert", 16, 1, 64, 9)


def _cut_short(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def _of_another_kind(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "no_such_family"}')


@pytest.mark.parametrize(
    ("harm", "arguments", "sentence"),
    [
        (None, ["--window", "63"], "window is 63, but .* has 64 positions, .* the longest window is 62"),
        (None, ["--window", "8", "--stride", "9"], "stride"),
        (None, ["--device", "cpu,cuda:9"], "no device 'cuda:9' on this machine"),
        (None, ["--backend", "onnx", "--precision", "bfloat16"], "onnx computes in float32 and int8, not in bfloat16"),
        (_without_tokenizer, [], "has no fast tokenizer"),
        (_with_too_many_ids, [], "but the encoder has"),
        (_cut_short, [], r"model.safetensors is damaged \(the file is truncated\)"),
        (_without_weights, [], "contains no weights: neither model.safetensors nor"),
        (_of_another_kind, [], "no_such_family"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_refused_before_any_encoding(
    embedonce: Run,
    table: Path,
    tmp_path: Path,
    harm: Callable[[Path], None] | None,
    arguments: list[str],
    sentence: str,
) -> None:
    encoder = make_encoder(tmp_path / "tiny")
    if harm is not None:
        harm(encoder)
    result = embedonce("embed", table, "--model", encoder, *arguments)
    assert result.code == 2
    (error,) = errors(result.err)
    assert re.search(sentence, error) and "bug in embedonce" not in error
    assert not list(tmp_path.glob("stores/*/shards/*"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"text,label\n", "empty|no row|no document"),
        (b"text,label\nfine,a\nbroken \xff\xfe,b\n", "line 3"),
        (b"text,label\none,a\ntwo,a,c\n", "line 3"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    embedonce: Run, tmp_path: Path, model: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    result = embedonce("embed", "bad.csv", "--model", model)
    assert result.code == 1
    (error,) = errors(result.err)
    assert "bad.csv" in error and re.search(sentence, error)
    assert not (tmp_path / "stores").exists()


def test_documents_without_label_are_counted_and_refused_unless_skipped(
    embedonce: Run, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *ROWS, "no label here,", "nor here,"]))
    assert "2 of 22" in embedonce("embed", "t.csv", "--model", model).err
    refused = embedonce("fit-head", "linear")
    assert refused.code == 1 and "2 of 22" in errors(refused.err)[0] and "--skip-unlabeled" in refused.err
    assert not (tmp_path / "runs").exists()
    assert embedonce("fit-head", "linear", "--skip-unlabeled", "--folds", "2").code == 0
    assert "Next: `embedonce embed`, `embedonce fit-head linear --skip-unlabeled`" in embedonce("init", "t.csv").err


def test_one_class_is_refused(embedonce: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"text {number},same\n" for number in range(9)))
    embedonce("embed", "t.csv", "--model", model)
    result = embedonce("fit-head", "linear")
    assert result.code == 1 and "'same'" in errors(result.err)[0]


def test_a_store_whose_documents_lack_labels_says_so(embedonce: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "t.csv").write_text("text\n" + "".join(f"text {number}\n" for number in range(9)))
    assert embedonce("embed", "t.csv", "--model", model).code == 0
    result = embedonce("fit-head", "linear")
    assert result.code == 1 and "no document has a label" in errors(result.err)[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lstn"], "'lstm'"),
        (["linear", "--set", "CC=1"], "'C'|CC"),
        (["linear", "--set", "C=many"], "C"),
        (["linear", "--set", "C=-1"], "C"),
        (["linear", "--set", "C"], "--set C=VALUE"),
        (["linear", "--class-weight", "balancd"], "balancd"),
        (["cascade", "--first", "od"], "'odd'"),
        (["linear", "--first", "odd"], "cascade"),
        (["linear", "--corpus", "tabel"], "'table'"),
        (["linear", "--folds", "1"], "folds"),
        (["linear", "--set", "seed=5"], "seed is set by --seed"),
        (["linear", "--set", "C=1", "--set", "C=2"], "C is set twice"),
        (["linear", "--weight-id", "id"], "need --weight"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_head_parameter_or_value_names_the_right_one(
    embedonce: Run, table: Path, model: Path, arguments: list[str], sentence: str
) -> None:
    embedonce("embed", table, "--model", model)
    result = embedonce("fit-head", *arguments)
    assert result.code == 2
    assert re.search(sentence, errors(result.err)[0])
    assert not (table.parent / "runs").exists()


def test_a_store_of_another_recipe_is_refused_field_by_field(embedonce: Run, table: Path, model: Path) -> None:
    assert embedonce("embed", table, "--model", model, "--store", "s", "--window", "20").code == 0
    result = embedonce("embed", table, "--model", model, "--store", "s", "--window", "24", "--stride", "2")
    assert result.code == 2
    assert "window is 20 in this store, 24 was requested" in result.err and "stride is 0" in result.err
    assert embedonce("embed", table, "--store", "s").code == 0


def test_settings_that_name_no_option_are_refused(embedonce: Run, table: Path) -> None:
    (table.parent / "embedonce.toml").write_text('sourc = "table.csv"\n')
    result = embedonce("embed")
    assert result.code == 2 and "'source'" in errors(result.err)[0]


def test_a_changed_run_is_not_read(embedonce: Run, table: Path, model: Path) -> None:
    embedonce("embed", table, "--model", model)
    embedonce("fit-head", "linear", "--folds", "2")
    (decision,) = table.parent.glob("runs/*/decision.json")
    decision.write_text(json.dumps({"family": "argmax"}))
    result = embedonce("compare")
    assert result.code == 1 and "decision.json" in errors(result.err)[0]


def test_a_folder_that_cannot_be_made_is_one_sentence(embedonce: Run, table: Path, model: Path) -> None:
    (table.parent / "stores").write_text("a file in the way")
    result = embedonce("embed", table, "--model", model)
    assert result.code == 1 and len(errors(result.err)) == 1
    assert (table.parent / "stores").read_text() == "a file in the way"


@pytest.mark.parametrize("arguments", [[], ["store"]])
def test_a_command_of_commands_alone_is_answered_with_its_help(embedonce: Run, arguments: list[str]) -> None:
    shown = embedonce(*arguments)
    assert shown.code == 2 and shown.err.startswith("Usage: embedonce") and "Commands:" in shown.err


def test_a_folder_of_stores_names_them(embedonce: Run, table: Path, model: Path) -> None:
    embedonce("embed", table, "--model", model, "--store", "stores/mine")
    assert "stores is not a feature store. It holds stores/mine." in embedonce("store", "info", "stores").err
