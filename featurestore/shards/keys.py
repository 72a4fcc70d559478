"""Documents by the hash of their text: which are there, and where."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.layout import KEY_BYTES

_TYPE = f"S{KEY_BYTES}"


def text_key(text: str) -> str:
    """A document's key: 64 hex digits, the sha256 of its text as UTF-8, lone surrogates as they are."""
    return _hash(text).hexdigest()


def _hash(text: str) -> "hashlib._Hash":
    return hashlib.sha256(text.encode("utf-8", "surrogatepass"))


class KeyList(Sequence[str]):
    """Keys in an order, some perhaps more than once: 32 bytes each, where a str of 64 digits takes 113.

    packed: S32 (keys,).
    """

    def __init__(self, packed: NDArray[np.bytes_]) -> None:
        self.array = packed

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Self:
        """The key of each text."""
        digests = bytearray()
        for text in texts:
            digests += _hash(text).digest()
        return cls(np.frombuffer(bytes(digests), _TYPE) if digests else np.empty(0, _TYPE))

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice | NDArray[np.int64]) -> "KeyList": ...
    def __getitem__(self, row: int | slice | NDArray[np.int64]) -> "str | KeyList":
        found = self.array[row]
        # an item of this type has lost its trailing zeros
        return KeyList(found) if isinstance(found, np.ndarray) else found.ljust(KEY_BYTES, b"\0").hex()

    def first_rows(self) -> NDArray[np.int64]:
        """Rows of each key's first place, rising."""
        return np.sort(np.unique(self.array, return_index=True)[1])

    def remainders(self, divisor: int) -> NDArray[np.int64]:
        """What is left of the number that the first 16 digits of each key make, divided by `divisor`."""
        first = self.array.view(np.uint8).reshape(-1, KEY_BYTES)[:, :8].copy().view(">u8")[:, 0]
        return (first % np.uint64(divisor)).astype(np.int64)


class KeyIndex:
    """The distinct keys of some shards: 40 bytes a document, in one sorted array.

    shards: S32 (documents,) of each shard. Where two hold one key, the first is taken.
    """

    def __init__(self, shards: Iterable[NDArray[np.bytes_]]) -> None:
        lengths: list[int] = []
        # a million keys take 32 MB: no copy of them lives longer than it has to
        every = np.concatenate([np.empty(0, _TYPE), *_counted(shards, lengths)])
        order = np.argsort(every, kind="stable")  # stable: of equal keys the first shard's comes first
        every = every[order]
        distinct = np.ones(len(every), dtype=bool)
        distinct[1:] = every[1:] != every[:-1]
        if not distinct.all():
            every, order = every[distinct], order[distinct]
        self._keys, self._place = every, order
        self._ends = np.cumsum(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains([key])[0])

    def __iter__(self) -> Iterator[str]:
        return (key.tobytes().hex() for key in self._keys.view(np.uint8).reshape(-1, KEY_BYTES))

    def contains(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Which of `keys` are known: bool (keys,)."""
        return self._find(keys) >= 0

    def locate(self, keys: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The shard of each key, int32 (keys,), and the row in it, int64 (keys,); all must be known."""
        place = self._place[self._find(keys)]
        shard = np.searchsorted(self._ends, place, side="right")
        first = np.concatenate([[0], self._ends])
        return shard.astype(np.int32), place - first[shard]

    def rows_by_shard(self) -> list[NDArray[np.int64]]:
        """Of each shard the rows that are read, rising: all but those whose key an earlier shard has."""
        place, first = np.sort(self._place), np.concatenate([[0], self._ends])
        bounds = np.searchsorted(place, first)
        return [place[start:end] - shift for start, end, shift in zip(bounds[:-1], bounds[1:], first[:-1], strict=True)]

    def _find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Each key's row in the sorted array, -1 for one that is unknown."""
        asked = pack_keys(keys)
        order = np.argsort(asked)  # in order, a search stays in the cache: four times as fast for many
        found = np.empty(len(asked), dtype=np.int64)
        found[order] = np.searchsorted(self._keys, asked[order])
        known = found < len(self._keys)
        known[known] = self._keys[found[known]] == asked[known]
        found[~known] = -1
        return found


def _counted(shards: Iterable[NDArray[np.bytes_]], lengths: list[int]) -> Iterator[NDArray[np.bytes_]]:
    for keys in shards:
        lengths.append(len(keys))
        yield keys


def pack_keys(keys: Sequence[str]) -> NDArray[np.bytes_]:
    """S32 (keys,) of 64 hex digits each. Raises ValueError for a key that is something else."""
    if isinstance(keys, KeyList):
        return keys.array
    data = bytes.fromhex("".join(keys))
    if any(len(key) != 2 * KEY_BYTES for key in keys) or len(data) != KEY_BYTES * len(keys):
        raise ValueError("A key is 64 hex digits.")
    return np.frombuffer(data, _TYPE) if data else np.empty(0, _TYPE)
