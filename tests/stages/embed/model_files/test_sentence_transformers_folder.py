"""sentence-transformers folders: their files are read and reported; the stored vectors are the encoder's own states."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ModelUnavailable
from stages.embed import Encoder, Options, open_encoder
from stages.embed.model_files.sentence_transformers_folder import (
    SentenceTransformersFolder,
    read_sentence_transformers_folder,
)
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from tests.encoding import encode
from tests.stages.embed.conftest import Folders
from tests.stages.embed.reference import reference_states
from tests.tiny_encoder import SENTENCES, make_sentence_transformers_folder

MEAN = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
PROMPTS = {"prompts": {"query": "query: ", "text": "the oil price: "}, "default_prompt_name": "text"}


def make_folder(
    folders: Folders,
    folder: Path,
    family: str = "bert",
    pooling: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    max_length: int | None = None,
) -> Path:
    shutil.copytree(folders(family), folder)
    return make_sentence_transformers_folder(folder, pooling or MEAN, config or {}, max_length)


def open_float32(folder: Path, **options: Any) -> Encoder:
    return open_encoder(Options(model=str(folder), dtype="float32", device="cpu", **options))


def test_a_plain_model_folder_has_no_notes(folders: Folders) -> None:
    assert read_sentence_transformers_folder(folders("bert")) == SentenceTransformersFolder(folder=folders("bert"))
    assert open_float32(folders("bert")).notes == ()


def test_the_default_prompt_is_added_to_every_window_and_reported(folders: Folders, tmp_path: Path) -> None:
    folder = make_folder(folders, tmp_path / "model", config=PROMPTS)
    encoder = open_float32(folder, window=9)
    assert encoder.recipe.prefix == "the oil price: "
    assert "The default prompt 'the oil price: ' is added to every window; --prefix '' removes it." in encoder.notes
    assert encoder.recipe == open_float32(folders("bert"), window=9, prefix="the oil price: ").recipe
    arrays = encode(SENTENCES, encoder).arrays
    for row, (states, _) in enumerate(reference_states(folders("bert"), SENTENCES, encoder)):
        np.testing.assert_allclose(arrays["chunks/mean"][row], states.mean(0), atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_the_users_prefix_replaces_the_default_prompt(folders: Folders, tmp_path: Path, prefix: str) -> None:
    encoder = open_float32(make_folder(folders, tmp_path / "model", config=PROMPTS), prefix=prefix)
    assert encoder.recipe.prefix == prefix
    assert not any("prompt" in note for note in encoder.notes)


def test_prompts_without_a_default_are_reported_and_not_used(folders: Folders, tmp_path: Path) -> None:
    encoder = open_float32(make_folder(folders, tmp_path / "model", config=PROMPTS | {"default_prompt_name": None}))
    assert encoder.recipe.prefix == ""
    assert (
        "has prompts (query 'query: ', text 'the oil price: '), but no default. Choose one with --prefix."
        in encoder.notes[1]
    )


@pytest.mark.parametrize(
    ("family", "pooling", "pooling_note"),
    [
        ("bert", MEAN, "by mean. "),
        ("bert", {"pooling_mode_cls_token": True}, "by cls. "),
        ("bert", {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "by cls and max. "),
        ("bert", {"pooling_mode_weightedmean_tokens": True}, "by weightedmean, which a store does not keep. "),
        ("bert", {"pooling_mode": "cls"}, "by cls. "),
        ("bert", {"pooling_mode_lasttoken": True}, "by lasttoken, which a store does not keep. "),
        ("qwen3", {"pooling_mode_lasttoken": True}, "by the last token, which is cls here. "),
    ],
)
def test_the_models_own_pooling_is_reported(
    folders: Folders, tmp_path: Path, family: str, pooling: dict[str, Any], pooling_note: str
) -> None:
    notes = open_float32(make_folder(folders, tmp_path / "model", family, pooling)).notes
    skipped = "The later steps of the model are not applied: scaling to length 1."
    assert notes[-1] == f"{tmp_path / 'model'} pools {pooling_note}{skipped}"


def test_a_pooling_that_ignores_the_prompt_is_reported(folders: Folders, tmp_path: Path) -> None:
    notes = open_float32(
        make_folder(folders, tmp_path / "model", pooling=MEAN | {"include_prompt": False}, config=PROMPTS)
    ).notes
    assert notes[-1].endswith("The model's own pooling ignores it; mean and max do not.")


def test_the_default_window_respects_the_maximum_length(folders: Folders, tmp_path: Path) -> None:
    folder = make_folder(folders, tmp_path / "model", max_length=32)
    assert open_float32(folder).recipe.window == 30
    assert open_float32(folder, special_tokens=False).recipe.window == 32
    assert open_float32(folder).notes[-1].startswith("The window is 30 tokens, because the maximum length")
    assert open_float32(folder, window=62).recipe.window == 62


def test_a_maximum_length_above_the_positions_changes_nothing(folders: Folders, tmp_path: Path) -> None:
    assert open_float32(make_folder(folders, tmp_path / "model", max_length=4096)).recipe.window == 62


def test_the_encoder_may_have_its_own_folder(folders: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make_sentence_transformers_folder(folder, MEAN, {}, 32)
    shutil.copytree(folders("bert"), folder / "0_Transformer")
    (folder / "sentence_bert_config.json").rename(folder / "0_Transformer" / "sentence_bert_config.json")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0] | {"path": "0_Transformer"}, *modules[1:]]))
    encoder = open_float32(folder)
    assert encoder.recipe.window == 30
    assert encoder.recipe.weights == open_float32(folders("bert")).recipe.weights


def test_modules_after_the_pooling_are_reported(folders: Folders, tmp_path: Path) -> None:
    folder = make_folder(folders, tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "not applied: Dense, scaling to length 1." in open_float32(folder).notes[0]


@pytest.mark.parametrize("file", ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"])
@pytest.mark.parametrize("content", ["{", '"x"'])
def test_a_damaged_file_raises_an_error(folders: Folders, tmp_path: Path, file: str, content: str) -> None:
    folder = make_folder(folders, tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(ModelUnavailable, match=rf"^{re.escape(str(folder / file))} .* Copy the model again\.$"):
        open_float32(folder)


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere"])
def test_a_module_outside_the_folder_raises_an_error(folders: Folders, tmp_path: Path, path: str) -> None:
    folder = make_folder(folders, tmp_path / "model")
    (folder / "modules.json").write_text(json.dumps([{"path": path, "type": "x.Transformer"}]))
    with pytest.raises(ModelUnavailable, match=re.escape(f"names {path}, which is outside the model folder.")):
        open_float32(folder)


def test_embedding_reports_the_notes_and_records_them_in_the_store(folders: Folders, tmp_path: Path) -> None:
    model = make_folder(folders, tmp_path / "model", config=PROMPTS)
    rows = [f"{text!r},{'yes' if row % 2 else 'no'}" for row, text in enumerate(SENTENCES)]
    (tmp_path / "texts.csv").write_text("\n".join(['"text","label"', *(row.replace("'", '"') for row in rows)]))
    options, messages = Options(model=str(model), device="cpu", window=9), list[str]()
    request = EmbedRequest(source=str(tmp_path / "texts.csv"), options=options, store=tmp_path / "store")
    store, report = embed_source(request, notify=messages.append, progress=lambda _: None)
    notes = open_encoder(options).notes
    assert report.encoded == len(SENTENCES) and set(notes) <= set(messages)
    record = json.loads(next((store.folder / "records").glob("embed-*.json")).read_text())
    assert tuple(record["encoder"]) == notes
    request = replace(request, options=Options(device="cpu"))
    again, _ = embed_source(request, notify=messages.append, progress=lambda _: None)
    assert again.recipe == store.recipe and store.recipe.prefix == "the oil price: "
