"""A document, and a corpus of them: what every reader gives and every later step takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.taxonomy import Taxonomy

Kind = Literal["single", "several", "path"]


@dataclass(frozen=True, slots=True)
class Document:
    """One text and what is known of it.

    `labels` is () where there is none, one string for the kinds single and path (a path is one string as written,
    "rec/sport/hockey"), any number for several. Documents of one `group` stay on one side of every split and fold.
    """

    id: str
    text: str
    labels: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Documents in the order of their source.

    `name` is safe as a file name; `source` is as the user wrote it; `notes` are sentences for the user: columns that
    were guessed, documents without a label, texts on both sides of the split.
    """

    name: str
    source: str
    documents: Sequence[Document]
    kind: Kind
    taxonomy: Taxonomy | None
    notes: tuple[str, ...]
