"""One of N parts of a corpus, so that several processes or machines can encode it together."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.ranges import MAX_COUNT, check_whole_number
from featurestore import KeyList


@dataclass(frozen=True)
class CorpusPart:
    """Part `number`, counted from 1, of `count` parts.

    The key of a document decides its part: equal texts are in one part, and documents stay in their part when the
    corpus grows.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the value of `--part`, such as "3/8". Raises CallError unless 1 <= number <= count."""
        number, slash, count = text.partition("/")
        are_numbers = slash and all(digits.isascii() and digits.isdigit() for digits in (number, count))
        number, count = number[:99], count[:99]  # Python parses no number of more than 4,300 digits
        if not (are_numbers and 1 <= int(number) <= int(count)):
            raise CallError(f"--part {text} is not valid: parts are counted from 1, as in --part 1/8 to --part 8/8.")
        check_whole_number("the number of parts in --part", int(count), 1, MAX_COUNT)
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def split(self, processes: int) -> "list[CorpusPart]":
        """Divide this part into one part per process."""
        return [type(self)(self.number + self.count * index, self.count * processes) for index in range(processes)]

    def contains(self, keys: KeyList) -> NDArray[np.bool_]:
        """Return which documents are in the part: bool (keys,)."""
        inside: NDArray[np.bool_] = keys.remainders(self.count) == self.number - 1
        return inside


WHOLE_CORPUS = CorpusPart(1, 1)
