import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ModelUnavailable
from stages.embed.model_files.model_lookup import _needed_files, find_model, find_packaged_model
from tests.stages.embed.conftest import Folders
from tests.tiny_encoder import add_to_hub_cache

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


def find_in_new_process(name: str, **environment: str) -> tuple[str, str]:
    """Return what a new process prints on stdout and stderr; it must not wait for a hub for minutes."""
    process = subprocess.run(
        [sys.executable, "-c", CALL, name], capture_output=True, text=True, env=os.environ | environment, timeout=60
    )
    return process.stdout, process.stderr


def test_a_folder_is_its_own_model(folders: Folders) -> None:
    assert find_model(str(folders("bert"))) == folders("bert")


@installed
@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_packaged_encoder_is_found_before_any_hub(name: str) -> None:
    assert (find_model(name) / "config.json").is_file()


@pytest.mark.parametrize("name", ["./no/folder", "/no/folder", "~/no-folder", "a/b/c"])
def test_a_missing_folder_is_not_looked_up_on_the_hub(name: str) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(f"There is no folder {name}. Available: ")):
        find_model(name)


def test_without_a_hub_one_sentence_lists_the_available_models(tmp_path: Path) -> None:
    output, errors = find_in_new_process("xlm-roberta-base", HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert output.startswith("xlm-roberta-base is not available: no model hub answers")
    assert "the model is not in the cache" in output
    assert output.endswith("any folder with config.json.\n")
    assert errors == ""


def test_a_hub_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        output, errors = find_in_new_process("xlm-roberta-base", HF_HOME=str(tmp_path), HF_ENDPOINT=address)
    assert "no model hub answers" in output
    assert errors == ""


def test_the_offline_mode_is_named_as_the_reason(tmp_path: Path) -> None:
    output, errors = find_in_new_process("xlm-roberta-base", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set, and the model is not in the cache" in output
    assert errors == ""


def test_a_model_in_the_cache_needs_no_hub(tmp_path: Path, folders: Folders) -> None:
    snapshot = add_to_hub_cache(tmp_path / "hub", "someone/tiny", folders("bert"), "0" * 40, "main")
    output, errors = find_in_new_process("someone/tiny", HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert (output.strip(), errors) == (str(snapshot), "")


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
def test_only_the_files_that_the_encoder_needs_are_downloaded(files: list[str], needed: list[str]) -> None:
    assert _needed_files(files) == needed


def test_a_model_can_be_looked_at_without_its_weights() -> None:
    files = ["config.json", "model.safetensors", "tokenizer.json", "0_StaticEmbedding/model.safetensors"]
    assert _needed_files(files, with_weights=False) == ["config.json", "tokenizer.json"]
