"""Pooled vectors of training documents: computed once, for all fits of all heads of a command and their processes.

    runs/unfinished/features-node7-x3k9d2fa     float32 (documents, width), mapped by each process that fits

Without it, each fit would read and pool the store's vectors again, in each process. Small arrays stay in memory, from
where joblib shares them; and if the disk lacks room for a file, each fit pools as far as it needs. A file is locked by
the process that made it for as long as that lives; the next fit into the folder removes those that nobody locks. On
some shared file systems a lock is seen on its own node only, so files of other nodes are kept for a week.

What else heads compute from documents without their labels (`Head.computations`) is kept in memory in the same way.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import make_folder
from data.errors import EmbedOnceError
from featurestore import Bags, PerDocument, PooledFile, write_pooled
from featurestore.storage.file_lock import lock_file
from heads.core.head import Head
from stages.fitting.fit_checkpoint import FOLDER
from stages.fitting.labeled_bags import LabeledBags

__all__ = ["PooledFeatures"]

_PREFIX_OF_ALL = "features-"
PREFIX = f"{_PREFIX_OF_ALL}{platform.node().replace(os.sep, '-')}-"
_OTHER_NODE_SECONDS = 7 * 24 * 3600.0
IN_MEMORY = 2**26  # bytes of an array that needs no file
SPARE_DISK = 2**30  # bytes that a file leaves free

Rows = NDArray[np.float32] | PooledFile
Documents = TypeVar("Documents", bound=LabeledBags)


class PooledFeatures:
    """The pooled vectors of a command's fits; a context manager that removes their files. folder: of the runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._arrays: dict[Hashable, Rows] = {}
        self._computed: dict[Hashable, PerDocument] = {}
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays.clear()
        self._computed.clear()
        while self._files:
            _remove(self._files.pop())
        _remove_abandoned(self.folder)  # of workers of an engine, which have been ended
        with suppress(OSError):  # it is not empty, or is not there
            self.folder.rmdir()

    def attach(self, documents: Documents, head: Head, source: Hashable) -> Documents:
        """Give documents the pooled vectors that a head reads, if it reads such, and what else fits can share.

        Args:
            documents: the training documents.
            head: a configured head, not fitted.
            source: identifies the documents, in this order, and their features.

        Returns:
            The same documents.

        Raises:
            EmbedOnceError: the vectors cannot be read.
        """
        train = self._attach(documents.train, head, source)
        if not documents.exposure.folds:  # else no two fits read the same features
            train = self._attach_computed(train, head, source)
        folds = tuple(
            replace(fold, features=self._attach(fold.features, head, (source, number)))
            for number, fold in enumerate(documents.exposure.folds)
        )
        return replace(documents, train=train, exposure=replace(documents.exposure, folds=folds))

    def _attach(self, bags: Bags, head: Head, source: Hashable) -> Bags:
        names = head.pooled_views(bags)
        if not names:
            return bags
        key = (source, names)
        if key not in self._arrays:
            size = 4 * len(bags) * bags.pooled_dim(names)
            rows = bags.pooled(names) if size <= IN_MEMORY else self._write(bags, names, size)
            if rows is None:
                return bags
            self._arrays[key] = rows
        return bags.with_pooled(names, self._arrays[key])

    def _attach_computed(self, bags: Bags, head: Head, source: Hashable) -> Bags:
        for computation in head.computations(bags):
            key = (source, computation)
            if key not in self._computed:
                self._computed[key] = computation.compute(bags)
            bags = bags.with_computed(computation, self._computed[key])
        return bags

    def _write(self, bags: Bags, names: tuple[str, ...], size: int) -> Rows | None:
        """The pooled vectors in a new file; None if it cannot be written."""
        try:
            make_folder(self.folder)
            _remove_abandoned(self.folder)
            if shutil.disk_usage(self.folder).free < size + SPARE_DISK:
                return None
            descriptor, path = tempfile.mkstemp(prefix=PREFIX, dir=self.folder)
            os.close(descriptor)
            file = Path(path).open("r+b")  # noqa: SIM115 - it is open, and so locked, until `__exit__`
        except EmbedOnceError:
            raise
        except OSError:
            return None
        self._files.append(file)
        try:
            lock_file(file)
            rows = write_pooled(bags, names, file)
            return rows if Path(path).exists() else None  # it was removed before it was locked
        except OSError:  # most likely it has filled the disk, which others need
            _remove(self._files.pop())
            return None


def _remove_abandoned(folder: Path) -> None:
    """Remove the files of processes that were killed."""
    for path in folder.glob(f"{_PREFIX_OF_ALL}*"):
        with suppress(OSError):  # its process lives, or another one removed it
            is_own = path.name[: path.name.rindex("-") + 1] == PREFIX
            if not is_own and time.time() - path.stat().st_mtime < _OTHER_NODE_SECONDS:
                continue
            file = path.open("r+b")
            try:
                lock_file(file)
            except OSError:
                file.close()
                raise
            _remove(file)


def _remove(file: BinaryIO) -> None:
    with suppress(OSError):
        if os.name == "nt":
            file.close()
        Path(file.name).unlink()
    file.close()
