"""Readers: each turns one kind of source (a table, a folder per class, a named benchmark) into a Corpus."""

from data.readers.read import read_corpus, read_labels_by_id

__all__ = ["read_corpus", "read_labels_by_id"]
