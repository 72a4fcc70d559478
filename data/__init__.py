"""Documents, labels, taxonomies and splits; readers of files and of named benchmarks; the one tree of errors.

What lives here knows text and labels as a user has them and gives them on as plain values. What may not: anything
that knows an encoder, a store, a head or the command line, and anything that prints. Errors are in `data.errors`.

The names below are imported when they are asked for: the command line needs the errors at once, and NumPy, which
splits and targets need, would take half of the time that `embedonce --help` may.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data.benchmarks import BENCHMARKS
    from data.cache import cache_folder
    from data.columns import Columns
    from data.documents import Corpus, Document, Kind
    from data.readers import read, read_by_id
    from data.sides import with_split
    from data.splits import Split, folds, nested_subsets, stratified_parts
    from data.target import Target, TargetKind
    from data.taxonomy import Taxonomy

__all__ = [
    "BENCHMARKS",
    "Columns",
    "Corpus",
    "Document",
    "Kind",
    "Split",
    "Target",
    "TargetKind",
    "Taxonomy",
    "cache_folder",
    "folds",
    "nested_subsets",
    "read",
    "read_by_id",
    "stratified_parts",
    "with_split",
]

_HOMES = {
    "benchmarks": ["BENCHMARKS"],
    "cache": ["cache_folder"],
    "columns": ["Columns"],
    "documents": ["Corpus", "Document", "Kind"],
    "readers": ["read", "read_by_id"],
    "sides": ["with_split"],
    "splits": ["Split", "folds", "nested_subsets", "stratified_parts"],
    "target": ["Target", "TargetKind"],
    "taxonomy": ["Taxonomy"],
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'data' has no attribute '{name}'")
    return getattr(import_module(f"data.{home}"), name)
