"""Writes a fine-tuned encoder: its weights, and the files of the encoder that it was made from."""

import json
import shutil
from pathlib import Path

from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.finetune.classifier import EncoderClassifier

__all__ = ["write_encoder"]

_COPIED = (".json", ".txt", ".model")


def write_encoder(classifier: EncoderClassifier, base: Path, folder: Path) -> None:
    """Write an encoder into an empty folder, with the tokenizer and the settings of the one in `base`."""
    encoder = read_sentence_transformers_folder(base).folder
    for source in (base, encoder):
        for file in sorted(source.iterdir()):
            if file.suffix in _COPIED and not file.name.endswith(".index.json"):
                shutil.copyfile(file, folder / file.name)
    classifier.save_encoder(folder)
    shutil.copyfile(encoder / "config.json", folder / "config.json")
    listing = base / "modules.json"
    if listing.is_file():
        modules = json.loads(listing.read_text(encoding="utf-8"))
        for module in modules:
            if base / module["path"] == encoder:
                module["path"] = ""
            elif (base / module["path"]).is_dir():
                shutil.copytree(base / module["path"], folder / module["path"])
        (folder / "modules.json").write_text(json.dumps(modules, indent=1), encoding="utf-8")
