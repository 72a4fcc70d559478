"""What a user says of a table's columns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """What the user says of the columns: a name, None to have it guessed, "" for none.

    separator: what stands between the labels of one cell. path_separator: what stands between the levels of a label;
    None takes a "/" that stands in every label for it.
    """

    text: str | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    group: str | None = None
    separator: str | None = None
    path_separator: str | None = None
