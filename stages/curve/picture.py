"""Curves as a file: a page, or the picture alone."""

from pathlib import Path

from data.atomic_write import write_atomically
from stages.curve.points import LearningCurves

__all__ = ["write_picture"]


def write_picture(curves: LearningCurves, metric: str, path: Path, *, alone: bool) -> None:
    """Write the picture of one of FIGURES as SVG, or with the table as a page; a file of that name is replaced whole.

    Raises StorageFailed when it cannot be written.
    """
    from stages.curve.chart import learning_page, learning_picture

    draw = learning_picture if alone else learning_page
    write_atomically(path, draw(curves, metric).encode())
