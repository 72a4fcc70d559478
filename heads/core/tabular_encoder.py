"""Tabular columns as inputs of a head: standardized numbers, dates, and one-hot categories.

This is what scikit-learn's StandardScaler and OneHotEncoder(min_frequency=..., handle_unknown="infrequent_if_exist")
do, in numpy: the encoder of the library has no sample weights, and its fitted state could only be saved as a pickle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.tabular import ColumnKind, Tabular, TabularColumn
from data.text_format import join_names, plural

__all__ = ["TabularEncoder"]

# a category of fewer training documents, and one beyond the most frequent, is read as "other"
MIN_DOCUMENTS = 5
MAX_CATEGORIES = 250
# standard deviations; a number of a new document that is a mistake must not decide its label alone
MAX_DEVIATIONS = 10.0
# an encoder's vector spreads a signal over hundreds of numbers, and a column has it in one: at equal scales, penalty
# and initialization favor the text. A larger factor costs more where a column is useless.
SCALE = 5.0
DAYS_PER_YEAR = 365.2425
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday, the fourth day of the week


@dataclass(frozen=True)
class ColumnEncoder:
    """How one column is encoded, float32 (documents, width); a missing number or date is 0, the mean.

    number: standardized, and whether it is missing.
    date: its day, standardized; whether it is missing; the time of the year and of the week.
    category: one-hot, with a column for other categories and one for a missing value.

    mean, deviation: of training documents with a value; 0 and 1 for a category.
    categories: those with a column of their own, sorted.
    """

    name: str
    kind: ColumnKind
    mean: float = 0.0
    deviation: float = 1.0
    categories: tuple[str, ...] = ()

    @classmethod
    def fit(cls, column: TabularColumn, weight: NDArray[np.float64]) -> Self:
        """Fit on training documents with float64 weights (documents,)."""
        has_value = ~column.is_missing
        values, weight = column.values[has_value], weight[has_value]
        if column.kind == "category":
            # weight 2 is two documents, but weights on a small scale must not make every category rare
            counts = np.bincount(values, np.maximum(weight, 1), len(column.levels))
            frequent = [code for code in np.argsort(-counts, kind="stable") if counts[code] >= MIN_DOCUMENTS]
            kept = sorted(column.levels[code] for code in frequent[:MAX_CATEGORIES])
            return cls(column.name, column.kind, categories=tuple(kept))
        if not len(values):
            return cls(column.name, column.kind)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.nan_to_num(np.average(values, weights=weight))
            deviation = np.nan_to_num(np.sqrt(np.average(np.square(values - mean), weights=weight)))
        varies = deviation > 1e-9 * abs(mean)
        return cls(column.name, column.kind, float(mean), float(deviation) if varies else 1.0)

    @property
    def width(self) -> int:
        """The number of columns of `transform`."""
        return {"number": 2, "date": 2 + 4, "category": len(self.categories) + 2}[self.kind]

    def transform(self, column: TabularColumn) -> NDArray[np.float32]:
        """Encode a column of this kind."""
        missing = column.is_missing
        if self.kind == "category":
            code_of = {category: code for code, category in enumerate(self.categories)}
            other = len(code_of)
            # the last entry is for code -1, a missing value
            codes = np.array([*(code_of.get(level, other) for level in column.levels), other + 1])
            return np.asarray(np.eye(self.width, dtype=np.float32)[codes[column.values]])
        with np.errstate(over="ignore"):  # numbers near the largest float
            standard = np.clip((column.values - self.mean) / self.deviation, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        encoded = np.stack([np.where(missing, 0.0, standard), missing], axis=1).astype(np.float32)
        parts = [encoded] if self.kind == "number" else [encoded, _calendar(column.values)]
        return np.concatenate(parts, axis=1)


def _calendar(days: NDArray[np.float64]) -> NDArray[np.float32]:
    """Where each date is in its year and its week, as points on two circles: float32 (documents, 4); 0 if missing.

    On a circle, December is next to January, and any part of the year or the week is on one side of a line.
    """
    known = np.isfinite(days)
    angles = 2 * np.pi * np.stack([days / DAYS_PER_YEAR, (days + _FIRST_WEEKDAY) / 7])
    return np.where(known, np.concatenate([np.sin(angles), np.cos(angles)]), 0).T.astype(np.float32)


@dataclass(frozen=True)
class TabularEncoder:
    """All tabular columns of a head's training documents; numbers have deviation SCALE, a category is 0 or SCALE."""

    columns: tuple[ColumnEncoder, ...]

    @classmethod
    def fit(cls, tabular: Tabular, weight: NDArray[np.float64]) -> Self:
        """Fit on training documents with float64 weights (documents,)."""
        return cls(tuple(ColumnEncoder.fit(column, weight) for column in tabular.columns))

    @property
    def labels(self) -> tuple[str, ...]:
        """The name and the kind of each column, as in `Tabular.labels`."""
        return tuple(f"{column.name}:{column.kind}" for column in self.columns)

    @property
    def width(self) -> int:
        """The number of columns of `transform`."""
        return sum(column.width for column in self.columns)

    def transform(self, tabular: Tabular | None) -> NDArray[np.float32]:
        """Encode the columns, float32 (documents, width). Raises CallError if one is missing or of another kind."""
        known = {} if tabular is None else {column.name: column for column in tabular.columns}
        if missing := [each.name for each in self.columns if each.name not in known]:
            names = join_names([each.name for each in self.columns])
            raise CallError(
                f"The head was fitted with the tabular columns {names}, and these documents have no "
                f"{join_names(missing)}. Embed them again with --tabular."
            )
        for each in self.columns:
            if known[each.name].kind != each.kind:
                now = known[each.name].kind
                raise CallError(f"'{each.name}' was a {each.kind} when the head was fitted, and is a {now} now.")
        encoded = np.concatenate([each.transform(known[each.name]) for each in self.columns], axis=1)
        encoded *= SCALE
        return encoded

    def notes(self, tabular: Tabular) -> list[str]:
        """What a user should know about the fit on these training documents."""
        sentences = []
        for encoder, column in zip(self.columns, tabular.columns, strict=True):
            rare = len(np.unique(column.values[column.values >= 0])) - len(encoder.categories)
            if encoder.kind == "category" and rare:
                verbs = ("is", "it has", "is") if rare == 1 else ("are", "they have", "are")
                sentences.append(
                    f"{plural(rare, 'category', 'categories')} of '{encoder.name}' {verbs[0]} read as 'other', because "
                    f"{verbs[1]} fewer than {MIN_DOCUMENTS} training documents or {verbs[2]} not among the "
                    f"{MAX_CATEGORIES} most frequent."
                )
        return sentences

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as plain values; a float is restored exactly."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, content: list[Mapping[str, Any]]) -> Self:
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(tuple(ColumnEncoder(**{**each, "categories": tuple(each["categories"])}) for each in content))
