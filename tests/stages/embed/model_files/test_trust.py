"""Python code that comes with a model runs only if it is trusted."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.errors import ModelUnavailable
from stages.augment.masked_words import open_masked_words
from stages.embed import Options, open_encoder
from tests.stages.embed.conftest import Folders
from tests.stages.embed.encoder.test_encoder import ROOT

CONFIGURATION = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    model_type = "own"
"""
MODELING = """
import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from .configuration_own import OwnConfig

class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.rows = torch.nn.Embedding(config.vocab_size, config.hidden_size)
        self.post_init()

    def forward(self, ids, attention_mask=None, **settings):
        states = self.rows(ids)
        inside = torch.ones_like(ids) if attention_mask is None else attention_mask
        return BaseModelOutput(states + (states * inside[..., None]).sum(1, keepdim=True))
"""
MAP = {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}


@pytest.fixture
def own(folders: Folders, tmp_path: Path) -> Path:
    """A folder with a network of its own kind."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "own"
    shutil.copytree(folders("bert"), folder)
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"vocab_size": rows, "hidden_size": 8, "num_hidden_layers": 1, "pad_token_id": 1}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": MAP} | sizes))
    (folder / "configuration_own.py").write_text(CONFIGURATION)
    (folder / "modeling_own.py").write_text(MODELING)
    tensors = {"rows.weight": torch.arange(rows * 8).reshape(rows, 8) / 100}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def open_local(folder: Path, *, trust: bool) -> Any:
    return open_encoder(Options(model=str(folder), device="cpu", trust_remote_code=trust))


def test_code_that_is_needed_and_not_trusted_raises_an_error(own: Path) -> None:
    (own / "configuration_own.py").write_text("raise SystemExit('this ran')")
    sentence = (
        f"{own} needs Python code of its own (modeling_own.OwnModel), which runs only if you trust it: read it, "
        "then add --trust-remote-code."
    )
    with pytest.raises(ModelUnavailable, match=f"^{re.escape(sentence)}$"):
        open_local(own, trust=False)


def test_a_network_with_code_of_its_own_replaces_no_words(own: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"^own needs Python code of its own, .* --model bert-base-uncased\.$"):
        open_masked_words(["a b c"], own, "own", 0.3)


def test_trusted_code_encodes(own: Path, tmp_path: Path) -> None:
    call = """
import sys
import torch
from safetensors.torch import load_file
from stages.augment.masked_words import open_masked_words
from stages.embed import Options, open_encoder
from tests.encoding import encode
folder = sys.argv[1]
options = Options(model=folder, dtype="float32", device="cpu", trust_remote_code=True)
arrays = encode(["oil price", "oil"], open_encoder(options)).arrays
encoder = open_encoder(options)
ids = torch.tensor([*encoder.opening, *arrays["tokens/id"][-1:].tolist(), *encoder.closing])
rows = load_file(folder + "/model.safetensors")["rows.weight"][ids]
print(bool(abs((rows[0] + rows.sum(0)).numpy() - arrays["chunks/cls"][1]).max() < 1e-5))
"""
    command = [sys.executable, "-W", "error", "-c", call, str(own)]
    environment = os.environ | {"HF_HOME": str(tmp_path / "hub"), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert (process.stdout, process.stderr) == ("True\n", "")


def test_changed_code_gives_another_recipe(own: Path) -> None:
    recipe = open_local(own, trust=True).recipe
    assert open_local(own, trust=True).recipe == recipe
    (own / "modeling_own.py").write_text(MODELING.replace("states + ", "states - "))
    assert open_local(own, trust=True).recipe.config != recipe.config


def test_a_family_of_transformers_needs_no_trust(folders: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_own.OwnModel"}}))
    assert open_local(folder, trust=False).dim == 16
    with pytest.raises(ModelUnavailable, match=re.escape(f"{folder} lacks modeling_own.py. Copy the model again.")):
        open_local(folder, trust=True)


def test_code_of_another_repository_raises_an_error(own: Path) -> None:
    config = json.loads((own / "config.json").read_text())
    elsewhere = {"AutoModel": "someone/code--modeling_own.OwnModel"}
    (own / "config.json").write_text(json.dumps(config | {"auto_map": elsewhere}))
    with pytest.raises(ModelUnavailable, match=r"uses code from another repository \(someone/code\)"):
        open_local(own, trust=True)
