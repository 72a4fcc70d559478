"""Runs on different documents, restricted to those that all of them scored."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.splits import Split
from data.text_format import join_names, join_words, plural
from heads.evaluation.metrics import Scorecard
from stages.fitting import runs
from stages.fitting.predictions import Predictions, score_predictions
from stages.fitting.record import SPLITS

__all__ = ["restrict_to_common"]

_Document = tuple[str, str]  # its split and its id
_LABEL_FIELDS = ("kind", "labels", "taxonomy", "scored_level")


@dataclass(frozen=True)
class _RestrictedRun(runs.Run):
    """A run whose predictions and metrics are those of some of its documents. rows: int64, in any order."""

    original: runs.Run
    rows: NDArray[np.int64]

    @cached_property
    def _predictions(self) -> Predictions:
        """The predictions on these documents."""
        return self.original.predictions()[self.rows]

    def folds(self) -> NDArray[np.int32] | None:
        """The fold of each of these documents on the training split."""
        folds, splits = self.original.folds(), np.array(self.original.predictions().splits)
        train = np.flatnonzero(splits == Split.TRAIN)
        return None if folds is None else folds[np.searchsorted(train, self.rows[np.isin(self.rows, train)])]

    @cached_property
    def scorecards(self) -> dict[str, Scorecard]:
        """The metrics on these documents."""
        return {name: self._scorecard(SPLITS[name]) for name in self.original.scorecards}

    def _scorecard(self, split: Split) -> Scorecard:
        scored = self.predictions().of(split)
        return score_predictions(scored, self.record.target(scored.truth), self.record.seed)


def restrict_to_common(selected: Sequence[runs.Run]) -> tuple[list[runs.Run], str]:
    """Restrict runs to the documents that all of them scored, in the same split and with the same label.

    Documents are matched by their ids: a run knows no texts. A run without test metrics restricts no test documents.

    Args:
        selected: runs on different documents.

    Returns:
        The same runs, with predictions and metrics of the common documents alone, in the same order; and a sentence
        that counts them.

    Raises:
        CallError: their labels differ, or no document that ranks them is common to all.
    """
    _check_labels(selected)
    documents = [_read_documents(run) for run in selected]
    common, relabeled = _find_common(documents)
    counts = Counter(split for split, _ in common)
    if not all(counts[SPLITS[name]] for run in selected for name in run.scorecards):
        raise CallError(
            "These runs have no documents in common that have the same id, split and label in all of them. Compare "
            "runs on the same documents, as in `embedonce compare --filter corpus=NAME`."
        )
    digest = hashlib.sha256("\n".join(f"{split} {identifier}" for split, identifier in sorted(common)).encode())
    restricted = []
    for run, of_run in zip(selected, documents, strict=True):
        row_of = {document: row for row, document in enumerate(of_run)}
        rows = [row_of[document] for document in common if document in row_of]
        restricted.append(_restrict(run, rows, digest.hexdigest()))
    return restricted, _describe(counts, relabeled)


def _check_labels(selected: Sequence[runs.Run]) -> None:
    first = selected[0].record
    for run in selected[1:]:
        if any(getattr(run.record, field) != getattr(first, field) for field in _LABEL_FIELDS):
            other = sorted({*first.labels} ^ {*run.record.labels})
            which = f" ({join_names(other)} only in one of them)" if other else ""
            raise CallError(
                f"{selected[0].name} and {run.name} have different labels{which}, so they cannot be compared, also not "
                "on common documents. Select runs on the same labels, as with --filter corpus=NAME."
            )


def _read_documents(run: runs.Run) -> dict[_Document, bytes]:
    """The documents of a run in the order of its predictions, with their labels as bytes."""
    predictions = run.predictions()
    keys = zip(predictions.splits, predictions.ids, strict=True)
    return {key: _as_bytes(truth) for key, truth in zip(keys, predictions.truth, strict=True)}


def _as_bytes(truth: Any) -> bytes:
    return np.asarray(truth).tobytes()


def _find_common(documents: Sequence[Mapping[_Document, bytes]]) -> tuple[list[_Document], int]:
    """The documents with one label that are in all runs that have their split; and how many have several labels.

    They are in the order of the first of these runs, one split after the other.
    """
    common, relabeled = list[_Document](), 0
    for split in dict.fromkeys(split for of_run in documents for split, _ in of_run):
        of_split = [{key: label for key, label in of_run.items() if key[0] == split} for of_run in documents]
        first, *others = filter(None, of_split)
        for key, label in first.items():
            if all(key in other for other in others):
                if all(other[key] == label for other in others):
                    common.append(key)
                else:
                    relabeled += 1
    return common, relabeled


def _restrict(run: runs.Run, rows: Sequence[int], digest: str) -> runs.Run:
    splits = Counter(np.array(run.predictions().splits)[rows].tolist())
    record = replace(run.record, documents=dict(splits), documents_hash=digest)
    return _RestrictedRun(run.folder, record, run.files, run, np.array(rows, dtype=np.int64))


def _describe(counts: Mapping[str, int], relabeled: int) -> str:
    names = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}
    parts = [f"{counts[split]:,} {name}" for split, name in names.items() if counts.get(split)]
    changed = f"; {plural(relabeled, 'document')} with another label in some run left out" if relabeled else ""
    return (
        f"Compared on the {join_words(parts)} documents that all runs scored (--common), matched by id{changed}: all "
        "metrics are of these alone."
    )
