"""Keys of documents, which are hashes of their texts, and an index of the keys in shards."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from data.text_hashes import text_digest
from featurestore.shards.layout import KEY_BYTES

_TYPE = f"S{KEY_BYTES}"
_BLOCK_KEYS = 4096  # converted at a time


def text_key(text: str) -> str:
    """Return a document's key: the hex sha256 of its text as UTF-8, with lone surrogates encoded as they are."""
    return text_digest(text).hex()


def key_prefixes(keys: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first eight bytes of each key of type S32, as a number in whose order the keys are: uint64 (keys,)."""
    return keys.view(">u8").reshape(-1, KEY_BYTES // 8)[:, 0].astype(np.uint64)


class KeyList(Sequence[str]):
    """A list of keys, perhaps with duplicates: 32 bytes each (a str of 64 digits takes 113).

    array: S32 (keys,).
    """

    def __init__(self, array: NDArray[np.bytes_]) -> None:
        self.array = array

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Self:
        """Hash each text."""
        digests = bytearray()
        for text in texts:
            digests += text_digest(text)
        return cls(np.frombuffer(bytes(digests), _TYPE) if digests else np.empty(0, _TYPE))

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice | NDArray[np.int64]) -> "KeyList": ...
    def __getitem__(self, row: int | slice | NDArray[np.int64]) -> "str | KeyList":
        selected = self.array[row]
        # an item of this type has lost its trailing zeros
        return KeyList(selected) if isinstance(selected, np.ndarray) else selected.ljust(KEY_BYTES, b"\0").hex()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.array), _BLOCK_KEYS):
            digits = self.array[start : start + _BLOCK_KEYS].tobytes().hex()
            yield from (
                digits[end - 2 * KEY_BYTES : end] for end in range(2 * KEY_BYTES, len(digits) + 1, 2 * KEY_BYTES)
            )

    def first_rows(self) -> NDArray[np.int64]:
        """Return the row of the first occurrence of each distinct key, sorted: int64 (distinct,)."""
        prefixes = key_prefixes(self.array)  # sorted ten times as fast as keys
        order = np.argsort(prefixes)
        prefixes = prefixes[order]
        has_equal = np.zeros(len(order) + 1, dtype=bool)
        has_equal[1:-1] = prefixes[1:] == prefixes[:-1]
        repeated = np.sort(order[has_equal[1:] | has_equal[:-1]])
        is_first = np.ones(len(order), dtype=bool)
        is_first[repeated] = False
        is_first[repeated[np.unique(self.array[repeated], return_index=True)[1]]] = True
        return np.flatnonzero(is_first)

    def remainders(self, divisor: int) -> NDArray[np.int64]:
        """Return the first 16 hex digits of each key, as a number, modulo `divisor`: int64 (keys,)."""
        return (key_prefixes(self.array) % np.uint64(divisor)).astype(np.int64)


class KeyIndex:
    """An index of the distinct keys of shards: 40 bytes per document, in one sorted array.

    shards: the keys of each shard, S32 (documents,). If two shards hold one key, the first counts.
    """

    def __init__(self, shards: Iterable[NDArray[np.bytes_]]) -> None:
        lengths: list[int] = []
        # a million keys take 32 MB, so no copy of them is kept longer than necessary
        keys = np.concatenate([np.empty(0, _TYPE), *_record_lengths(shards, lengths)])
        order = np.argsort(keys, kind="stable")  # stable: of equal keys that of the first shard comes first
        keys = keys[order]
        distinct = np.ones(len(keys), dtype=bool)
        distinct[1:] = keys[1:] != keys[:-1]
        if not distinct.all():
            keys, order = keys[distinct], order[distinct]
        self._keys, self._positions = keys, order
        self._ends = np.cumsum(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains([key])[0])

    def __iter__(self) -> Iterator[str]:
        return (key.tobytes().hex() for key in self._keys.view(np.uint8).reshape(-1, KEY_BYTES))

    def contains(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each key is in a shard: bool (keys,)."""
        return self._find(keys) >= 0

    def locate(self, keys: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the shard, int32 (keys,), and the row, int64 (keys,), of each key; all keys must be in a shard."""
        positions = self._positions[self._find(keys)]
        shard = np.searchsorted(self._ends, positions, side="right")
        first = np.concatenate([[0], self._ends])
        return shard.astype(np.int32), positions - first[shard]

    def rows_by_shard(self) -> list[NDArray[np.int64]]:
        """Return the sorted rows of each shard that are read: those whose key no earlier shard has."""
        positions, first = np.sort(self._positions), np.concatenate([[0], self._ends])
        bounds = np.searchsorted(positions, first)
        return [
            positions[start:end] - shift for start, end, shift in zip(bounds[:-1], bounds[1:], first[:-1], strict=True)
        ]

    def _find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The row of each key in the sorted array, -1 for an unknown key."""
        wanted = pack_keys(keys)
        order = np.argsort(wanted)  # sorted keys are found four times as fast, as the search stays in the cache
        rows = np.empty(len(wanted), dtype=np.int64)
        rows[order] = np.searchsorted(self._keys, wanted[order])
        is_known = rows < len(self._keys)
        is_known[is_known] = self._keys[rows[is_known]] == wanted[is_known]
        rows[~is_known] = -1
        return rows


def _record_lengths(shards: Iterable[NDArray[np.bytes_]], lengths: list[int]) -> Iterator[NDArray[np.bytes_]]:
    for keys in shards:
        lengths.append(len(keys))
        yield keys


def pack_keys(keys: Sequence[str]) -> NDArray[np.bytes_]:
    """Convert keys of 64 hex digits to S32 (keys,). Raises ValueError for any other key."""
    if isinstance(keys, KeyList):
        return keys.array
    data = bytes.fromhex("".join(keys))
    if any(len(key) != 2 * KEY_BYTES for key in keys) or len(data) != KEY_BYTES * len(keys):
        raise ValueError("A key is 64 hex digits.")
    return np.frombuffer(data, _TYPE) if data else np.empty(0, _TYPE)
