"""`embedonce finetune` as a person calls it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import embedonce
from data.errors import CallError, ExtraMissing
from stages.finetune import settings
from tests.tiny_encoder import make_encoder

WORDS = {"farm": "wheat corn exports", "oil": "oil price ministers", "sport": "goalkeeper team cup"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a tiny encoder and a corpus."""
    monkeypatch.chdir(tmp_path)
    make_encoder(tmp_path / "tiny")
    labels = sorted(WORDS)
    rows = [f"{WORDS[labels[number % 3]]} said {number},{labels[number % 3]}" for number in range(120)]
    (tmp_path / "docs.csv").write_text("\n".join(["text,label", *rows, ""]))
    return tmp_path


def call(*arguments: str) -> object:
    return CliRunner().invoke(embedonce, ["finetune", "docs.csv", "--model", "./tiny", *arguments]).exception


def test_a_missing_extra_is_reported_before_anything_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    (folder / "docs.csv").unlink()
    error = call()
    assert isinstance(error, ExtraMissing)
    assert str(error) == "Fine-tuning needs accelerate, which is missing: pip install 'embedonce[adapt]'."


@pytest.mark.usefixtures("folder")
def test_folds_and_the_validation_split_exclude_each_other() -> None:
    error = call("--folds", "3", "--validate-on", "split")
    assert isinstance(error, CallError)
    assert "exclude each other" in str(error)


def run(*arguments: str) -> "subprocess.Popen[str]":
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(root / "cli.py"), "finetune", "docs.csv", "--model", "./tiny", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
@pytest.mark.usefixtures("folder")
def test_it_prints_where_the_encoder_the_store_and_the_run_are() -> None:
    process = run("--epochs", "1", "--name", "new", "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    content = json.loads(out)
    assert content["encoder"] == "new"
    assert Path("stores", content["store"], "encoder_training.json").is_file()
    assert Path("encoders/new/model.safetensors").is_file()
    assert "chose the best epoch and the decision rule" in err
    assert "{'" not in err  # no logs of the Trainer


@pytest.mark.long
@pytest.mark.usefixtures("folder")
def test_after_sigterm_the_same_command_resumes() -> None:
    arguments = ("--epochs", "2000", "--patience", "2000", "--name", "new")
    process = run(*arguments)
    deadline = time.monotonic() + 200
    while not list(Path("runs").glob("unfinished/*/training-1/checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "the same command resumes the work" in err
    states = [json.loads(path.read_text()) for path in Path("runs").glob("unfinished/*/*/*/trainer_state.json")]
    stopped = max(state["global_step"] for state in states)
    assert stopped < 2000 * 3
