"""The most confident wrong predictions of a run, with the evidence that the run has for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.report.confidence import prediction_confidence
from stages.report.formatting import replace_unprintable
from stages.report.run_view import ExplainedError, RunView

__all__ = ["MAX_ERRORS", "ShownError", "confident_errors", "document_id", "excerpt", "shown_errors"]

MAX_ERRORS = 10
EXCERPT = 300


@dataclass(frozen=True)
class ShownError:
    """A wrong prediction as the page shows it.

    Attributes:
        id: of the document.
        excerpt: the beginning of its text; "" if it is not available.
        true: its labels.
        predicted: the predicted labels.
        confidence: as in `prediction_confidence`.
        explained: the evidence for the predicted label; None if it was not computed.
    """

    id: str
    excerpt: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    confidence: float
    explained: ExplainedError | None


def confident_errors(run: RunView, limit: int = MAX_ERRORS) -> list[int]:
    """The rows of the wrong predictions with the highest confidence, the most confident first.

    Documents without a predicted label are not among them.
    """
    decided = run.predicted.any(axis=1) if run.is_multilabel else run.predicted >= 0
    wrong = np.flatnonzero(~run.correct & decided)
    order = np.argsort(-prediction_confidence(run)[wrong], kind="stable")
    return [int(row) for row in wrong[order][:limit]]


def shown_errors(run: RunView) -> list[ShownError]:
    """The errors of `confident_errors`, with the evidence that the run's view has."""
    confidence, explained = prediction_confidence(run), {error.row: error for error in run.errors}
    return [
        ShownError(
            document_id(run, row),
            excerpt(run.excerpts[row], EXCERPT) if run.excerpts else "",
            _label_names(run, run.truth[row]),
            _label_names(run, run.predicted[row]),
            float(confidence[row]),
            explained.get(row),
        )
        for row in confident_errors(run)
    ]


def document_id(run: RunView, row: int) -> str:
    """The id of a document, or its row if ids are not known."""
    return run.ids[row] if run.ids else f"row {row + 1}"


def _label_names(run: RunView, codes: Any) -> tuple[str, ...]:
    columns: list[int] = np.flatnonzero(codes).tolist() if run.is_multilabel else [int(codes)]
    return tuple(run.names[code] for code in columns)


def excerpt(text: str, length: int) -> str:
    """The beginning of a text in at most `length` characters, white space folded."""
    folded = " ".join(replace_unprintable(text[: 4 * length]).split())
    return folded if len(folded) <= length and len(text) <= 4 * length else f"{folded[: length - 1]}…"
