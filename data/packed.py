"""Columns of a corpus in memory: a million short texts take what their letters take, not an object of Python's each."""

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

Value = TypeVar("Value", bound=Hashable)


class PackedStrings(Sequence[str]):
    """Texts in one buffer: 8 bytes each beside their UTF-8, where a str takes 49 and more; any str comes back."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Put one more behind the others."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self._text(each) for each in range(*row.indices(len(self)))]
        return self._text(range(len(self))[row])

    def __iter__(self) -> Iterator[str]:
        return map(self._text, range(len(self)))

    def _text(self, row: int) -> str:
        return self._bytes[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")


class CategoricalColumn(Sequence[Value]):
    """Values of which few differ: 4 bytes each."""

    def __init__(self, values: Iterable[Value]) -> None:
        numbers: dict[Value, int] = {}
        self._numbers = array("i", (numbers.setdefault(value, len(numbers)) for value in values))
        self._values = list(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> Value: ...
    @overload
    def __getitem__(self, row: slice) -> list[Value]: ...
    def __getitem__(self, row: int | slice) -> Value | list[Value]:
        if isinstance(row, slice):
            return [self._values[number] for number in self._numbers[row]]
        return self._values[self._numbers[row]]

    def __iter__(self) -> Iterator[Value]:
        return map(self._values.__getitem__, self._numbers)


class RowNumbers(Sequence[str]):
    """ "1", "2" and so on, as many as there are rows: they take nothing."""

    def __init__(self, rows: int) -> None:
        self._numbers = range(1, rows + 1)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        found = self._numbers[row]
        return str(found) if isinstance(found, int) else list(map(str, found))
