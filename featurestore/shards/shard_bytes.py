"""A shard's bytes: an HDF5 file made in memory, the same for the same content."""

import hashlib
import io
import json

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.layout import ALIGNMENT, FORMAT, KEY_BYTES, METADATA, find_fault
from featurestore.shards.shard_content import ShardContent
from featurestore.vectors.recipe import Recipe


def shard_bytes(content: ShardContent, recipe: Recipe) -> memoryview:
    """The shard's file: contiguous, uncompressed datasets at multiples of 64 bytes, and no attributes.

    Raises ValueError where the arrays are not those that `recipe` asks for.
    """
    import h5py

    key = np.frombuffer(bytes.fromhex("".join(content.keys)), np.uint8).reshape(-1, KEY_BYTES)
    arrays = {**content.arrays, "documents/key": key}
    if len(key) != len(content.keys):
        raise ValueError("A key is 64 hex digits.")
    if found := find_fault(arrays, recipe):
        raise ValueError(f"No shard can be made of this: {found}.")
    arrays[METADATA] = _metadata(recipe, documents=len(key))
    buffer = io.BytesIO()
    # the latest format is the one whose headers have checksums
    with h5py.File(buffer, "w", libver="latest", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
        for name in sorted(arrays):
            file.create_dataset(name, data=np.ascontiguousarray(arrays[name]))
    return buffer.getbuffer()


def _metadata(recipe: Recipe, *, documents: int) -> NDArray[np.uint8]:
    about = {"format": FORMAT, "fingerprint": recipe.fingerprint, "dtype": recipe.dtype, "documents": documents}
    text = json.dumps(about, sort_keys=True).encode()
    return np.frombuffer(hashlib.sha256(text).digest() + text, np.uint8)
