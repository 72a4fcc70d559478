"""Static models: a token's vector comes from a table, and nothing else is needed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import ModelUnavailable
from stages.embed import Encoder, Options, open_encoder
from tests.encoding import encode
from tests.stages.embed.encoder.test_encoder import ROOT
from tests.stages.embed.reference import EVERYTHING
from tests.tiny_encoder import SENTENCES, make_static


def open_float32(folder: Path, **options: Any) -> Encoder:
    return open_encoder(Options(model=str(folder), dtype="float32", device="cpu", **options))


@pytest.mark.parametrize("batch_tokens", [1, 4096])
@pytest.mark.parametrize("quantized", [False, True])
def test_a_window_is_the_rows_of_its_tokens(tmp_path: Path, quantized: bool, batch_tokens: int) -> None:
    encoder = open_float32(
        make_static(tmp_path, quantized=quantized), window=7, batch_tokens=batch_tokens, **EVERYTHING
    )
    arrays = encode(["", *SENTENCES], encoder).arrays
    tensors = load_file(tmp_path / "model.safetensors")
    ids = torch.from_numpy(arrays["tokens/id"]).long()
    expected = tensors["embeddings"].float()[tensors["mapping"][ids] if quantized else ids]
    if quantized:
        expected *= tensors["weights"][ids, None].float()
    np.testing.assert_allclose(arrays["tokens/vector"], expected, atol=1e-6)
    assert not arrays["chunks/mean"][0].any(), "an empty text has no tokens, not even special tokens"
    np.testing.assert_allclose(arrays["chunks/mean"][1], expected[:7].mean(0), atol=1e-6)
    np.testing.assert_allclose(arrays["chunks/max"][1], expected[:7].max(0).values, atol=1e-6)


def test_its_recipe_and_notes_describe_it(tmp_path: Path) -> None:
    encoder = open_float32(make_static(tmp_path))
    assert (encoder.recipe.window, encoder.recipe.special_tokens, encoder.recipe.layers) == (254, False, (-1,))
    assert encoder.notes == (f"{tmp_path} is a static model: a token has the same vector in every context.",)
    assert encoder.recipe == open_float32(tmp_path, special_tokens=False).recipe


def test_it_needs_no_config(tmp_path: Path) -> None:
    recipe = open_float32(make_static(tmp_path)).recipe
    (tmp_path / "config.json").unlink()
    assert open_float32(tmp_path).recipe == recipe


def test_a_static_model_of_sentence_transformers_is_supported(tmp_path: Path) -> None:
    make_static(tmp_path / "0_StaticEmbedding")
    file = tmp_path / "0_StaticEmbedding" / "model.safetensors"
    matrix = load_file(file)["embeddings"]
    save_file({"embedding.weight": matrix}, file)
    (tmp_path / "0_StaticEmbedding" / "config.json").unlink()
    modules = [{"path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    arrays = encode(["oil price"], open_float32(tmp_path)).arrays
    np.testing.assert_allclose(arrays["chunks/mean"][0], matrix[arrays["tokens/id"]].mean(0), atol=1e-6)


def test_it_needs_no_transformers(tmp_path: Path) -> None:
    call = """
import sys
sys.modules["transformers"] = None
from stages.embed import Options, open_encoder
from tests.encoding import encode
print(encode(["oil"], open_encoder(Options(model=sys.argv[1]))).arrays["chunks/mean"].shape)
"""
    command = [sys.executable, "-W", "error", "-c", call, str(make_static(tmp_path))]
    process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (process.stdout, process.stderr) == ("(1, 8)\n", "")


def test_a_tokenizer_with_more_ids_than_rows_raises_an_error(tmp_path: Path) -> None:
    make_static(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({"embeddings": load_file(file)["embeddings"][:20].clone()}, file)
    with pytest.raises(ModelUnavailable, match="but the encoder has only 20 rows"):
        open_float32(tmp_path)


def test_a_mapping_to_missing_rows_raises_an_error(tmp_path: Path) -> None:
    make_static(tmp_path, quantized=True)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"mapping": tensors["mapping"] + 9}, file)
    with pytest.raises(ModelUnavailable, match=re.escape(f"{tmp_path}: its mapping names rows that do not exist.")):
        encode(["oil"], open_float32(tmp_path))


def test_weights_of_another_length_raise_an_error(tmp_path: Path) -> None:
    make_static(tmp_path, quantized=True)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"weights": tensors["weights"][:5].clone()}, file)
    with pytest.raises(ModelUnavailable, match="the number of its weights is not that of its"):
        open_float32(tmp_path)
