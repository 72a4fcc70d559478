"""The documents behind the numbers of a page, and the values that its scripts compute with, as JSON.

Runs on the same documents share them. A page keeps at most MAX_DOCUMENTS of each set of documents: those that the most
runs got wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.confidence import prediction_confidence
from stages.report.errors import document_id, excerpt
from stages.report.run_panel import RunPanel
from stages.report.run_view import RunView

__all__ = ["page_data"]

MAX_DOCUMENTS = 10_000
MAX_TEXT = 1_500_000  # characters of all excerpts of a set
MAX_EXCERPT = 160


def page_data(panels: Sequence[RunPanel]) -> dict[str, Any]:
    """What the scripts of a page read.

    Args:
        panels: the runs, in the order of the page.

    Returns:
        "sets": sets of documents, with names of label codes, ids, true codes and beginnings of texts; "runs": per run
        the number of its set, the predicted codes and their probabilities in thousandths, the metrics per label, and
        the curves as numbers of documents at thresholds.
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
        "sets": [_set_json(runs[0], listed) for runs, listed in zip(sets, rows, strict=True)],
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


def _set_json(run: RunView, rows: NDArray[np.int64]) -> dict[str, Any]:
    length = min(MAX_EXCERPT, MAX_TEXT // max(1, len(rows)))
    return {
        "labels": len(run.labels),
        "names": list(run.shown_names),
        "multilabel": run.is_multilabel,
        "documents": len(run.truth),
        "ids": [document_id(run, row) for row in rows.tolist()],
        "texts": [excerpt(run.excerpts[row], length) for row in rows.tolist()] if run.excerpts else [],
        "truth": _codes(run.truth[rows]),
    }


def _codes(codes: NDArray[Any]) -> list[Any]:
    """Codes as they are; those of each document as a list if there may be several."""
    return [np.flatnonzero(row).tolist() for row in codes] if codes.ndim == 2 else [int(code) for code in codes]


def _run_json(panel: RunPanel, place: int, rows: NDArray[np.int64]) -> dict[str, Any]:
    run, by_label = panel.view, {row.label: row for row in panel.view.scored.labels}
    metrics, codes = [by_label[label] for label in run.labels], {label: code for code, label in enumerate(run.labels)}
    return {
        "anchor": panel.anchor,
        "name": run.name,
        "set": place,
        "predicted": _codes(run.shown_codes[rows]),
        "probability": _probabilities(run, rows),
        "f1": [round(row.f1, 4) if row.support or row.predicted else None for row in metrics],
        "support": [row.support for row in metrics],
        "curves": [
            {
                "label": codes.get(curve.label, -1),
                "documents": curve.documents,
                "thresholds": curve.points.thresholds,
                "hits": curve.points.hits,
                "predicted": curve.points.predicted,
            }
            for curve in panel.precision_recall.all_curves
        ],
    }


def _probabilities(run: RunView, rows: NDArray[np.int64]) -> list[Any]:
    """Of each prediction, in thousandths; multi-label: of the true labels, then of the predicted ones."""
    if not run.is_multilabel:
        return [round(1000 * value) for value in prediction_confidence(run)[rows].tolist()]
    exact = np.nan_to_num(run.probabilities[rows], nan=0.0, neginf=0.0)
    pairs = zip(exact, run.truth[rows], run.predicted[rows], strict=True)
    return [
        np.rint(1000 * np.concatenate([values[true], values[predicted]])).astype(int).tolist()
        for values, true, predicted in pairs
    ]
