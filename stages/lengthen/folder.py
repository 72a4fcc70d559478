"""The files around the weights of a lengthened encoder: its tokenizer, and what sentence-transformers reads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.errors import ModelUnavailable
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.sentence_transformers_folder import copy_modules

_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *("vocab.*", "*.model"),
)
_LENGTH_FILES = "sentence_*_config.json"
_LENGTHS = ("model_max_length", "max_length", "max_len")


def open_tokenizer(folder: Path) -> Any:
    """Open the tokenizer of a model folder with transformers. Raises ModelUnavailable if that fails."""
    with silence_transformers():
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # transformers and tokenizers raise errors of any type
            reason = str(error).strip().partition("\n")[0]
            raise ModelUnavailable(
                f"{folder}: its tokenizer cannot be read ({reason}). Copy the model again."
            ) from None


def copy_tokenizer(source: Path, target: Path, class_name: str, positions: int) -> None:
    """Copy the files of a tokenizer, with the new maximum length.

    Args:
        source: The folder of the original encoder.
        target: The folder of the lengthened one.
        class_name: The class that transformers chose for the original; it would choose another one for a Longformer.
        positions: The longest input.
    """
    for path in {path for pattern in _TOKENIZER_FILES for path in source.glob(pattern)}:
        shutil.copyfile(path, target / path.name)

    def set_length(settings: dict[str, Any]) -> None:
        settings.setdefault("tokenizer_class", class_name)
        settings.update({name: positions for name in _LENGTHS if name in settings} | {"model_max_length": positions})

    def set_truncation(definition: dict[str, Any]) -> None:
        if definition.get("truncation"):
            definition["truncation"]["max_length"] = positions
        if definition.get("padding"):
            definition["padding"]["strategy"] = "BatchLongest"  # the original may pad each text to its shorter maximum

    _edit_json(target / "tokenizer_config.json", set_length)
    if (target / "tokenizer.json").is_file():
        _edit_json(target / "tokenizer.json", set_truncation)


def copy_sentence_transformers_files(source: Path, encoder: Path, target: Path, positions: int) -> None:
    """Copy what sentence-transformers reads: modules, pooling, prompts, and the maximum length with its new value.

    Args:
        source: The folder of the model; without modules.json, nothing is copied.
        encoder: The folder of the encoder in it, whose files are in `target` itself from now on.
        target: The folder of the lengthened encoder.
        positions: The longest input.
    """
    if not (source / "modules.json").is_file():
        return
    prompts = source.glob("config_sentence_transformers.json")
    for path in (*prompts, *encoder.glob(_LENGTH_FILES)):
        shutil.copyfile(path, target / path.name)
    for path in target.glob(_LENGTH_FILES):
        _edit_json(path, lambda settings: settings.update({"max_seq_length": positions}))
    copy_modules(source, encoder, target)


def _edit_json(path: Path, edit: Callable[[Any], None]) -> None:
    """Change the content of a JSON file; one that does not exist starts as an empty object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        edit(content)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ModelUnavailable(f"{path.name} of the model is damaged ({error}). Copy the model again.") from None
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
