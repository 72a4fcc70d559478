import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ModelUnavailable
from stages.embed.model_files.model_lookup import _needed, find_model, find_packaged_model
from tests.stages.embed.conftest import Folders

installed = pytest.mark.skipif(
    find_packaged_model("all-MiniLM-L6-v2") is None, reason="the packaged encoder is not installed"
)

CALL = """
import sys
from data.errors import ModelUnavailable
from stages.embed.model_files.model_lookup import find_model
try:
    print(find_model(sys.argv[1]))
except ModelUnavailable as error:
    print(error)
"""


def ask(name: str, **environment: str) -> tuple[str, str]:
    """What a fresh process prints, on stdout and stderr; a hub that does not answer may not hold it for minutes."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, name], capture_output=True, text=True, env=os.environ | environment, timeout=60
    )
    return done.stdout, done.stderr


def test_a_folder_is_taken_as_it_is(folders: Folders) -> None:
    assert find_model(str(folders("bert"))) == folders("bert")


@installed
@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_packaged_encoder_is_found_before_any_hub(name: str) -> None:
    assert (find_model(name) / "config.json").is_file()


@pytest.mark.parametrize("name", ["./no/folder", "/no/folder", "~/no-folder", "a/b/c"])
def test_a_folder_that_is_not_there_is_not_asked_of_a_hub(name: str) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(f"There is no folder {name}. What can: ")):
        find_model(name)


def test_without_a_hub_a_sentence_says_what_can_be_had_and_nothing_else(tmp_path: Path) -> None:
    said, talk = ask("xlm-roberta-base", HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert said.startswith("xlm-roberta-base cannot be had: no model hub answers")
    assert "it is not in the cache" in said
    assert said.endswith("a folder with config.json.\n")
    assert talk == ""


def test_a_hub_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said, talk = ask("xlm-roberta-base", HF_HOME=str(tmp_path), HF_ENDPOINT=address)
    assert "no model hub answers" in said
    assert talk == ""


def test_offline_is_named_as_the_reason(tmp_path: Path) -> None:
    said, talk = ask("xlm-roberta-base", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set and it is not in the cache" in said
    assert talk == ""


def test_a_model_in_the_cache_needs_no_hub(tmp_path: Path, folders: Folders) -> None:
    commit = "0" * 40
    home = tmp_path / "hub" / "models--someone--tiny"
    snapshot = home / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(folders("bert"), target_is_directory=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    said, talk = ask("someone/tiny", HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert (said.strip(), talk) == (str(snapshot), "")


@pytest.mark.parametrize(
    ("files", "needed"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin"], ["config.json", "model.safetensors"]),
        (
            ["config.json", "modeling_own.py", "pytorch_model.bin"],
            ["config.json", "modeling_own.py", "pytorch_model.bin"],
        ),
        (
            ["modules.json", "0_StaticEmbedding/model.safetensors"],
            ["modules.json", "0_StaticEmbedding/model.safetensors"],
        ),
        (["config.json", "model.safetensors", "2_Dense/model.safetensors"], ["config.json", "model.safetensors"]),
        (
            ["config.json", "onnx/config.json", "onnx/model.onnx", "model.safetensors"],
            ["config.json", "model.safetensors"],
        ),
    ],
)
def test_of_a_repository_what_the_encoder_needs_is_fetched(files: list[str], needed: list[str]) -> None:
    assert _needed(files) == needed
