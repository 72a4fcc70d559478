"""A document, and a corpus of them: what every reader returns and every later step takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.packed import CategoricalColumn, PackedStrings, Rows, select_texts, texts_at
from data.source_spec import SourceSpec
from data.tabular import Tabular
from data.taxonomy import Taxonomy
from data.text_hashes import TextHashes

Kind = Literal["single", "multilabel", "path"]
Labels: TypeAlias = tuple[str, ...] | None  # of one document; None if it is unlabeled


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its labels, split and group.

    `labels` is None if the document is unlabeled, else one string for the kinds single and path (a path is one string,
    "rec/sport/hockey"), any number for multilabel: () says that no label applies. Documents of one `group` stay
    together in every split and fold.
    """

    id: str
    text: str
    labels: Labels = None
    split: str | None = None
    group: str | None = None


def blank_group(identifier: str) -> str:
    """The group of a document without text that has no other."""
    return f"no text in {identifier}"


def similar_group(identifier: str) -> str:
    """The group of documents whose texts differ only in case or white space, by the id of the first."""
    return f"text like that of {identifier}"


def is_group_of_texts(group: str | None) -> bool:
    """Whether a document has its group because of its text, not from the source."""
    return group is not None and group.startswith((blank_group(""), similar_group("")))


@dataclass(frozen=True, eq=False)
class Documents(Rows[Document]):
    """Documents as columns of shape (documents,), perhaps packed; a row becomes a Document on access.

    texts: in memory, or `StreamedTexts`. hashes: of the texts, if they have been computed; `hash_texts` computes them.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[Labels]
    splits: Sequence[str | None]
    groups: Sequence[str | None]
    hashes: TextHashes | None = None

    @classmethod
    def from_documents(cls, documents: Sequence[Document]) -> Self:
        """Make columns of documents; columns are returned as they are."""
        if isinstance(documents, cls):
            return documents
        return cls(
            ids=[document.id for document in documents],
            texts=[document.text for document in documents],
            labels=[document.labels for document in documents],
            splits=[document.split for document in documents],
            groups=[document.group for document in documents],
        )

    def hash_texts(self) -> TextHashes:
        """The hashes of the texts, which are read for it unless that has been done before."""
        return TextHashes.of(self.texts) if self.hashes is None else self.hashes

    def texts_at(self, rows: Sequence[int]) -> list[str]:
        """The texts of these documents, which are read in one pass if they are streamed."""
        return list(texts_at(self.texts, np.asarray(rows, dtype=np.int64)))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The documents at `rows`, which are increasing; streamed texts stay so."""
        columns = (self.labels, self.splits, self.groups)
        labels, splits, groups = (CategoricalColumn(column[row] for row in rows.tolist()) for column in columns)
        return type(self)(
            ids=PackedStrings(texts_at(self.ids, rows)),
            texts=select_texts(self.texts, rows),
            labels=labels,
            splits=splits,
            groups=groups,
            hashes=None if self.hashes is None else self.hashes.take(rows),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> Document:
        """The document at `index`."""
        return Document(self.ids[index], self.texts[index], self.labels[index], self.splits[index], self.groups[index])

    def __iter__(self) -> Iterator[Document]:
        return map(Document, self.ids, self.texts, self.labels, self.splits, self.groups)


@dataclass(frozen=True)
class SampleOf:
    """The corpus that a sample was drawn from: its name, and the number of its documents."""

    corpus: str
    documents: int


@dataclass(frozen=True)
class Corpus:
    """Documents in the order of their source.

    `name` is safe as a file name; `source` is as the user wrote it; `notes` are sentences for the user: columns that
    were guessed, documents without a label, duplicate texts across train and test. `spec` is how the source was read,
    with the columns that were guessed. `tabular` has a row per document; None if no such columns were named.
    `sample_of` is None unless the documents are a sample of a corpus.
    """

    name: str
    source: str
    documents: Sequence[Document]
    kind: Kind
    taxonomy: Taxonomy | None
    notes: tuple[str, ...]
    spec: SourceSpec = field(default_factory=SourceSpec)
    tabular: Tabular | None = None
    sample_of: SampleOf | None = None

    @property
    def whole_name(self) -> str:
        """The name of the corpus that this is a sample of, or its own: that of the store, which both share."""
        return self.name if self.sample_of is None else self.sample_of.corpus
