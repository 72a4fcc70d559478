"""Which label wins a document as the strength of a logit adjustment grows: the upper envelope of lines.

The adjusted score of a label is its score plus the strength times its slope. So the winner changes a few times only,
and the metric of every strength follows from one sort of these flips.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.optimizers.flips import Flips, FlipValue
from heads.evaluation.decisions.optimizers.search import best_columns, best_threshold
from heads.evaluation.score_matrix import row_blocks

STRONGEST = 8.0  # of either sign: beyond, the frequencies alone decide

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Envelope:
    """The flips of documents from the strength -STRONGEST to STRONGEST.

    strengths: float64 (flips,), sorted. documents, old, new: int64 (flips,), which document flips between which labels.
    first: int64 (documents,), the labels that win before all flips.
    """

    strengths: NDArray[np.float64]
    documents: Codes
    old: Codes
    new: Codes
    first: Codes

    @classmethod
    def of(cls, scores: Scores, slopes: NDArray[np.float64]) -> Self:
        """The envelope of scores (documents, labels). slopes: float64 (labels,)."""
        distinct, columns, highest = _best_of_equal_slopes(scores, slopes)
        current, _ = best_columns(highest, -STRONGEST * distinct)
        first, waiting = current.copy(), np.arange(len(scores))
        flips: list[tuple[NDArray[np.float64], Codes, Codes, Codes]] = []
        while len(waiting):
            strength, following = _next_crossing(highest[waiting], distinct, current[waiting])
            flipping = strength <= STRONGEST
            waiting, following = waiting[flipping], following[flipping]
            flips.append((strength[flipping], waiting, current[waiting], following))
            current[waiting] = following
        strengths, documents, old, new = (np.concatenate(each) for each in zip(*flips, strict=True))
        # flips of a document are in order, also those at the same strength
        order = np.argsort(np.maximum(strengths, -STRONGEST), kind="stable")
        documents = documents[order]
        old, new = columns[documents, old[order]], columns[documents, new[order]]
        return cls(strengths[order], documents, old, new, columns[np.arange(len(first)), first])

    def best_strength(self, truth: Codes, rows: NDArray[np.bool_], labels: int, value: FlipValue) -> float:
        """The strength with the best metric; among ties the smallest.

        Args:
            truth: int64 (documents,), of all documents.
            rows: bool (documents,), those that count.
            labels: number of labels.
            value: the metric.

        Returns:
            From -STRONGEST to STRONGEST.
        """
        kept = rows[self.documents]
        flips = Flips(self.old[kept], self.new[kept], truth[self.documents[kept]])
        before = ConfusionCounts.from_predictions(truth[rows], self.first[rows], labels)
        return best_threshold(self.strengths[kept], value.changes(flips, before), 0.0)


def _next_crossing(scores: Scores, slopes: NDArray[np.float64], current: Codes) -> tuple[NDArray[np.float64], Codes]:
    """The lowest strength at which a steeper line exceeds the current one, inf for none, and the steepest such line."""
    strength, following = np.full(len(scores), np.inf), np.zeros(len(scores), dtype=np.int64)
    for rows in row_blocks(scores.shape):
        values, line = scores[rows], current[rows]
        steeper = slopes - slopes[line][:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            crossing = (np.take_along_axis(values, line[:, None], axis=1) - values) / steeper
        crossing[~(steeper > 0) | np.isnan(crossing)] = np.inf
        lowest = crossing.min(axis=1, initial=np.inf)
        steepest = crossing.shape[1] - 1 - (crossing[:, ::-1] == lowest[:, None]).argmax(axis=1)
        strength[rows], following[rows] = lowest, steepest
    return strength, following


def _best_of_equal_slopes(scores: Scores, slopes: NDArray[np.float64]) -> tuple[NDArray[np.float64], Codes, Scores]:
    """Of labels with equal slopes, whatever the strength, only the one with the highest score can win a document.

    With thousands of labels, most have one of a few counts of documents.

    Returns:
        The distinct slopes, ascending; and for each document and slope, (documents, slopes), the column of the best
        label and its score.
    """
    distinct, group = np.unique(slopes, return_inverse=True)
    columns = np.empty((len(scores), len(distinct)), dtype=np.int64)
    for place in range(len(distinct)):
        members = np.flatnonzero(group == place)
        for rows in row_blocks(scores.shape):
            columns[rows, place] = members[scores[rows][:, members].argmax(axis=1)]
    return distinct, columns, np.take_along_axis(scores, columns, axis=1)
