"""sentence-transformers folders: what their files say is read, and told; what is kept is the encoder's own states."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ModelUnavailable
from data.table import Columns
from stages.embed import Encoder, Options, encode, open_encoder
from stages.embed.model_files.sentence_transformers_folder import (
    SentenceTransformersFolder,
    read_sentence_transformers_folder,
)
from stages.embed.pipeline.embed_source import embed_source
from tests.stages.embed.conftest import Folders
from tests.stages.embed.reference import reference_states
from tests.tiny_encoder import SENTENCES, make_sentence_folder

MEAN = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
PROMPTS = {"prompts": {"query": "query: ", "text": "the oil price: "}, "default_prompt_name": "text"}


def made(
    folders: Folders,
    folder: Path,
    family: str = "bert",
    pooling: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    longest: int | None = None,
) -> Path:
    shutil.copytree(folders(family), folder)
    return make_sentence_folder(folder, pooling or MEAN, about or {}, longest)


def opened(folder: Path, **options: Any) -> Encoder:
    return open_encoder(Options(model=str(folder), dtype="float32", device="cpu", **options))


def test_a_plain_folder_says_nothing(folders: Folders) -> None:
    assert read_sentence_transformers_folder(folders("bert")) == SentenceTransformersFolder(folder=folders("bert"))
    assert opened(folders("bert")).notes == ()


def test_the_default_prompt_is_set_before_every_window_and_said(folders: Folders, tmp_path: Path) -> None:
    folder = made(folders, tmp_path / "model", about=PROMPTS)
    encoder = opened(folder, window=9)
    assert encoder.recipe.prefix == "the oil price: "
    assert (
        "'the oil price: ', its default prompt, is set before every window; --prefix '' leaves it out." in encoder.notes
    )
    assert encoder.recipe == opened(folders("bert"), window=9, prefix="the oil price: ").recipe
    arrays = encode(SENTENCES, encoder).arrays
    for row, (states, _) in enumerate(reference_states(folders("bert"), SENTENCES, encoder)):
        np.testing.assert_allclose(arrays["chunks/mean"][row], states.mean(0), atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_a_prefix_that_was_asked_goes_before_the_default_prompt(folders: Folders, tmp_path: Path, prefix: str) -> None:
    encoder = opened(made(folders, tmp_path / "model", about=PROMPTS), prefix=prefix)
    assert encoder.recipe.prefix == prefix
    assert not any("prompt" in note for note in encoder.notes)


def test_prompts_without_a_default_are_named_and_not_set(folders: Folders, tmp_path: Path) -> None:
    encoder = opened(made(folders, tmp_path / "model", about=PROMPTS | {"default_prompt_name": None}))
    assert encoder.recipe.prefix == ""
    assert "has prompts (query 'query: ', text 'the oil price: '), none of them its default" in encoder.notes[1]


@pytest.mark.parametrize(
    ("family", "pooling", "says"),
    [
        ("bert", MEAN, "from mean. "),
        ("bert", {"pooling_mode_cls_token": True}, "from cls. "),
        ("bert", {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "from cls and max. "),
        ("bert", {"pooling_mode_weightedmean_tokens": True}, "from weightedmean, which is not kept here. "),
        ("bert", {"pooling_mode": "cls"}, "from cls. "),
        ("bert", {"pooling_mode_lasttoken": True}, "from lasttoken, which is not kept here. "),
        ("qwen3", {"pooling_mode_lasttoken": True}, "from the last token, which is cls here. "),
    ],
)
def test_the_models_own_pooling_is_told(
    folders: Folders, tmp_path: Path, family: str, pooling: dict[str, Any], says: str
) -> None:
    notes = opened(made(folders, tmp_path / "model", family, pooling)).notes
    behind = "What follows there is not applied to what is kept: scaling to length 1."
    assert notes[-1] == f"{tmp_path / 'model'} makes its own vectors {says}{behind}"


def test_a_pooling_that_leaves_the_prompt_out_is_told(folders: Folders, tmp_path: Path) -> None:
    notes = opened(made(folders, tmp_path / "model", pooling=MEAN | {"include_prompt": False}, about=PROMPTS)).notes
    assert notes[-1].endswith("Its own pooling leaves the prompt's tokens out; mean and max do not.")


def test_the_default_window_is_no_longer_than_the_texts_of_its_training(folders: Folders, tmp_path: Path) -> None:
    folder = made(folders, tmp_path / "model", longest=32)
    assert opened(folder).recipe.window == 30
    assert opened(folder, special_tokens=False).recipe.window == 32
    assert opened(folder).notes[-1].startswith(f"The window is 30: {folder} was trained on texts of 32 tokens.")
    assert opened(folder, window=62).recipe.window == 62


def test_a_length_above_the_positions_changes_nothing(folders: Folders, tmp_path: Path) -> None:
    assert opened(made(folders, tmp_path / "model", longest=4096)).recipe.window == 62


def test_the_encoder_is_found_in_a_folder_of_its_own(folders: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make_sentence_folder(folder, MEAN, {}, 32)
    shutil.copytree(folders("bert"), folder / "0_Transformer")
    (folder / "sentence_bert_config.json").rename(folder / "0_Transformer" / "sentence_bert_config.json")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0] | {"path": "0_Transformer"}, *modules[1:]]))
    encoder = opened(folder)
    assert encoder.recipe.window == 30
    assert encoder.recipe.weights == opened(folders("bert")).recipe.weights


def test_modules_behind_the_pooling_are_named(folders: Folders, tmp_path: Path) -> None:
    folder = made(folders, tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "not applied to what is kept: Dense, scaling to length 1." in opened(folder).notes[0]


@pytest.mark.parametrize("file", ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"])
@pytest.mark.parametrize("content", ["{", '"x"'])
def test_a_file_cut_short_is_refused(folders: Folders, tmp_path: Path, file: str, content: str) -> None:
    folder = made(folders, tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(ModelUnavailable, match=rf"^{re.escape(str(folder / file))} .* Copy the model again\.$"):
        opened(folder)


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere"])
def test_a_module_outside_the_folder_is_refused(folders: Folders, tmp_path: Path, path: str) -> None:
    folder = made(folders, tmp_path / "model")
    (folder / "modules.json").write_text(json.dumps([{"path": path, "type": "x.Transformer"}]))
    with pytest.raises(ModelUnavailable, match=re.escape(f"names {path}, which is outside its folder.")):
        opened(folder)


def test_embedding_tells_the_notes_and_keeps_them_beside_the_features(folders: Folders, tmp_path: Path) -> None:
    model = made(folders, tmp_path / "model", about=PROMPTS)
    rows = [f"{text!r},{'yes' if row % 2 else 'no'}" for row, text in enumerate(SENTENCES)]
    (tmp_path / "texts.csv").write_text("\n".join(['"text","label"', *(row.replace("'", '"') for row in rows)]))
    options, told = Options(model=str(model), device="cpu", window=9), list[str]()
    call: dict[str, Any] = {"notify": told.append, "progress": lambda _: None, "store": tmp_path / "store"}
    store, report = embed_source(str(tmp_path / "texts.csv"), Columns(), options, **call)
    notes = open_encoder(options).notes
    assert report.encoded == len(SENTENCES) and set(notes) <= set(told)
    record = json.loads(next((store.folder / "records").glob("embed-*.json")).read_text())
    assert tuple(record["encoder"]) == notes
    again, _ = embed_source(str(tmp_path / "texts.csv"), Columns(), Options(device="cpu"), **call)
    assert again.recipe == store.recipe and store.recipe.prefix == "the oil price: "
