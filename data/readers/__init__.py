"""Readers of what a user names: a table, a folder per class, or a named benchmark.

Each module reads one format into a `Table` or a `Corpus`; `read.py` chooses the module. Readers guess the roles of
columns and report each guess as a note. They assign no splits, write no files and print nothing.
"""

from data.readers.read import read_column, read_corpus, read_labels_by_id
from data.readers.source_files import file_sizes, is_read_at_once, report_reading
from data.readers.tables import read_table

__all__ = [
    "file_sizes",
    "is_read_at_once",
    "read_column",
    "read_corpus",
    "read_labels_by_id",
    "read_table",
    "report_reading",
]
