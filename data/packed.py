"""Memory-efficient columns: a million short texts take the bytes of their letters, not one str object each.

Texts that are too many even for that are read from their files again at each use.
"""

from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, compress, islice, pairwise, repeat
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData

_ROWS_BETWEEN_CHECKS = 1000  # of whether texts are still needed

Value = TypeVar("Value", bound=Hashable)
Other = TypeVar("Other", bound=Hashable)
Row = TypeVar("Row", covariant=True)


class Rows(Sequence[Row]):
    """A sequence whose rows are made when they are read; a slice of it is a list."""

    @abstractmethod
    def row(self, index: int) -> Row:
        """The row at `index`, which is not negative."""

    @overload
    def __getitem__(self, row: int) -> Row: ...
    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...
    def __getitem__(self, row: int | slice) -> Row | list[Row]:
        indices = range(len(self))[row]
        return self.row(indices) if isinstance(indices, int) else list(map(self.row, indices))


class PackedStrings(Rows[str]):
    """Texts in one buffer: 8 bytes each plus their UTF-8 (a str takes 49 and more); every str is restored exactly."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Append a text."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def extend(self, texts: Iterable[str]) -> None:
        """Append texts, faster than one by one."""
        texts = list(texts)
        joined = "".join(texts)
        # a character of ASCII is one byte
        sized = texts if joined.isascii() else [text.encode("utf-8", "surrogatepass") for text in texts]
        self._ends.extend(islice(accumulate(map(len, sized), initial=len(self._bytes)), 1, None))
        self._bytes += joined.encode("utf-8", "surrogatepass")

    @property
    def nbytes(self) -> int:
        """The bytes that the texts take."""
        return len(self._bytes) + self._ends.itemsize * len(self._ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, index: int) -> str:
        """The text at `index`."""
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in islice(self._ends, 1, None):
            yield self._bytes[start:end].decode("utf-8", "surrogatepass")
            start = end


@dataclass(frozen=True, eq=False)
class StreamedTexts(Sequence[str]):
    """Texts that are read from their files at each use, in the order of the files, and never all in memory.

    source: their name in messages. length: how many there are. read: starts to read them from the first on.
    """

    source: str
    length: int
    read: Callable[[], Iterator[str]]
    # where the last selection ended, and the texts that follow, so that the next one need not start from the first
    _rest: list[tuple[int, Iterator[str]]] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[str]:
        read = 0
        for text in self.read():
            read += 1
            yield text
        if read != self.length:
            raise BadData(
                f"{self.source} changed while it was used: it had {self.length:,} documents and has {read:,} now. Run "
                "the same command again."
            )

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        """Read one or several texts; each use reads the files up to there, so `select` is for many."""
        rows = range(self.length)[row]
        if isinstance(rows, int):
            return next(iter(list(self.select(np.array([rows])))))
        texts = list(self.select(np.sort(np.asarray(rows, dtype=np.int64))))
        return texts if rows.step > 0 else texts[::-1]

    def select(self, rows: NDArray[np.int64], is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Yield the texts at `rows`, which are increasing, in one pass over the files that ends with the last of them.

        If the rows follow those of the last selection, and all texts of that were taken, reading continues there.

        Args:
            rows: The texts.
            is_cancelled: Whether they are no longer needed; many may be read before the next of them.

        Raises:
            BadData: The files have fewer documents now.
            CancelledError: `is_cancelled` returned true.
        """
        if not len(rows):
            return
        start, texts = self._rest.pop() if self._rest else (0, iter(self))
        if start > rows[0]:
            start, texts = 0, iter(self)
        is_selected = np.zeros(int(rows[-1]) + 1 - start, dtype=np.uint8)
        is_selected[rows - start] = 1
        for first in range(0, len(is_selected), _ROWS_BETWEEN_CHECKS):
            if is_cancelled():
                raise CancelledError
            selected = is_selected[first : first + _ROWS_BETWEEN_CHECKS].tobytes()
            yield from compress(islice(texts, len(selected)), selected)
        self._rest[:] = [(int(rows[-1]) + 1, texts)]


def texts_at(texts: Sequence[str], rows: NDArray[np.int64]) -> Iterator[str]:
    """The texts at `rows`, in this order; of streamed ones increasing rows are read one by one, others together."""
    if not isinstance(texts, StreamedTexts):
        return map(texts.__getitem__, rows.tolist()) if len(rows) < 1000 else _iter_at(texts, rows)
    if (rows[1:] > rows[:-1]).all():
        return texts.select(rows)
    distinct, position = np.unique(rows, return_inverse=True)
    selected = list(texts.select(distinct))
    return (selected[index] for index in position.tolist())


def select_texts(texts: Sequence[str], rows: NDArray[np.int64]) -> Sequence[str]:
    """The texts at `rows`, which are increasing: packed, or read from the files at each use if `texts` are."""
    if isinstance(texts, StreamedTexts):
        return StreamedTexts(texts.source, len(rows), partial(texts.select, rows))
    return PackedStrings(texts_at(texts, rows))


