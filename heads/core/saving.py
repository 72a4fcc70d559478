"""A fitted head on disk: head.json, which names the hash of every file beside it, and arrays as safetensors.

No pickle: reading one runs no code of it. Hashes are checked before any other parser sees a file, because not every
library survives a damaged one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import hash_file
from data.errors import RunDamaged

__all__ = ["FORMAT", "read_arrays", "read_description", "rows_of", "write_arrays", "write_description"]

FORMAT = 1
_NEXT = "Remove the run and fit again."


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as safetensors."""
    from safetensors.numpy import save

    # its own writing would raise no OSError where the disk is full
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of `path`, which are those of `shapes` and no others, else RunDamaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT}") from error
    found = {name: array.shape for name, array in arrays.items()}
    for name in shapes.keys() | found.keys():
        if found.get(name) != shapes.get(name):
            raise RunDamaged(f"{path}: {name} has shape {found.get(name)}, {shapes.get(name)} was expected. {_NEXT}")
    return arrays


def rows_of(path: Path, name: str) -> int:
    """The rows of the array `name` in `path`, from its header alone. Raises RunDamaged where there is no such array."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return int(file.get_slice(name).get_shape()[0])
    except (OSError, SafetensorError, IndexError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT}") from error


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write head.json, last: it adds the format and the hashes of the files already in `folder`."""
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != "head.json"}
    content = {"format": FORMAT, **description, "files": files}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "head.json").write_text(text + "\n", encoding="utf-8")


def read_description(folder: Path, head: str) -> dict[str, Any]:
    """head.json of a head of that name, every file beside it held against its hash.

    Raises RunDamaged for what is missing, changed, of another head, or of a newer format.
    """
    path = folder / "head.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, found, files = content["format"], content["head"], dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). {_NEXT}") from error
    if version != FORMAT:
        raise RunDamaged(f"{path} has format {version}, this embedonce reads {FORMAT}. Update embedonce to read it.")
    if found != head:
        raise RunDamaged(f"{path} holds the head '{found}', '{head}' was expected. {_NEXT}")
    for name, expected in files.items():
        file = folder / Path(name).name
        if not file.is_file() or hash_file(file) != expected:
            raise RunDamaged(f"{file} is missing or was changed since it was saved. {_NEXT}")
    return content
