"""How the other configurations compare with the best one, on the documents that both were scored on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric
from heads.evaluation.paired import PairedComparison, compare_paired, mean_differences
from heads.evaluation.randomization import EXCHANGES, adjust_holm
from heads.evaluation.selection_optimism import SelectionOptimism, correct_selection
from stages.comparing.entries import Entry
from stages.fitting.predictions import Predictions

__all__ = ["Significance", "compare_with_best"]

MOST_EXCHANGES = 50_000


@dataclass(frozen=True)
class Significance:
    """Comparisons with the best configuration, each by the name of the other one's first run.

    comparisons: on the documents that rank. adjusted_p_values: theirs, adjusted for all pairs of configurations.
    test_differences: how much better it is on the test split.
    optimism: of the best one's metric, because it was chosen by it; None if there is no other on the same documents.
    """

    comparisons: Mapping[str, PairedComparison] = field(default_factory=dict)
    adjusted_p_values: Mapping[str, float] = field(default_factory=dict)
    test_differences: Mapping[str, ConfidenceInterval] = field(default_factory=dict)
    optimism: SelectionOptimism | None = None


@dataclass(frozen=True)
class _Aligned:
    """Predictions of the same documents, or probabilities.

    truth: of these documents. best, others: one array per seed; others by name.
    is_whole: whether these are all documents of each of them.
    """

    truth: NDArray[Any]
    best: Sequence[NDArray[Any]]
    others: Mapping[str, Sequence[NDArray[Any]]]
    is_whole: bool


def compare_with_best(
    entries: Sequence[Entry], predictions: Mapping[str, Predictions], metric: Metric, margin: float
) -> Significance:
    """Compare configurations with the first of them.

    The first one is the best of all, so each pair of configurations could have been the one that is tested, and
    p-values are adjusted for this many tests. If only the pairs with the best one were counted, a difference would be
    found between ten equally good runs in 15 % of the cases instead of 5 %.

    Args:
        entries: configurations on the same documents, the best first.
        predictions: by the name of each of their runs.
        metric: what ranks them.
        margin: the largest difference that does not matter in practice.

    Returns:
        The comparisons of those that have scored documents in common with the best one.
    """
    record, family = entries[0].first.record, len(entries) * (len(entries) - 1) // 2
    labels, hierarchy = len(record.labels), record.hierarchy
    exchanges = int(np.clip(40 * family, EXCHANGES, MOST_EXCHANGES))  # so that an adjusted p-value can be below 0.05
    comparisons, differences, optimism = dict[str, PairedComparison](), dict[str, ConfidenceInterval](), None
    for aligned in _align(entries, predictions, record.ranking_split, metric):
        truth, best, others = aligned.truth, aligned.best, list(aligned.others.values())
        found = compare_paired(
            truth, best, others, labels, metric, margin=margin, hierarchy=hierarchy, exchanges=exchanges
        )
        comparisons |= zip(aligned.others, found, strict=True)
        if aligned.is_whole:
            optimism = correct_selection(truth, [best, *others], labels, metric, hierarchy=hierarchy)
    for aligned in _align(entries, predictions, Split.TEST, metric):
        others = list(aligned.others.values())
        tested = mean_differences(aligned.truth, aligned.best, others, labels, metric, hierarchy=hierarchy)
        differences |= zip(aligned.others, tested, strict=True)
    adjusted = adjust_holm([each.p_value for each in comparisons.values()], family)
    return Significance(comparisons, dict(zip(comparisons, adjusted, strict=True)), differences, optimism)


def _align(
    entries: Sequence[Entry], predictions: Mapping[str, Predictions], split: Split, metric: Metric
) -> Iterator[_Aligned]:
    """The configurations that were scored on this split together with the first one, by their documents."""
    values = attrgetter("probabilities" if metric.needs == "probabilities" else "predicted")
    best, *others = (entry.predictions(split, predictions) for entry in entries)
    by_ids: dict[tuple[str, ...], dict[str, list[Predictions]]] = {}
    for entry, rows in zip(entries[1:], others, strict=True):
        if best and rows:
            by_ids.setdefault(tuple(rows[0].ids), {})[entry.first.name] = rows
    for ids, members in by_ids.items():
        row_of = {identifier: row for row, identifier in enumerate(ids)}
        common = [row for row, identifier in enumerate(best[0].ids) if identifier in row_of]
        rows_of_others = [row_of[best[0].ids[row]] for row in common]
        if common:
            yield _Aligned(
                truth=best[0].truth[common],
                best=[values(each)[common] for each in best],
                others={name: [values(each)[rows_of_others] for each in of] for name, of in members.items()},
                is_whole=len(common) == len(best[0].ids) == len(ids),
            )