def _iter_at(texts: Sequence[str], rows: NDArray[np.int64]) -> Iterator[str]:
    blocks = (rows[start : start + 1000].tolist() for start in range(0, len(rows), 1000))
    return (texts[row] for block in blocks for row in block)


class _Codes(dict[Value, int]):
    """Numbers values in the order in which they are first looked up."""

    def __missing__(self, value: Value) -> int:
        code = self[value] = len(self)
        return code


class CategoricalColumn(Sequence[Value]):
    """Dictionary-encoded values, for columns with few distinct ones: 1 to 4 bytes each.

    It is no `Rows`, which would be slower: labels and splits are read most often.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        codes: _Codes[Value] = _Codes()
        self._codes = array("i", map(codes.__getitem__, values))
        self._categories = list(codes)
        if len(codes) < 2**15:
            self._codes = array("b" if len(codes) < 2**7 else "h", self._codes)

    @classmethod
    def from_codes(cls, codes: NDArray[Any], categories: Sequence[Value]) -> "CategoricalColumn[Value]":
        """The column with category `codes[row]` in each row."""
        column = cls(())
        column._categories = list(categories)
        typecode = "b" if len(categories) < 2**7 else "h" if len(categories) < 2**15 else "i"
        column._codes = array(typecode, codes.astype(typecode).tobytes())
        return column

    @classmethod
    def of(cls, values: Sequence[Value]) -> "CategoricalColumn[Value]":
        """The column of values; a column is returned as it is."""
        return values if isinstance(values, cls) else cls(values)

    @property
    def codes(self) -> NDArray[Any]:
        """The number of each row's category, an integer (rows,) that may not be changed."""
        return np.asarray(self._codes)

    def flags(self, predicate: Callable[[Value], bool]) -> NDArray[np.bool_]:
        """Whether the value of each row has a property: bool (rows,)."""
        flags = np.array([predicate(value) for value in self._categories], dtype=bool)
        return np.asarray(np.take(flags, self.codes))

    def take(self, rows: NDArray[np.int64]) -> "CategoricalColumn[Value]":
        """The column of these rows."""
        return self.from_codes(self.codes[rows], self._categories)

    @property
    def categories(self) -> Sequence[Value]:
        """The distinct values, in the order in which they first occur; equal ones after `map`."""
        return self._categories

    def map(self, function: Callable[[Value], Other]) -> "CategoricalColumn[Other]":
        """The column of `function(value)` for each value; the function is called once per distinct value."""
        column: CategoricalColumn[Other] = CategoricalColumn(())
        column._codes, column._categories = self._codes, [function(value) for value in self._categories]
        return column

    def count_if(self, predicate: Callable[[Value], bool]) -> int:
        """The number of rows whose value has a property."""
        return int(np.count_nonzero(self.flags(predicate)))

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, row: int) -> Value: ...
    @overload
    def __getitem__(self, row: slice) -> list[Value]: ...
    def __getitem__(self, row: int | slice) -> Value | list[Value]:
        if isinstance(row, slice):
            return [self._categories[code] for code in self._codes[row]]
        return self._categories[self._codes[row]]

    def __iter__(self) -> Iterator[Value]:
        return map(self._categories.__getitem__, self._codes)


class CategoricalBuilder(Generic[Value]):
    """A categorical column that grows."""

    def __init__(self) -> None:
        self._numbers: _Codes[Value] = _Codes()
        self._codes = array("i")

    def extend(self, values: Iterable[Value]) -> None:
        """Append values."""
        self._codes.extend(map(self._numbers.__getitem__, values))

    def column(self) -> CategoricalColumn[Value]:
        """The column of all values."""
        return CategoricalColumn.from_codes(np.asarray(self._codes), list(self._numbers))


class RowNumbers(Rows[str]):
    """The numbers of rows as text, "1", "2" and so on; they take no memory."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[str]:
        return map(str, range(1, self._rows + 1))

    def row(self, index: int) -> str:
        """The number of the row at `index`."""
        return str(index + 1)


class FileRowNumbers(Rows[str]):
    """The numbers of rows in each of several files, with the file's name: "a-1", "a-2", "b-1"; they take no memory."""

    def __init__(self, names: Sequence[str], rows: Sequence[int]) -> None:
        self._names, self._ends = names, list(accumulate(rows, initial=0))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[str]:
        for name, (start, end) in zip(self._names, pairwise(self._ends), strict=True):
            yield from map(_row_name, repeat(name), range(1, end - start + 1))

    def row(self, index: int) -> str:
        """The file of the row at `index`, and its number there."""
        file = bisect_right(self._ends, index) - 1
        return _row_name(self._names[file], index - self._ends[file] + 1)


def _row_name(file: str, number: int) -> str:
    return f"{file}-{number}"
