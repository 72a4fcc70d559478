import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError, ModelUnavailable, UnknownName
from stages.embed import Options, open_encoder
from stages.embed.model_files.model_lookup import find_packaged_model
from tests.encoding import encode
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.reference import EVERYTHING, TEXTS, reference_states
from tests.tiny_encoder import SENTENCES, make_network, make_tokenizer

ROOT = Path(__file__).parents[4]


@pytest.mark.skipif(find_packaged_model("all-MiniLM-L6-v2") is None, reason="the packaged encoder is not installed")
def test_the_packaged_encoder_gives_what_transformers_gives() -> None:
    encoder = open_encoder(Options(dtype="float32", window=40, keep=("cls", "mean")))
    folder = find_packaged_model("all-MiniLM-L6-v2")
    assert folder is not None
    arrays = encode(TEXTS, encoder).arrays
    for row, (states, _) in enumerate(reference_states(folder, TEXTS, encoder)):
        np.testing.assert_allclose(arrays["chunks/cls"][row], states[0], atol=1e-5)
        np.testing.assert_allclose(arrays["chunks/mean"][row], states.mean(0), atol=1e-5)
    assert row + 1 == len(arrays["chunks/mean"])


def test_without_special_tokens_a_window_is_its_tokens_alone(tiny: Open, folders: Folders) -> None:
    encoder = tiny(special_tokens=False, window=9, **EVERYTHING)
    arrays = encode(SENTENCES, encoder).arrays
    states, lengths = zip(*reference_states(folders("bert"), SENTENCES, encoder), strict=True)
    assert [len(state) for state in states] == list(lengths)
    np.testing.assert_allclose(arrays["tokens/vector"], np.concatenate(states), atol=1e-5)


def test_a_prefix_is_in_every_window_and_in_no_segment(tiny: Open, folders: Folders) -> None:
    encoder = tiny(prefix="the oil price: ", window=9, **EVERYTHING)
    assert len(encoder.opening) > 2
    arrays = encode([" ".join(SENTENCES)], encoder).arrays
    for row, (states, own) in enumerate(reference_states(folders("bert"), [" ".join(SENTENCES)], encoder)):
        np.testing.assert_allclose(arrays["chunks/mean"][row], states.mean(0), atol=1e-5)
        own_states = states[len(encoder.opening) : len(encoder.opening) + own]
        np.testing.assert_allclose(arrays["segments/vector"][2 * row], own_states[:5].mean(0), atol=1e-5)


def test_layers_are_kept_in_the_order_of_the_recipe(tiny: Open, folders: Folders) -> None:
    import torch
    from transformers import AutoModel

    encoder = tiny(layers="all", keep=("cls", "tokens"))
    assert encoder.recipe.layers == (-3, -2, -1)
    arrays = encode(SENTENCES[:1], encoder).arrays
    ids = torch.tensor([[*encoder.opening, *arrays["tokens/id"].tolist(), *encoder.closing]])
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folders("bert")).eval()(ids, output_hidden_states=True).hidden_states
    for place, state in enumerate(states):
        np.testing.assert_allclose(arrays["chunks/cls"][0, place], state[0, 0].numpy(), atol=1e-5)
        np.testing.assert_allclose(arrays["tokens/vector"][:, place], state[0, 1:-1].numpy(), atol=1e-5)


def test_the_embeddings_alone_can_be_kept(tiny: Open, folders: Folders) -> None:
    every, first = (encode(SENTENCES, tiny(layers=layers, keep=("mean",))).arrays for layers in ("all", "0"))
    np.testing.assert_allclose(first["chunks/mean"], every["chunks/mean"][:, 0], atol=1e-6)


def test_an_empty_document_has_one_chunk_and_one_segment_of_its_special_tokens(tiny: Open) -> None:
    arrays = encode([""], tiny(**EVERYTHING)).arrays
    assert arrays["chunks/mean"].any()
    np.testing.assert_allclose(arrays["segments/vector"], arrays["chunks/mean"])
    assert len(arrays["tokens/id"]) == len(arrays["tokens/vector"]) == 0
    assert arrays["chunks/span"].tolist() == [[0, 0]]


def test_an_empty_document_without_special_tokens_is_all_zeros(tiny: Open) -> None:
    arrays = encode(["", "oil"], tiny(special_tokens=False, **EVERYTHING)).arrays
    for name in ("chunks/cls", "chunks/mean", "chunks/max", "segments/vector"):
        assert not arrays[name][0].any()
        assert arrays[name][1].any()


