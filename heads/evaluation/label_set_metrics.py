"""How often label sets contain the true label, and how large they are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval
from heads.evaluation.proportions import share_interval

__all__ = ["MIN_DOCUMENTS", "LabelSetMetrics", "label_set_metrics"]

MIN_DOCUMENTS = 20  # of a label whose coverage may be the lowest that is reported: one miss is 5 points


@dataclass(frozen=True)
class LabelSetMetrics:
    """Metrics of label sets with 95 % confidence intervals.

    Attributes:
        documents: number of documents.
        coverage: the share of documents whose set contains the true label.
        mean_size: the mean number of labels in a set.
        single: the share of sets of one label.
        sizes: the number of sets of each size, from 0 to all labels.
        worst_label: the column of the label whose documents are covered least, of those with MIN_DOCUMENTS documents;
            None if there is none.
        worst_label_coverage: of its documents; None if there is no such label.
    """

    documents: int
    coverage: ConfidenceInterval
    mean_size: ConfidenceInterval
    single: ConfidenceInterval
    sizes: tuple[int, ...]
    worst_label: int | None = None
    worst_label_coverage: ConfidenceInterval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return {**asdict(self), "sizes": list(self.sizes)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The metrics that `to_json` returned."""
        intervals = {name: content[name] and ConfidenceInterval(**content[name]) for name in _INTERVALS}
        return cls(**{**content, "sizes": tuple(content["sizes"]), **intervals})


_INTERVALS = ("coverage", "mean_size", "single", "worst_label_coverage")


def label_set_metrics(sets: NDArray[np.bool_], truth: NDArray[np.int64], seed: int = 0) -> LabelSetMetrics:
    """Measure label sets.

    The bounds of shares are Wilson's, those of the mean size come from a bootstrap over documents.

    Args:
        sets: bool (documents, labels), of at least one document.
        truth: the true label of each, int64 (documents,).
        seed: of the bootstrap.

    Returns:
        The metrics.
    """
    covered, size = np.take_along_axis(sets, truth[:, None], axis=1)[:, 0], sets.sum(axis=1)
    sizes = np.bincount(size, minlength=sets.shape[1] + 1)
    draws = np.random.default_rng(seed).multinomial(len(size), sizes / len(size), size=RESAMPLES)
    resampled = draws @ np.arange(len(sizes)) / len(size)
    support = np.bincount(truth, minlength=sets.shape[1])
    hits = np.bincount(truth[covered], minlength=sets.shape[1])
    often = np.flatnonzero(support >= MIN_DOCUMENTS)
    worst = int(often[np.argmin(hits[often] / support[often])]) if len(often) else None
    return LabelSetMetrics(
        len(truth),
        share_interval(int(hits.sum()), len(truth)),
        ConfidenceInterval.from_resamples(size.mean(), resampled),
        share_interval(int(sizes[1]), len(truth)),
        tuple(sizes.tolist()),
        worst,
        None if worst is None else share_interval(int(hits[worst]), int(support[worst])),
    )
