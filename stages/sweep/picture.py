"""A sweep as a file: a page, or the picture alone."""

from pathlib import Path

from data.atomic_write import write_atomically
from stages.sweep.result import Outcome

__all__ = ["write_picture"]


def write_picture(outcome: Outcome, path: Path, *, alone: bool) -> None:
    """Write the picture as SVG, or with the tables as a page; a file of that name is replaced whole.

    Raises StorageFailed when it cannot be written.
    """
    from stages.sweep.chart import search_page, search_picture

    write_atomically(path, (search_picture if alone else search_page)(outcome).encode())