def test_equal_texts_have_one_row_each_and_rows_are_in_the_order_of_the_texts(tiny: Open) -> None:
    content = encode(["oil", "wheat and corn", "oil"], tiny())
    assert content.keys[0] == content.keys[2] != content.keys[1]
    np.testing.assert_allclose(content.arrays["chunks/mean"][0], content.arrays["chunks/mean"][2], atol=1e-6)


def test_no_texts_are_no_rows(tiny: Open) -> None:
    content = encode([], tiny(**EVERYTHING))
    assert list(content.keys) == []
    assert content.arrays["chunks/mean"].shape == (0, 16)
    assert content.arrays["documents/chunk_offsets"].tolist() == [0]


def test_the_default_window_is_254_or_what_the_positions_allow(tiny: Open) -> None:
    assert tiny().recipe.window == 64 - 2
    assert tiny("roberta").recipe.window == 64 - 2
    assert tiny(special_tokens=False).recipe.window == 64
    encode([" ".join(SENTENCES)], tiny("roberta"))


def test_the_models_own_window_is_the_longest_that_it_supports(tiny: Open) -> None:
    assert tiny("roberta", long="model").recipe.window == 64 - 2
    assert tiny(long="model", prefix="oil ").windowing.window == 64 - 3


def test_the_models_own_window_raises_an_error_if_its_config_has_none(folders: Folders, tmp_path: Path) -> None:
    shutil.copytree(folders("bert"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    del config["max_position_embeddings"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CallError, match=r"has no longest window of its own\. Use --window instead of --long model"):
        open_encoder(Options(model=str(tmp_path / "model"), long="model"))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_window_longer_than_the_positions_raises_an_error(tiny: Open, family: str) -> None:
    with pytest.raises(CallError, match=r"window is 63, but .* has 64 positions, 2 of them .* longest window is 62\."):
        tiny(family, window=63)


def test_a_prefix_that_leaves_no_room_raises_an_error(tiny: Open) -> None:
    with pytest.raises(CallError, match=r"The prefix and the special tokens take 72 positions, but .* has only 64\."):
        tiny(prefix="oil " * 70)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cpu:1"])
def test_a_missing_device_raises_an_error(tiny: Open, device: str) -> None:
    with pytest.raises(CallError, match=f"There is no device '{device}' on this machine. Available: auto, .*cpu"):
        encode(["oil"], tiny(device=device))


def test_a_tokenizer_with_more_ids_than_the_encoder_has_rows_raises_an_error(tmp_path: Path) -> None:
    vocabulary = make_tokenizer(tmp_path)
    make_network(tmp_path, "bert", 16, 1, 64, vocabulary - 1)
    with pytest.raises(
        ModelUnavailable,
        match=f"the tokenizer has ids up to {vocabulary - 1}, but the encoder has only",
    ):
        open_encoder(Options(model=str(tmp_path)))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_raises_an_error(folders: Folders, tmp_path: Path, file: str) -> None:
    shutil.copytree(folders("bert"), tmp_path / "model")
    (tmp_path / "model" / file).unlink()
    with pytest.raises(ModelUnavailable, match=re.escape(str(tmp_path / "model"))):
        open_encoder(Options(model=str(tmp_path / "model")))


def test_missing_tensors_raise_an_error_and_are_not_filled_with_random_values(folders: Folders, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders("bert"), tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if "layer.1." not in name}, tmp_path / "model.st")
    (tmp_path / "model.st").replace(tmp_path / "model" / "model.safetensors")
    with pytest.raises(
        ModelUnavailable, match=r"the checkpoint lacks 16 of the encoder's tensors \(the first is encoder"
    ):
        encode(["oil"], open_encoder(Options(model=str(tmp_path / "model"))))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"model_type": "vit", "vocab_size": None},
            r"of the family 'vit', which does not read text: its config\.json has no",
        ),
        (
            {"model_type": "whisper", "is_encoder_decoder": True},
            r"of the family 'whisper', whose encoder cannot be used alone\. That is possible for bart, ",
        ),
    ],
)
def test_a_network_that_is_not_a_text_encoder_raises_an_error(
    folders: Folders, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        open_encoder(Options(model=str(copy_with_config(folders("bert"), tmp_path / "model", changes))))


def test_an_audio_network_raises_an_error_before_any_encoding(folders: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_wav2vec2(copy_with_config(folders("bert"), folder, {"model_type": "wav2vec2"}))
    with pytest.raises(ModelUnavailable, match=f"{re.escape(str(folder))} cannot be used as a text encoder"):
        _ = open_encoder(Options(model=str(folder), device="cpu")).network


def test_an_unknown_decoder_raises_an_error(folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stages.embed.model_files.model_families._CAUSAL", frozenset[str]())
    with pytest.raises(ModelUnavailable, match=r"is a causal network, .* 'gpt2': its first position contains nothing"):
        _ = open_encoder(Options(model=str(folders("gpt2")), device="cpu")).network


def copy_with_config(folder: Path, copy: Path, changes: dict[str, Any]) -> Path:
    """Copy `folder` and change values in its config; None removes a value."""
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text()) | changes
    (copy / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return copy


def write_wav2vec2(folder: Path) -> None:
    from transformers import AutoConfig, AutoModel

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    sizes |= {"conv_dim": [8], "conv_stride": [2], "conv_kernel": [3], "num_feat_extract_layers": 1}
    sizes |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 1000}
    AutoModel.from_config(AutoConfig.for_model("wav2vec2", **sizes)).save_pretrained(folder)


def test_an_unknown_family_raises_an_error(folders: Folders, tmp_path: Path) -> None:
    shutil.copytree(folders("bert"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"model_type": "nothing"}))
    with pytest.raises(ModelUnavailable, match="cannot be loaded as an encoder"):
        encode(["oil"], open_encoder(Options(model=str(tmp_path / "model"))))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep": ("cls", "mode")}, "There is no kind of vector to keep called 'mode'."),
        ({"dtype": "float8"}, "There is no number type called 'float8'. Did you mean 'float32'?"),
        ({"precision": "half"}, "There is no precision called 'half'."),
        ({"long": "windos"}, "There is no strategy for long documents called 'windos'. Did you mean 'windows'?"),
    ],
)
def test_misspelled_values_suggest_the_nearest(tiny: Open, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(sentence)):
        tiny(**options)


