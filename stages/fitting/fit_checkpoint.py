"""What a fit has done before it is a run: the scores of finished folds, and where a network stood.

    runs/unfinished/lstm-7c2e41b0-5ab01f3c/
      fold-2.npy                       scores of the documents that the fold left out
      9c41....safetensors              a network's checkpoint, see heads/training/state.py

The second number stands for the versions of the packages: another torch starts anew. Once the run is there, its folder
goes.
"""

import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import make_folder, write_atomically
from data.errors import StorageFailed
from heads.core.head import Head
from stages.fitting import runs

__all__ = ["FOLDER", "FitCheckpoint"]

FOLDER = "unfinished"


class FitCheckpoint:
    """The work on a run that is not there yet. run: its folder.

    A disk that refuses costs what would have been kept, never the fit.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run.parent / FOLDER / f"{run.name}-{runs.short_hash(runs.versions())}"

    def notes(self) -> list[str]:
        """What the run should say of itself if something is found here."""
        if not self.folder.is_dir():
            return []
        return ["This fit was interrupted and went on: its seconds are those of the last start."]

    def watched(self, head: Head) -> Head:
        """The same head; if it is a network, it keeps checkpoints here."""
        if hasattr(head, "checkpoints"):  # asked by name, for heads/training/network_head.py loads torch
            head.checkpoints = self.folder
        return head

    def scores(self, fold: int, shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """What a finished fold gave, float32 of that shape, or None."""
        with suppress(OSError, ValueError, EOFError):
            found: NDArray[np.float32] = np.load(self._place(fold), allow_pickle=False)
            return found if found.shape == shape and found.dtype == np.float32 else None
        return None

    def keep(self, fold: int, scores: NDArray[np.float32]) -> None:
        """Remember what a fold gave."""
        content = BytesIO()
        np.save(content, scores, allow_pickle=False)
        try:
            make_folder(self.folder)
            write_atomically(self._place(fold), content.getvalue())
        except StorageFailed:
            self._leave()

    def remove(self) -> None:
        """The run is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._leave()

    def _leave(self) -> None:
        """Remove the folders, those that are empty alone."""
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):
                folder.rmdir()

    def _place(self, fold: int) -> Path:
        return self.folder / f"fold-{fold}.npy"
