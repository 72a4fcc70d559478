"""The folder of the encoders that this program makes: adapted, fine-tuned and lengthened ones.

encoders/NAME/   config.json, weights and tokenizer as transformers saves them, encoder_training.json, and verdict.json
                 if `adapt` compared it with the original
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.atomic_write import TEMPORARY_PREFIX, build_folder
from data.errors import BadData, CallError, ModelUnavailable, StorageFailed, UnknownName, suggest_name
from featurestore import TRAINING_FILE, EncoderTraining

__all__ = [
    "VERDICT_FILE",
    "SavedEncoder",
    "check_new_name",
    "encoders_folder",
    "find_saved_encoder",
    "list_encoders",
    "read_training",
    "remove_encoder",
    "save_encoder",
]

VERDICT_FILE = "verdict.json"  # what `adapt` found when it compared the encoder with the original
_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True, kw_only=True)
class SavedEncoder:
    """An encoder in the folder.

    bytes: of all its files. training: None if its record is missing or damaged. verdict: the content of verdict.json.
    """

    name: str
    folder: Path
    bytes: int
    training: EncoderTraining | None
    verdict: Mapping[str, Any] | None = None


def encoders_folder() -> Path:
    """$EMBEDONCE_ENCODERS, else the folder `encoders` in the working directory; perhaps absent."""
    return Path(os.environ.get("EMBEDONCE_ENCODERS") or "encoders").expanduser()


def find_saved_encoder(name: str) -> Path | None:
    """The folder of the encoder of that name; None if there is none."""
    folder = encoders_folder() / name
    return folder if _NAME.fullmatch(name) and (folder / "config.json").is_file() else None


def check_new_name(name: str) -> None:
    """Check the name of an encoder that will be made.

    Raises CallError if it is not a plain file name, if an encoder has it already, or if it names a folder that
    `embed --model` would read instead.
    """
    if not _NAME.fullmatch(name):
        raise CallError(f"An encoder cannot be called '{name}': use letters, digits and . _ + -.")
    if (folder := encoders_folder() / name).exists():
        raise CallError(
            f"{folder} exists already. Choose another --name, or remove it with `embedonce encoders --remove {name}`."
        )
    if Path(name).is_dir():
        raise CallError(f"The folder {name} exists, and `embed --model {name}` would read it. Choose another --name.")


@contextmanager
def save_encoder(name: str, training: EncoderTraining) -> Iterator[Path]:
    """Yield a temporary folder to save an encoder in; it becomes the encoder `name` if the block ends without an error.

    Args:
        name: a name that `check_new_name` accepts.
        training: what it learned from, which is saved with it.

    Raises:
        StorageFailed: the disk is full or refuses to write; nothing is left behind.
    """
    with build_folder(encoders_folder() / name, next_step=" and run the same command again.") as temporary:
        yield temporary
        (temporary / TRAINING_FILE).write_bytes(training.to_bytes())


def read_training(folder: Path) -> EncoderTraining | None:
    """What the encoder in a folder learned from; None for one that this program did not make.

    Raises ModelUnavailable if the record is damaged: out-of-fold scores could not be trusted without it.
    """
    try:
        content = (folder / TRAINING_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelUnavailable(f"{folder / TRAINING_FILE} cannot be read ({error}). Copy the encoder again.") from error
    try:
        return EncoderTraining.from_bytes(content)
    except BadData as error:
        raise ModelUnavailable(f"{folder / TRAINING_FILE}: {error} Make the encoder again.") from error


def list_encoders() -> list[SavedEncoder]:
    """The encoders in the folder, by name."""
    paths = sorted(encoders_folder().glob("*/config.json"))
    return [_describe(path.parent) for path in paths if not path.parent.name.startswith(TEMPORARY_PREFIX)]


def _describe(folder: Path) -> SavedEncoder:
    try:
        training = read_training(folder)
    except ModelUnavailable:
        training = None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return SavedEncoder(
        name=folder.name, folder=folder, bytes=size, training=training, verdict=_read_verdict(folder / VERDICT_FILE)
    )


def _read_verdict(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none was made, or it is damaged: the same command makes it again
        return None
    return content if isinstance(content, dict) else None


def remove_encoder(name: str) -> SavedEncoder:
    """Remove an encoder and return what it was. Raises UnknownName if there is none, StorageFailed if it stays."""
    encoders = {encoder.name: encoder for encoder in list_encoders()}
    if name not in encoders:
        raise UnknownName(f"{encoders_folder()} has no encoder '{name}'.{suggest_name(name, encoders)}")
    try:
        shutil.rmtree(encoders[name].folder)
    except OSError as error:
        raise StorageFailed(f"{encoders[name].folder} cannot be removed: {error.strerror or error}.") from error
    return encoders[name]
