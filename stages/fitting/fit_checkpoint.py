"""Work on a run that is not complete yet: the scores of finished folds, and the checkpoints of a network.

    runs/unfinished/lstm-7c2e41b0-5ab01f3c/
      fold-2.npy                       scores of the documents of that fold, by a head that was not fitted on them
      views.json                       what each view contributes to the predictions of the first fold
      head/                            fitted on the whole training split, if the fits of folds start from it
      9c41....safetensors              a network's checkpoint, see heads/training/state.py

The second hash is of the package versions: with another torch, a fit starts from the beginning. The folder is removed
once the run is complete.
"""

import json
import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import TEMPORARY_PREFIX, build_folder, make_folder, write_atomically
from data.errors import RunDamaged, StorageFailed
from heads.core.head import Head
from stages.fitting import runs
from stages.fitting.diagnostics import ViewUse

__all__ = ["FOLDER", "FitCheckpoint"]

FOLDER, HEAD, VIEWS = "unfinished", "head", "views.json"


class FitCheckpoint:
    """What an interrupted fit of a run left behind, and what this fit saves. run: the folder of the run.

    If the disk refuses a write, only that checkpoint is lost; the fit continues.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run.parent / FOLDER / f"{run.name}-{runs.short_hash(runs.package_versions())}"

    def notes(self) -> list[str]:
        """The note for a run that resumes here, if there is something to resume."""
        if not self.folder.is_dir():
            return []
        return ["This fit was interrupted and resumed: its seconds are those since the last start."]

    def attach(self, head: Head) -> Head:
        """The same head, which saves its training state here if it is a network."""
        if hasattr(head, "checkpoint_folder"):  # checked by name, because heads/training/network_head.py imports torch
            head.checkpoint_folder = self.folder
        return head

    def load_scores(self, fold: int, shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """The saved scores of a finished fold, float32 of that shape, or None."""
        with suppress(OSError, ValueError, EOFError):
            scores: NDArray[np.float32] = np.load(self._path(fold), allow_pickle=False)
            return scores if scores.shape == shape and scores.dtype == np.float32 else None
        return None

    def save_scores(self, fold: int, scores: NDArray[np.float32]) -> None:
        """Save the scores of a finished fold."""
        content = BytesIO()
        np.save(content, scores, allow_pickle=False)
        self._save(self._path(fold), content.getvalue())

    def load_views(self) -> ViewUse:
        """What `save_views` saved; empty if there is nothing."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            return ViewUse.from_json(json.loads((self.folder / VIEWS).read_text(encoding="utf-8")))
        return ViewUse()

    def save_views(self, views: ViewUse) -> None:
        """Save what each view contributes; to be called before the scores of the first fold are saved."""
        if views.alone:
            self._save(self.folder / VIEWS, json.dumps(views.to_json()).encode())

    def _save(self, path: Path, content: bytes) -> None:
        try:
            make_folder(self.folder)
            write_atomically(path, content)
        except StorageFailed:
            self._remove_empty_folders()

    def load_head(self, kind: type[Head]) -> Head | None:
        """The saved head of that class, or None."""
        with suppress(RunDamaged):  # also if there is none
            return kind.load(self.folder / HEAD)
        return None

    def save_head(self, head: Head) -> None:
        """Save the head that was fitted on the whole training split."""
        try:
            with build_folder(self.folder / HEAD, is_complete=lambda _: False) as temporary:
                head.save(temporary)
        except StorageFailed:
            self._remove_empty_folders()

    def remove(self) -> None:
        """Remove everything; to be called when the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_empty_folders()

    def remove_temporary_files(self) -> None:
        """Remove what a process that was killed while it wrote left behind; to be called when none writes."""
        for path in self.folder.glob(f"{TEMPORARY_PREFIX}*"):
            with suppress(OSError):
                path.unlink()

    def _remove_empty_folders(self) -> None:
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # it is not empty
                folder.rmdir()

    def _path(self, fold: int) -> Path:
        return self.folder / f"fold-{fold}.npy"