@pytest.mark.parametrize("option", ["window", "max_windows", "segment", "batch_tokens"])
def test_a_size_of_zero_raises_an_error(tiny: Open, option: str) -> None:
    with pytest.raises(CallError, match=f"{option.replace('_', '-')} is 0; it must be at least 1"):
        tiny(**{option: 0})


CHANGES: dict[str, Any] = {
    "window": 10,
    "stride": 2,
    "max_windows": 3,
    "long": "head",
    "special_tokens": False,
    "prefix": "query: ",
    "keep": ("cls",),
    "segment": 8,
    "layers": "-2",
    "dtype": "float16",
    "precision": "bfloat16",
}


@pytest.mark.parametrize("option", CHANGES)
def test_an_option_that_changes_a_value_changes_the_fingerprint(tiny: Open, option: str) -> None:
    assert tiny(**{option: CHANGES[option]}).recipe.fingerprint != tiny().recipe.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"batch_tokens": 7, "device": "auto"}),
        ({"keep": ("cls",), "segment": 5}, {"keep": ("cls",), "segment": 32}),
        ({"long": "model", "stride": 3}, {"window": 62, "stride": 3}),
        ({"long": "random:007"}, {"long": "random:7"}),
        ({"layers": "-1,-2"}, {"layers": "2,1"}),
        ({"keep": ("mean", "cls")}, {"keep": ("cls", "mean")}),
        ({"window": 62}, {}),
    ],
)
def test_options_that_change_no_value_give_the_same_recipe(
    tiny: Open, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert tiny(**one).recipe.fingerprint == tiny(**other).recipe.fingerprint


def test_a_copied_folder_has_the_same_recipe_and_another_network_has_another(folders: Folders, tmp_path: Path) -> None:
    shutil.copytree(folders("bert"), tmp_path / "copy")
    recipes = [open_encoder(Options(model=str(path))).recipe for path in (folders("bert"), tmp_path / "copy")]
    assert recipes[0] == recipes[1]
    make_network(tmp_path / "copy", "bert", 16, 2, 64, 400, seed=1)
    assert open_encoder(Options(model=str(tmp_path / "copy"))).recipe != recipes[0]


def test_opening_needs_no_torch_and_encoding_prints_nothing(folders: Folders) -> None:
    call = """
import sys
from stages.embed import Options, open_encoder
from tests.encoding import encode
encoder = open_encoder(Options(model=sys.argv[1]))
print("torch" in sys.modules, "transformers" in sys.modules)
print(encode(["oil"], encoder).arrays["chunks/mean"].shape)
"""
    command = [sys.executable, "-W", "error", "-c", call, str(folders("bert"))]
    process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (process.stdout, process.stderr) == ("False False\n(1, 16)\n", "")
