"""What cannot be trained or converted is refused before its weights are downloaded from a hub."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from data.errors import ModelUnavailable
from stages.adapt.masked_language_model import check_masked_encoder
from stages.adapt.plan import AdaptPlan
from stages.adapt.support import find_base_encoder
from stages.embed.encoder.options import Options
from stages.finetune.preparation import FinetuneRequest, prepare
from stages.finetune.settings import FinetuneSettings
from stages.lengthen.lengthen import LengthenRequest, lengthen

NAME = "someone/model"


class Hub:
    """A hub with one model, whose files are those of a folder; it counts what is downloaded."""

    def __init__(self, files: Path, cache: Path) -> None:
        self.files, self.cache = files, cache
        self.downloaded: list[str] = []

    def model_info(self) -> SimpleNamespace:
        names = [path.relative_to(self.files).as_posix() for path in self.files.rglob("*") if path.is_file()]
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])

    def snapshot_download(
        self, repository: str, *, local_files_only: bool = False, allow_patterns: Sequence[str] = (), **_: object
    ) -> str:
        if local_files_only and not self.cache.exists():
            raise FileNotFoundError(repository)
        for name in allow_patterns:
            (self.cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.files / name, self.cache / name)
            self.downloaded.append(name)
        return str(self.cache)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path / "files", tmp_path / "cache")
    import_module("transformers.utils.hub")  # it keeps the functions of the library that it finds when it is imported
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda _, repository, **options: made.model_info())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(FinetuneSettings, "check_extra", lambda _: None)
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))
    return made


def adapt() -> None:
    find_base_encoder(NAME, None, AdaptPlan(method="simcse"))


def finetune() -> None:
    prepare(FinetuneRequest(source="none.csv", options=Options(model=NAME), settings=FinetuneSettings()), print)


def perplexity() -> None:
    check_masked_encoder(NAME)


def lengthen_it() -> None:
    lengthen(LengthenRequest(model=NAME, name="new", positions=4096))


def write_model(hub: Hub, files: Mapping[str, object]) -> None:
    for name, content in files.items():
        path = hub.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")


SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 9, "max_position_embeddings": 32}
ENCODER_DECODER = {"config.json": {"model_type": "bart", **SIZES}, "model.safetensors": {}}
MODEL2VEC = {"config.json": {"model_type": "model2vec"}, "tokenizer.json": {}, "model.safetensors": {}}
STATIC_EMBEDDING = {
    "modules.json": [{"path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}],
    "0_StaticEmbedding/tokenizer.json": {},
    "0_StaticEmbedding/model.safetensors": {},
}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (adapt, "is an encoder-decoder"),
        (finetune, "is an encoder-decoder"),
        (perplexity, "is an encoder-decoder"),
        (lengthen_it, "is of the family 'bart', which cannot be lengthened"),
    ],
)
def test_an_architecture_without_support_is_refused_without_its_weights(
    hub: Hub, call: Callable[[], None], message: str
) -> None:
    write_model(hub, ENCODER_DECODER)
    with pytest.raises(ModelUnavailable, match=f"^{NAME} {message}"):
        call()
    assert hub.downloaded == ["config.json"]


@pytest.mark.parametrize("files", [MODEL2VEC, STATIC_EMBEDDING], ids=["model2vec", "sentence-transformers"])
@pytest.mark.parametrize("call", [adapt, finetune, perplexity, lengthen_it])
def test_a_static_model_is_named_as_such_without_its_weights(
    hub: Hub, call: Callable[[], None], files: Mapping[str, object]
) -> None:
    write_model(hub, files)
    with pytest.raises(ModelUnavailable, match=f"^{NAME} is a static model"):
        call()
    assert not [name for name in hub.downloaded if name.endswith(".safetensors")]


def test_an_encoder_that_can_be_trained_is_downloaded_with_its_weights(hub: Hub) -> None:
    write_model(hub, {"config.json": {"model_type": "bert", **SIZES}})
    hub.files.joinpath("pytorch_model.bin").touch()
    base = find_base_encoder(NAME, None, AdaptPlan(method="simcse"))
    assert (base.location / "pytorch_model.bin").is_file()
