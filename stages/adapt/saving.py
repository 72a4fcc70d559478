"""Writes an adapted encoder: its weights, and the files of the encoder that it was made from."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore import EncoderTraining
from stages.adapt.support import BaseEncoder
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.saved_encoders import save_encoder
from stages.embed.model_files.sentence_transformers_folder import copy_modules

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# tokenizer and settings; a model card would describe another model
_COPIED = (".json", ".txt", ".model", ".tiktoken")
_NOT_COPIED = ("encoder_training.json", "verdict.json", "generation_config.json")
_DTYPES = ("dtype", "torch_dtype")  # of the original weights


def save_adapted_encoder(name: str, training: EncoderTraining, base: BaseEncoder, network: "PreTrainedModel") -> None:
    """Save an encoder under a name.

    Args:
        name: Of the new encoder.
        training: Everything that it learned from.
        base: The encoder that it was made from: tokenizer, configuration and files of sentence-transformers are copied.
        network: The new weights.

    Raises:
        StorageFailed: The disk is full or refuses to write.
    """
    with save_encoder(name, training) as folder:
        with silence_transformers():
            network.save_pretrained(folder)
        for file in folder.glob("*.safetensors"):
            file.chmod(0o644)  # safetensors lets nobody else read it
        for file in _setting_files(base.files.folder):
            shutil.copyfile(file, folder / file.name)
        if base.files.folder != base.location:
            for file in _setting_files(base.location):
                shutil.copyfile(file, folder / file.name)
        copy_modules(base.location, base.files.folder, folder)
        config = json.loads((base.files.folder / "config.json").read_text(encoding="utf-8"))
        _write_json(folder / "config.json", {key: value for key, value in config.items() if key not in _DTYPES})


def _setting_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        is_index = path.name.endswith(".index.json")
        if path.is_file() and path.suffix in _COPIED and path.name not in _NOT_COPIED and not is_index:
            yield path


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
