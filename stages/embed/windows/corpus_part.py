"""One of several parts of a corpus, for as many processes on as many machines."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import KeyList


@dataclass(frozen=True)
class CorpusPart:
    """The part numbered `number`, from 1, of `count`.

    A document's part is decided by its key alone: equal texts are in one part, and a corpus that grows leaves every
    document where it was.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `--part 3/8` asks for. Raises CallError for anything but two numbers of which the first is 1 or more and
        not above the second."""
        number, slash, count = text.partition("/")
        if not (
            slash
            and all(each.isascii() and each.isdigit() for each in (number, count))
            and 1 <= int(number) <= int(count)
        ):
            raise CallError(f"'{text}' is no part: parts are numbered from 1, as in --part 1/8 to --part 8/8.")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def split(self, among: int) -> "list[CorpusPart]":
        """The parts that `among` processes make of this one."""
        return [type(self)(self.number + self.count * place, self.count * among) for place in range(among)]

    def contains(self, keys: KeyList) -> NDArray[np.bool_]:
        """Which keys' documents are in the part: bool (keys,)."""
        inside: NDArray[np.bool_] = keys.remainders(self.count) == self.number - 1
        return inside


WHOLE_CORPUS = CorpusPart(1, 1)
