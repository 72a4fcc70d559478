"""Where a taxonomy is read from: a corpus in a file, a corpus in a store, or an edge file."""

from dataclasses import replace
from pathlib import Path

from data.documents import Documents
from data.errors import BadData
from data.readers import read_corpus
from data.readers.taxonomy_file import is_taxonomy_file, read_taxonomy
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, Location, is_store, parse_location
from stages.taxonomy.counts import CountedTaxonomy

__all__ = ["count_stored", "read_file", "read_source", "store_location"]


def store_location(source: str) -> Location | None:
    """The location of a store, if `source` is one: the URL of a bucket, or a folder that is a store."""
    if "://" in source:
        return parse_location(source)
    path = Path(source)
    return path if path.is_dir() and is_store(path) else None


def read_source(source: str, spec: SourceSpec) -> CountedTaxonomy:
    """The taxonomy of a file with documents, or the file of a taxonomy.

    Raises:
        BadData: the labels of the documents have no taxonomy.
        EmbedOnceError: what `read_corpus` and `read_taxonomy` raise.
    """
    if is_taxonomy_file(source):
        return read_file(source)
    corpus = read_corpus(source, spec)
    documents = Documents.from_documents(corpus.documents)
    separator = "Name the separator of their levels with --path-separator or the file of a taxonomy with --taxonomy"
    taxonomy = _require(corpus.name, corpus.taxonomy, separator)
    counted = CountedTaxonomy.of_corpus(corpus.name, taxonomy, documents.labels, documents.splits)
    return replace(counted, notes=corpus.notes)


def read_file(path: str) -> CountedTaxonomy:
    """A taxonomy without documents. Raises what `read_taxonomy` raises."""
    file = read_taxonomy(path)
    return CountedTaxonomy(Path(path).stem, file.taxonomy, notes=file.notes)


def count_stored(table: CorpusTable) -> CountedTaxonomy:
    """The taxonomy of a corpus in a store. Raises BadData if the labels have none."""
    taxonomy = _require(table.name, table.taxonomy, "Give them one with `embedonce store label --taxonomy FILE`")
    return CountedTaxonomy.of_corpus(table.name, taxonomy, table.labels, table.splits)


def _require(name: str, taxonomy: Taxonomy | None, step: str) -> Taxonomy:
    if taxonomy is None:
        raise BadData(
            f"The labels of {name} have no taxonomy: none is a path. {step}, or let `embedonce taxonomy --suggest RUN` "
            "propose one."
        )
    return taxonomy
