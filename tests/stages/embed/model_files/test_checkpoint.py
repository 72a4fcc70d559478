import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config, read_config, weights_hash
from tests.stages.embed.conftest import Folders

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def tensors(folders: Folders) -> Tensors:
    loaded: Tensors = load_file(folders("bert") / "model.safetensors")
    return loaded


@pytest.fixture
def expected(folders: Folders) -> str:
    return weights_hash(folders("bert"))


def hash_of(folder: Path, tensors: Tensors, name: str = "model.safetensors") -> str:
    save_file(tensors, folder / name)
    return weights_hash(folder)


def test_a_copied_folder_is_the_same_encoder(folders: Folders, tmp_path: Path, expected: str) -> None:
    shutil.copytree(folders("bert"), tmp_path / "elsewhere")
    assert weights_hash(tmp_path / "elsewhere") == expected


def test_two_files_contain_the_same_encoder_as_one(tmp_path: Path, tensors: Tensors, expected: str) -> None:
    names = sorted(tensors)
    files = {name: f"model-0000{1 + (row > 9)}-of-00002.safetensors" for row, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert weights_hash(tmp_path) == expected


def test_the_format_of_torch_contains_the_same_encoder(tmp_path: Path, tensors: Tensors, expected: str) -> None:
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert weights_hash(tmp_path) == expected


def test_poolers_heads_prefixes_and_old_names_do_not_matter(tmp_path: Path, tensors: Tensors, expected: str) -> None:
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler.")}
    assert len(without) < len(tensors)
    assert hash_of(tmp_path, without) == expected
    old = {re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name): tensor for name, tensor in without.items()}
    trained = {f"bert.{name}": tensor for name, tensor in old.items()}
    trained |= {"cls.predictions.bias": torch.ones(4), "bert.embeddings.position_ids": torch.arange(9)}
    assert hash_of(tmp_path, trained) == expected


@pytest.mark.parametrize("family", ["t5", "m2m_100"])
def test_only_the_encoder_of_an_encoder_decoder_is_hashed(folders: Folders, tmp_path: Path, family: str) -> None:
    expected = weights_hash(folders(family))
    tensors: Tensors = load_file(folders(family) / "model.safetensors")
    shared = tensors["shared.weight"]
    alone = {name: tensor for name, tensor in tensors.items() if not name.startswith("decoder.")}
    assert len(alone) < len(tensors)
    assert hash_of(tmp_path, alone) == expected
    assert hash_of(tmp_path, alone | {"encoder.embed_tokens.weight": shared.clone()}) == expected
    assert hash_of(tmp_path, alone | {"shared.weight": shared + 1}) != expected


@pytest.mark.parametrize(
    ("family", "prefix"), [("gpt2", "transformer"), ("qwen3", "model"), ("m2m_100", "model"), ("modernbert", "model")]
)
def test_a_network_inside_one_with_a_prediction_head_is_the_same_encoder(
    folders: Folders, tmp_path: Path, family: str, prefix: str
) -> None:
    tensors: Tensors = load_file(folders(family) / "model.safetensors")
    whole = {f"{prefix}.{name}": tensor for name, tensor in tensors.items()} | {"lm_head.weight": torch.ones(2)}
    assert hash_of(tmp_path, whole) == weights_hash(folders(family))


@pytest.mark.parametrize("change", ["one weight", "a name", "the number type", "the shape"])
def test_any_other_change_is_another_encoder(tmp_path: Path, tensors: Tensors, expected: str, change: str) -> None:
    name = "encoder.layer.1.output.dense.weight"
    if change == "one weight":
        tensors[name][3, 4] += 1e-3
    if change == "a name":
        tensors["encoder.layer.7.output.dense.weight"] = tensors.pop(name)
    if change == "the number type":
        tensors[name] = tensors[name].view(torch.int32)
    if change == "the shape":
        tensors[name] = tensors[name].T.contiguous().T.reshape(-1).contiguous()
    assert hash_of(tmp_path, tensors) != expected


@pytest.mark.parametrize("length", [0, 5, 60, -1, -1000])
def test_a_truncated_checkpoint_raises_an_error(folders: Folders, tmp_path: Path, length: int) -> None:
    content = (folders("bert") / "model.safetensors").read_bytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(content[:length])
    with pytest.raises(ModelUnavailable, match=re.escape(f"{path} is damaged")):
        weights_hash(tmp_path)


def test_a_truncated_file_of_torch_raises_an_error(tmp_path: Path, tensors: Tensors) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelUnavailable, match=re.escape(f"{path} is damaged")):
        weights_hash(tmp_path)


def test_an_index_without_its_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    with pytest.raises(
        ModelUnavailable, match=re.escape(f"{tmp_path} lacks model-1.safetensors. Copy the model again.")
    ):
        weights_hash(tmp_path)


def test_a_folder_without_weights_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(f"{tmp_path} contains no weights")):
        weights_hash(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"x"'])
def test_a_missing_or_damaged_config_raises_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=re.escape(str(tmp_path))):
        read_config(tmp_path)


def test_a_config_without_a_size_raises_an_error_when_the_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(ModelUnavailable, match=r"has no hidden_size\. Is this the folder of an encoder"):
        _ = read_config(tmp_path).dim


def config(**values: Any) -> Config:
    return Config(Path("model"), {"vocab_size": 100, "model_type": "bert"} | values)


@pytest.mark.parametrize(
    ("values", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "t5"}, None),
    ],
)
def test_max_positions_exclude_those_up_to_the_padding_id(values: dict[str, Any], positions: int) -> None:
    assert config(**values).max_positions == positions


def test_the_config_hash_depends_on_the_code_that_is_run() -> None:
    expected = config()
    assert Config(expected.folder, expected.values, {"modeling.py": "a" * 64}).hash != expected.hash
    assert Config(expected.folder, expected.values, {}).hash == expected.hash


def test_the_config_hash_depends_only_on_what_changes_a_vector() -> None:
    expected = config(layer_norm_eps=1e-12).hash
    same = config(
        layer_norm_eps=1e-12, _name_or_path="x", dtype="float16", architectures=["A"], hidden_dropout_prob=0.1
    )
    assert same.hash == expected
    assert config(layer_norm_eps=1e-5).hash != expected
