"""The bytes of a shard: an HDF5 file made in memory, identical for identical content."""

import hashlib
import io
import json

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.layout import ALIGNMENT, FORMAT, KEY_BYTES, METADATA, find_fault
from featurestore.shards.shard_content import ShardContent
from featurestore.vectors.recipe import Recipe


def shard_bytes(content: ShardContent, recipe: Recipe) -> memoryview:
    """Build a shard's file: contiguous, uncompressed datasets at multiples of 64 bytes, without attributes.

    Raises ValueError if the arrays are not those that `recipe` requires.
    """
    import h5py

    key = np.frombuffer(bytes.fromhex("".join(content.keys)), np.uint8).reshape(-1, KEY_BYTES)
    arrays = {**content.arrays, "documents/key": key}
    if len(key) != len(content.keys):
        raise ValueError("A key is 64 hex digits.")
    if fault := find_fault(arrays, recipe):
        raise ValueError(f"No shard can be made of this: {fault}.")
    arrays[METADATA] = _metadata(recipe, documents=len(key))
    buffer = io.BytesIO()
    # only the latest format has checksums in its headers
    with h5py.File(buffer, "w", libver="latest", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
        for name in sorted(arrays):
            file.create_dataset(name, data=np.ascontiguousarray(arrays[name]))
    return buffer.getbuffer()


def _metadata(recipe: Recipe, *, documents: int) -> NDArray[np.uint8]:
    metadata = {"format": FORMAT, "fingerprint": recipe.fingerprint, "dtype": recipe.dtype, "documents": documents}
    text = json.dumps(metadata, sort_keys=True).encode()
    return np.frombuffer(hashlib.sha256(text).digest() + text, np.uint8)
