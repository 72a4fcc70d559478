"""Keys of documents, which are hashes of their texts, and an index of the keys in shards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, overload

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
        return cls.from_bytes(b"".join(map(text_digest, texts)))

    @classmethod
    def from_bytes(cls, digests: bytes | bytearray) -> Self:
        """The keys whose bytes follow each other; they may not be changed."""
        return cls(np.frombuffer(digests, _TYPE) if digests else np.empty(0, _TYPE))

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


@dataclass(frozen=True, eq=False)
class _Run:
    """Distinct keys in their order, S32 (keys,), and where each is: shard and row, int32 (keys,)."""

    keys: NDArray[np.bytes_]
    shard: NDArray[np.int32]
    row: NDArray[np.int32]

    @classmethod
    def of_shards(cls, shards: Sequence[NDArray[np.bytes_]], first: int) -> Self:
        """The keys of shards that are numbered from `first`; of equal keys that of the first shard stays."""
        keys = np.concatenate([np.empty(0, _TYPE), *shards])
        order = _stable_order(keys)
        keys = keys[order]  # 32 bytes each, so no other copy is kept
        distinct = np.ones(len(keys), dtype=bool)
        distinct[1:] = keys[1:] != keys[:-1]
        if not distinct.all():
            keys, order = keys[distinct], order[distinct]
        ends = np.cumsum([len(each) for each in shards], dtype=np.int64)
        shard = np.searchsorted(ends, order, side="right").astype(np.int32)
        row = (order - np.concatenate([[0], ends])[shard]).astype(np.int32)
        return cls(keys, shard + np.int32(first), row)

    def select(self, which: NDArray[Any]) -> "_Run":
        """The run of some of the keys, in the order of `which`."""
        return _Run(self.keys[which], self.shard[which], self.row[which])

    def find(self, wanted: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The position of each key, -1 for one that is not here. Sorted keys are found four times as fast."""
        rows = np.searchsorted(self.keys, wanted)
        is_known = rows < len(self.keys)
        is_known[is_known] = self.keys[rows[is_known]] == wanted[is_known]
        rows[~is_known] = -1
        return rows

    def merge(self, other: "_Run") -> "_Run":
        """The keys of both, which have none in common."""
        is_other = np.zeros(len(self.keys) + len(other.keys), dtype=bool)
        is_other[np.searchsorted(self.keys, other.keys) + np.arange(len(other.keys))] = True

        def merged(name: str) -> NDArray[Any]:
            array = np.empty(len(is_other), getattr(self, name).dtype)
            array[is_other], array[~is_other] = getattr(other, name), getattr(self, name)
            return array

        return _Run(merged("keys"), merged("shard"), merged("row"))


class KeyIndex:
    """An index of the distinct keys of shards: 40 bytes per document, in a few sorted runs.

    Shards that are added later are a run of their own, and runs of similar length are merged, as in a log-structured
    merge tree (O'Neil et al. 1996): while a store grows to N shards, each key is copied log N times instead of N times.
    """

    def __init__(self, shards: Iterable[NDArray[np.bytes_]], names: Sequence[str] | None = None) -> None:
        """Index shards.

        Args:
            shards: The keys of each, S32 (documents,). If two hold one key, the first by name counts.
            names: Their names, sorted; None for numbers.
        """
        arrays = list(shards)
        self._names = tuple(names or (f"{number:09}" for number in range(len(arrays))))
        self._runs: tuple[_Run, ...] = (_Run.of_shards(arrays, 0),)

    def extended(self, shards: Mapping[str, NDArray[np.bytes_]]) -> "KeyIndex":
        """The index of these shards and further ones, by name."""
        names = sorted(shards)
        index = KeyIndex((), ())
        index._names = (*self._names, *names)
        run = _Run.of_shards([shards[name] for name in names], len(self._names))
        runs = list[_Run]()
        for known in self._runs:
            known, run = _without_duplicates(known, run, index._places)
            runs.append(known)
        while runs and len(runs[-1].keys) <= 2 * len(run.keys):
            run = runs.pop().merge(run)
        index._runs = (*runs, run)
        return index

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """The place of each shard in the order of names: int32 (shards,)."""
        places = np.empty(len(self._names), dtype=np.int32)
        places[sorted(range(len(self._names)), key=self._names.__getitem__)] = np.arange(len(places))
        return places

    def __len__(self) -> int:
        return sum(len(run.keys) for run in self._runs)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains([key])[0])

    def __iter__(self) -> Iterator[str]:
        return iter(KeyList(np.concatenate([run.keys for run in self._runs])))

    def contains(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each key is in a shard: bool (keys,)."""
        return self._find(keys)[0] >= 0

    def locate(self, keys: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the shard by its place among the names, int32 (keys,), and the row, int64 (keys,), of each key.

        All keys must be in a shard.
        """
        shard, row = self._find(keys)
        return self._places[shard], row.astype(np.int64)

    def rows_by_shard(self) -> list[NDArray[np.int64]]:
        """Return the sorted rows of each shard that are read: those whose key no earlier shard has."""
        place = self._places[np.concatenate([run.shard for run in self._runs])]
        row = np.concatenate([run.row for run in self._runs]).astype(np.int64)
        order = np.lexsort((row, place))
        return np.split(row[order], np.cumsum(np.bincount(place, minlength=len(self._names)))[:-1])[: len(self._names)]

    def _find(self, keys: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The number of the shard of each key, -1 for an unknown key, and its row: int32 (keys,)."""
        wanted = pack_keys(keys)
        order = np.argsort(key_prefixes(wanted))
        wanted = wanted[order]
        shard, row = np.full(len(wanted), -1, np.int32), np.full(len(wanted), -1, np.int32)
        for run in self._runs:
            positions = run.find(wanted)
            is_known = positions >= 0
            shard[order[is_known]] = run.shard[positions[is_known]]
            row[order[is_known]] = run.row[positions[is_known]]
        return shard, row


def _without_duplicates(known: _Run, new: _Run, places: NDArray[np.int32]) -> tuple[_Run, _Run]:
    """Two runs without the keys of `new` that `known` has, which then says where the first shard by name has them."""
    positions = known.find(new.keys)
    is_known = positions >= 0
    if not is_known.any():
        return known, new
    is_first = is_known.copy()
    is_first[is_known] = places[new.shard[is_known]] < places[known.shard[positions[is_known]]]
    shard, row = known.shard.copy(), known.row.copy()
    shard[positions[is_first]], row[positions[is_first]] = new.shard[is_first], new.row[is_first]
    return _Run(known.keys, shard, row), new.select(~is_known)


def _stable_order(keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """The order of keys, equal ones in their own order: by their first bytes, ten times as fast as by all."""
    prefixes = key_prefixes(keys)
    order = np.argsort(prefixes, kind="stable")
    prefixes = prefixes[order]
    tied = np.flatnonzero(prefixes[1:] == prefixes[:-1])
    is_sorted = bool((keys[order[tied]] <= keys[order[tied + 1]]).all())
    return order if is_sorted else np.argsort(keys, kind="stable")


def pack_keys(keys: Sequence[str]) -> NDArray[np.bytes_]:
    """Convert keys of 64 hex digits to S32 (keys,). Raises ValueError for any other key."""
    if isinstance(keys, KeyList):
        return keys.array
    data = bytes.fromhex("".join(keys))
    if any(len(key) != 2 * KEY_BYTES for key in keys) or len(data) != KEY_BYTES * len(keys):
        raise ValueError("A key is 64 hex digits.")
    return np.frombuffer(data, _TYPE) if data else np.empty(0, _TYPE)
