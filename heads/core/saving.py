"""The files of a fitted head: head.json, which lists the other files with their hashes, and arrays as safetensors.

There is no pickle, so that loading a head runs no code from its files. Hashes are checked before any other parser reads
a file, because some libraries crash on damaged ones.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import hash_file
from data.errors import RunDamaged

__all__ = ["FORMAT", "read_arrays", "read_description", "row_count", "write_arrays", "write_description"]

FORMAT = 2
_NEXT_STEP = "Remove the run and fit again."


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays, of any shape, as safetensors."""
    from safetensors.numpy import save

    # safetensors' own function to write a file raises no OSError if the disk is full;
    # np.ascontiguousarray would give a scalar the shape (1,)
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of `path`. Raises RunDamaged if their names and shapes are not exactly `shapes`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT_STEP}") from error
    stored = {name: array.shape for name, array in arrays.items()}
    for name in shapes.keys() | stored.keys():
        if stored.get(name) != shapes.get(name):
            raise RunDamaged(f"{path}: {name} has shape {stored.get(name)}, expected {shapes.get(name)}. {_NEXT_STEP}")
    return arrays


def row_count(path: Path, name: str) -> int:
    """The number of rows of the array `name`, read from the header of `path`. Raises RunDamaged if it has none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return int(file.get_slice(name).get_shape()[0])
    except (OSError, SafetensorError, IndexError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT_STEP}") from error


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write head.json, after all other files: it contains the format number and their hashes."""
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != "head.json"}
    content = {"format": FORMAT, **description, "files": files}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "head.json").write_text(text + "\n", encoding="utf-8")


def read_description(folder: Path, head: str) -> dict[str, Any]:
    """The content of head.json, after a check of all files that it lists.

    Raises RunDamaged for a missing or changed file, another head, or another format.
    """
    path = folder / "head.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, stored = int(content["format"]), content["head"]
        files = dict(content["files"]) if version == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT_STEP}") from error
    if version != FORMAT:
        newer = "Update embedonce to read it." if version > FORMAT else "Fit the head again."
        raise RunDamaged(f"{path} has format {version}, this embedonce reads format {FORMAT}. {newer}")
    if stored != head:
        raise RunDamaged(f"{path} holds the head '{stored}', expected '{head}'. {_NEXT_STEP}")
    for name, expected in files.items():
        file = folder / Path(name).name
        if not file.is_file() or hash_file(file) != expected:
            raise RunDamaged(f"{file} is missing or was changed after it was saved. {_NEXT_STEP}")
    return content
