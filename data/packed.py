"""Memory-efficient columns: a million short texts take the bytes of their letters, not one str object each."""

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import TypeVar, overload

Value = TypeVar("Value", bound=Hashable)
Other = TypeVar("Other", bound=Hashable)


class PackedStrings(Sequence[str]):
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

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self._text(index) for index in range(*row.indices(len(self)))]
        return self._text(range(len(self))[row])

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in islice(self._ends, 1, None):
            yield self._bytes[start:end].decode("utf-8", "surrogatepass")
            start = end

    def _text(self, row: int) -> str:
        return self._bytes[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")


class _Codes(dict[Value, int]):
    """Numbers values in the order in which they are first looked up."""

    def __missing__(self, value: Value) -> int:
        code = self[value] = len(self)
        return code


class CategoricalColumn(Sequence[Value]):
    """Dictionary-encoded values, for columns with few distinct ones: 4 bytes each."""

    def __init__(self, values: Iterable[Value]) -> None:
        codes: _Codes[Value] = _Codes()
        self._codes = array("i", map(codes.__getitem__, values))
        self._categories = list(codes)

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
        selected = {code for code, value in enumerate(self._categories) if predicate(value)}
        return sum(code in selected for code in self._codes) if selected else 0

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


class RowNumbers(Sequence[str]):
    """The numbers of rows as text, "1", "2" and so on; they take no memory."""

    def __init__(self, rows: int) -> None:
        self._numbers = range(1, rows + 1)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        numbers = self._numbers[row]
        return str(numbers) if isinstance(numbers, int) else list(map(str, numbers))
