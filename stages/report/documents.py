"""The documents behind the numbers of a page, and the values that its scripts compute with, as JSON.

Runs on the same documents share them. A page keeps at most MAX_DOCUMENTS of each set of documents: those that the most
runs got wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.confidence import known_probabilities, prediction_confidence
from stages.report.errors import document_id, excerpt
from stages.report.run_panel import RunPanel
from stages.report.run_view import RunView

__all__ = ["page_data"]

MAX_DOCUMENTS = 10_000
MAX_TEXT = 1_600_000  # bytes of all excerpts of a set; fewer with more than TEXT_RUNS runs
TEXT_RUNS = 5
MAX_EXCERPT = 160
DIGITS = "0123456789abcdefghijklmnopqrstuv"  # two of them are a number below 1024, which JavaScript reads in base 32


def page_data(panels: Sequence[RunPanel]) -> dict[str, Any]:
    """What the scripts of a page read.

    Args:
        panels: the runs, in the order of the page.

    Returns:
        "sets": sets of documents, with names of labels, ids, true codes and beginnings of texts; "runs": per run the
        number of its set, the names of codes beyond those of labels, the predicted codes of wrong predictions, the
        probabilities of all predictions in thousandths, the metrics per label, and the curves as numbers of documents
        at thresholds, each as the difference to the one before.
    """
    sets: list[list[RunView]] = []
    places: list[int] = []
    for panel in panels:
        same = (at for at, runs in enumerate(sets) if _have_same_documents(runs[0], panel.view))
        place = next(same, len(sets))
        sets[place:] = [[]] if place == len(sets) else sets[place:]
        sets[place].append(panel.view)
        places.append(place)
    rows = [_listed_rows(runs) for runs in sets]
    return {
        "sets": [_set_json(runs[0], listed, len(panels)) for runs, listed in zip(sets, rows, strict=True)],
        "runs": [_run_json(panel, place, rows[place]) for panel, place in zip(panels, places, strict=True)],
    }


def _have_same_documents(run: RunView, other: RunView) -> bool:
    return run.labels == other.labels and run.ids == other.ids and np.array_equal(run.truth, other.truth)


def _listed_rows(runs: Sequence[RunView]) -> NDArray[np.int64]:
    """The rows of the documents on the page, in their order."""
    count = len(runs[0].truth)
    if count <= MAX_DOCUMENTS:
        return np.arange(count)
    wrong = np.sum([~run.correct for run in runs], axis=0)
    return np.sort(np.argsort(-wrong, kind="stable")[:MAX_DOCUMENTS])


def _set_json(run: RunView, rows: NDArray[np.int64], runs: int) -> dict[str, Any]:
    budget = MAX_TEXT * min(1.0, TEXT_RUNS / runs)
    bytes_per_character = max(1.0, sum(map(_count_bytes, run.excerpts)) / max(1, sum(map(len, run.excerpts))))
    length = min(MAX_EXCERPT, int(budget / bytes_per_character) // max(1, len(rows)))
    return {
        "names": list(run.labels),
        "multilabel": run.is_multilabel,
        "documents": len(run.truth),
        "ids": [document_id(run, row) for row in rows.tolist()],
        "texts": [excerpt(run.excerpts[row], length) for row in rows.tolist()] if run.excerpts else [],
        "truth": _codes(run.truth[rows]),
    }


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _codes(codes: NDArray[Any]) -> list[Any]:
    """Codes as they are; those of each document as a list if there may be several."""
    return [np.flatnonzero(row).tolist() for row in codes] if codes.ndim == 2 else [int(code) for code in codes]


def _run_json(panel: RunPanel, place: int, rows: NDArray[np.int64]) -> dict[str, Any]:
    run, by_label = panel.view, {row.label: row for row in panel.view.scored.labels}
    wrong = np.flatnonzero(~run.correct[rows])
    metrics, codes = [by_label[label] for label in run.labels], {label: code for code, label in enumerate(run.labels)}
    return {
        "anchor": panel.anchor,
        "name": run.name,
        "set": place,
        "others": list(run.shown_names[len(run.labels) :]),
        "wrong": wrong.tolist(),
        "predicted": _codes(run.shown_codes[rows[wrong]]),
        "probability": _probabilities(run, rows),
        "f1": [round(row.f1, 4) if row.support or row.predicted else None for row in metrics],
        "support": [row.support for row in metrics],
        "curves": [
            {
                "label": codes.get(curve.label, -1),
                "documents": curve.documents,
                "thresholds": curve.points.thresholds,
                "hits": np.diff(curve.points.hits, prepend=0).tolist(),
                "predicted": np.diff(curve.points.predicted, prepend=0).tolist(),
            }
            for curve in panel.precision_recall.all_curves
        ],
    }


def _probabilities(run: RunView, rows: NDArray[np.int64]) -> str | list[Any]:
    """In thousandths, as two DIGITS for each prediction; multi-label: of the true, then of the predicted labels."""
    if not run.is_multilabel:
        thousandths = np.rint(1000 * prediction_confidence(run)[rows]).astype(int).tolist()
        return "".join(DIGITS[value // 32] + DIGITS[value % 32] for value in thousandths)
    exact = known_probabilities(run)[rows]
    pairs = zip(exact, run.truth[rows], run.predicted[rows], strict=True)
    return [
        np.rint(1000 * np.concatenate([values[true], values[predicted]])).astype(int).tolist()
        for values, true, predicted in pairs
    ]
