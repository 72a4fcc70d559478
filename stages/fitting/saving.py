"""Writes run folders: fitted runs, and decided runs, which refer to one. See `runs` for the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import build_folder, hash_file, write_atomically
from stages.fitting.predictions import Predictions, write_predictions
from stages.fitting.runs import FINAL, FOLDS, FORMAT, Record, Run, load
from stages.fitting.training_distance import save_training_distance

if TYPE_CHECKING:
    from heads.core.head import Head
    from heads.evaluation.decisions import Decision
    from heads.evaluation.metrics import Scorecard

__all__ = ["add_test", "replace_run_notes", "save", "save_decided"]


def save(
    folder: Path,
    record: Record,
    head: "Head",
    decision: "Decision",
    predictions: Predictions,
    scorecards: Mapping[str, "Scorecard"],
    groups: NDArray[np.int64],
    folds: NDArray[np.int32] | None = None,
) -> Run:
    """Write a run and return it. If another process has written a run of that name in the meantime, that one stays.

    Args:
        folder: where to write the run; the name of the folder is the name of the run.
        record: the content of run.json.
        head: the fitted head.
        decision: the decision and its evidence.
        predictions: of both splits.
        scorecards: as in `Run.scorecards`.
        groups: as in `Run.groups`.
        folds: as in `Run.folds`.

    Returns:
        The run in `folder`.

    Raises:
        StorageFailed: if the disk is full or refuses to write; nothing is left behind.
    """
    with build_folder(folder, next_step=" and fit again.") as temporary:
        (temporary / "head").mkdir()
        head.save(temporary / "head")
        np.save(temporary / "scores.npy", np.ascontiguousarray(predictions.scores, dtype=np.float32))
        np.save(temporary / "groups.npy", groups)
        if folds is not None:
            np.save(temporary / FOLDS, folds)
        _write_decided(temporary, record, decision, predictions, scorecards)
    return load(folder)


def save_decided(
    folder: Path,
    record: Record,
    decision: "Decision",
    predictions: Predictions,
    scorecards: Mapping[str, "Scorecard"],
) -> Run:
    """Write a decided run that is not scored on the test split, and return it; its parent must be in the same folder.

    Args:
        folder: as for `save`.
        record: the content of run.json, with the parent.
        decision: the decision and its evidence.
        predictions: of the documents that it was chosen on.
        scorecards: as in `Run.scorecards`.

    Returns:
        The run in `folder`.

    Raises:
        StorageFailed: if the disk is full or refuses to write; nothing is left behind.
    """
    with build_folder(folder, next_step=" and decide again.") as temporary:
        _write_decided(temporary, record, decision, predictions, scorecards)
    return load(folder)


def add_test(run: Run, record: Record, predictions: Predictions, scorecard: "Scorecard") -> Run:
    """Add what the test split showed to a decided run, and return it. A reader meets all of it or nothing.

    Args:
        run: the decided run.
        record: its record, which says that it is final.
        predictions: of the test split.
        scorecard: the metrics of these.

    Returns:
        The run, final.

    Raises:
        StorageFailed: if the disk is full or refuses to write; the run is then as it was.
    """
    folder = run.folder / FINAL
    with build_folder(folder, is_complete=lambda _: False, next_step=" and decide again.") as temporary:
        _write_json(temporary / "scorecard.json", {"test": scorecard.to_json()})
        write_predictions(temporary, predictions, record.labels, record.node_names)
    files = {path.relative_to(run.folder).as_posix(): hash_file(path) for path in sorted(folder.iterdir())}
    content = {"format": FORMAT, **asdict(record), "files": {**run.files, **files}}
    write_atomically(run.folder / "run.json", _json(content))
    return load(run.folder)


def _write_decided(
    folder: Path,
    record: Record,
    decision: "Decision",
    predictions: Predictions,
    scorecards: Mapping[str, "Scorecard"],
) -> None:
    """Write what depends on the decision, and run.json with the hash of every file in the folder."""
    _write_json(folder / "decision.json", decision.to_json())
    if decision.training_distance is not None:
        save_training_distance(folder, decision.training_distance)
    _write_json(folder / "scorecard.json", {split: card.to_json() for split, card in scorecards.items()})
    write_predictions(folder, predictions, record.labels, record.node_names)
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): hash_file(path) for path in written}
    _write_json(folder / "run.json", {"format": FORMAT, **asdict(record), "files": files})


def replace_run_notes(run: Run, notes: Sequence[str], search: Sequence[Mapping[str, Any]]) -> Run:
    """Replace the notes on the run, and what a sweep searched, on disk too, and return the run.

    Args:
        run: a run.
        notes: as in `Record.run_notes`.
        search: as in `Record.search`.

    Returns:
        The run with the new record.

    Raises:
        StorageFailed: it cannot be written.
    """
    record = replace(run.record, run_notes=tuple(notes), search=tuple(search))
    content = {"format": FORMAT, **asdict(record), "files": dict(run.files)}
    write_atomically(run.folder / "run.json", _json(content))
    return replace(run, record=record)


def _json(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a path's bytes that are not UTF-8 become JSON's own escapes


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_bytes(_json(content))
