"""Labels that are nodes of a taxonomy: from one column per level, or of a taxonomy from a file of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import pairwise

from data.documents import Corpus, Documents, Labels
from data.errors import BadData
from data.label_cells import canonical_label
from data.label_notes import label_notes
from data.labels import Locate, ParsedLabels, cell_text
from data.packed import CategoricalColumn
from data.readers.taxonomy_file import TaxonomyFile
from data.taxonomy import Taxonomy
from data.text_format import join_names, plural

__all__ = ["attach_taxonomy", "parse_level_columns", "resolve_labels"]


def attach_taxonomy(corpus: Corpus, file: TaxonomyFile) -> Corpus:
    """Give a corpus a taxonomy: each label must be a node, or a path of nodes that ends in one.

    Its kind becomes "path", or stays "multilabel". Raises BadData as `resolve_labels`.
    """
    documents = Documents.from_documents(corpus.documents)
    separator = corpus.spec.path_separator or ("/" if corpus.kind == "path" else "")
    labels = resolve_labels(corpus.source, documents.ids, documents.labels, file, separator)
    return replace(
        corpus,
        documents=replace(documents, labels=labels),
        kind="multilabel" if corpus.kind == "multilabel" else "path",
        taxonomy=file.taxonomy,
        notes=(*corpus.notes, *file.notes),
    )


def resolve_labels(
    source: str, ids: Sequence[str], labels: Sequence[Labels], file: TaxonomyFile, separator: str
) -> CategoricalColumn[Labels]:
    """The labels of documents as nodes: a label that is a node stays, a path becomes its last node.

    Args:
        source: The documents, for errors.
        ids: Of the documents, for errors.
        labels: Of each document.
        file: The taxonomy.
        separator: Of the levels of paths; "" if no label is a path.

    Raises:
        BadData: A label is not in the taxonomy, or a path in which a node is not below the one before it.
    """
    column = CategoricalColumn.of(labels)
    names = dict.fromkeys(label for each in column.categories for label in each or ())
    paths = {name: tuple(name.split(separator)) if separator else (name,) for name in names}
    resolve = _Resolver(file.taxonomy, paths)
    _check(resolve, column, lambda row: f"{source}: document '{ids[row]}'", file)
    return column.map(lambda each: None if each is None else tuple(dict.fromkeys(map(resolve, each))))


class _Resolver:
    """A function from a label to its node. paths: label -> its levels."""

    def __init__(self, taxonomy: Taxonomy, paths: dict[str, tuple[str, ...]]) -> None:
        self.taxonomy, self.paths = taxonomy, paths

    def __call__(self, label: str) -> str:
        return label if label in self.taxonomy else self.paths[label][-1]

    @property
    def unknown(self) -> dict[str, str]:
        """Label -> the level of it that is no node, of each label that is neither a node nor a path of nodes."""
        paths = {label: levels for label, levels in self.paths.items() if label not in self.taxonomy}
        missing = {label: [level for level in levels if level not in self.taxonomy] for label, levels in paths.items()}
        return {label: levels[0] for label, levels in missing.items() if levels}

    def contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Each path in which a node is not below the one before it, and these two."""
        for label, levels in self.paths.items():
            if label not in self.taxonomy:
                for above, below in pairwise(levels):
                    if above == below or above not in self.taxonomy.ancestors(below):
                        yield label, above, below


def _check(
    resolve: _Resolver, column: CategoricalColumn[Labels], locate: Callable[[int], str], file: TaxonomyFile
) -> None:
    def place(label: str) -> str:
        return locate(next(row for row, labels in enumerate(column) if label in (labels or ())))

    if unknown := resolve.unknown:
        (label, level), *others = unknown.items()
        within = "" if label == level else f" in '{label}'"
        more = f", nor {'is' if len(others) == 1 else 'are'} {plural(len(others), 'further label')}" if others else ""
        raise BadData(
            f"{place(label)} has the label '{level}'{within}, which is not in {file.source}{more}."
            f"{_suggest(level, file.taxonomy)}"
        )
    for label, above, below in resolve.contradictions():
        parents = file.taxonomy.parents[below]
        actual = f"it is below {join_names(parents)}" if parents else "it is at the top"
        raise BadData(
            f"{place(label)} has the path '{label}', but '{below}' is not below '{above}' in {file.source}: {actual}."
        )


def _suggest(name: str, taxonomy: Taxonomy) -> str:
    close = get_close_matches(name, taxonomy.nodes, n=1)
    return f" Did you mean '{close[0]}'?" if close else " Add it there, or correct the label."


def parse_level_columns(columns: Mapping[str, Iterable[object]], separator: str, locate: Locate) -> ParsedLabels:
    """Parse columns of levels, the top one first: the label of a document is the path of its cells.

    A document is unlabeled if all of its cells are blank.

    Args:
        columns: The cells of each level by the column's name.
        separator: What joins the levels in the name of a label.
        locate: Returns the location of a row, for errors.

    Raises:
        BadData: A cell is not a name, contains the separator, or follows a blank one.
    """
    cells = (_words(name, column, separator, locate) for name, column in columns.items())
    rows = CategoricalColumn(_paths([*columns], zip(*cells, strict=True), locate))
    labels = rows.map(lambda levels: (separator.join(levels),) if levels else None)
    names = {label for document in labels.categories for label in document or ()}
    taxonomy = Taxonomy.from_separator(names, separator)
    return ParsedLabels(labels, "path", taxonomy, tuple(label_notes(names)))


def _words(name: str, cells: Iterable[object], separator: str, locate: Locate) -> Iterator[str | None]:
    for row, cell in enumerate(cells):
        text = cell_text(cell, row, locate)
        if text is not None and separator in text:
            raise BadData(
                f"{locate(row)}: column '{name}' holds '{text[:40]}', and '{separator}' separates the levels in the "
                "name of a label. Name another separator with --path-separator, as in ' > '."
            )
        yield text and canonical_label(text)


def _paths(names: Sequence[str], rows: Iterable[tuple[str | None, ...]], locate: Locate) -> Iterator[tuple[str, ...]]:
    for row, words in enumerate(rows):
        depth = words.index(None) if None in words else len(words)
        below = next((level for level in range(depth, len(words)) if words[level] is not None), None)
        if below is not None:
            raise BadData(
                f"{locate(row)}: column '{names[depth]}' is blank and '{names[below]}', the level below it, holds "
                f"'{words[below]}'. Fill it: a path ends at its first blank level."
            )
        yield tuple(word for word in words[:depth] if word is not None)
