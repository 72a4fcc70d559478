"""How the other configurations compare with the best one, on the documents that both were scored on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from heads.evaluation.metrics import ConfidenceInterval, Metric
from heads.evaluation.paired import PairedComparison, compare_paired, paired_differences
from heads.evaluation.randomization import EXCHANGES, adjust_holm
from heads.evaluation.sampled_metric import SampledMetric, UndefinedMetric
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
    """Configurations on the same documents.

    sampled: the metric of the best and of the others. others: their names.
    is_whole: whether these are all documents of each of them.
    """

    sampled: SampledMetric
    others: Sequence[str]
    is_whole: bool


def compare_with_best(
    entries: Sequence[Entry], predictions: Mapping[str, Predictions], metric: Metric, margin: float
) -> Significance:
    """Compare configurations with the first of them.

    The first one is the best of all, so each pair of configurations could have been the one that is tested, and
    p-values are adjusted for this many tests. If only the pairs with the best one were counted, a difference would be
    found between ten equally good runs in 15 % of the cases instead of 5 %. Configurations with the same predictions,
    such as two decisions with one rule, count once: there is nothing to test between them.

    Args:
        entries: configurations on the same documents, the best first.
        predictions: by the name of each of their runs.
        metric: what ranks them.
        margin: the largest difference that does not matter in practice.

    Returns:
        The comparisons of those that have scored documents in common with the best one.
    """
    record = entries[0].first.record
    equal_to = _equal_entries(entries, predictions, record.ranking_split, metric)
    distinct = len(set(equal_to.values()))
    family = distinct * (distinct - 1) // 2
    # an adjusted p-value of a pair can be below 0.05 for at most 2,500 pairs, of 71 configurations
    exchanges = int(np.clip(40 * family, EXCHANGES, MOST_EXCHANGES))
    comparisons, differences, optimism = dict[str, PairedComparison](), dict[str, ConfidenceInterval](), None
    for aligned in _align(entries, predictions, record.ranking_split, metric):
        found = compare_paired(aligned.sampled, margin=margin, exchanges=exchanges)
        comparisons |= zip(aligned.others, found, strict=True)
        if aligned.is_whole:
            optimism = correct_selection(aligned.sampled)
    for aligned in _align(entries, predictions, Split.TEST, metric):
        differences |= zip(aligned.others, paired_differences(aligned.sampled), strict=True)
    p_values = {equal_to[name]: paired.p_value for name, paired in comparisons.items()}
    p_values.pop(entries[0].first.name, None)
    adjusted = dict(zip(p_values, adjust_holm(list(p_values.values()), family), strict=True))
    of_each = {name: adjusted.get(equal_to[name], 1.0) for name in comparisons}
    return Significance(comparisons, of_each, differences, optimism)


def _equal_entries(
    entries: Sequence[Entry], predictions: Mapping[str, Predictions], split: Split, metric: Metric
) -> dict[str, str]:
    """The name of each configuration -> the first one with the same predictions of the same documents."""
    first_of: dict[tuple[object, ...], str] = {}
    found = {}
    for entry in entries:
        rows = entry.predictions(split, predictions)
        key = tuple((hash(tuple(each.ids)), sha256(_values(each, metric).tobytes()).digest()) for each in rows)
        found[entry.first.name] = first_of.setdefault(key or (entry.first.name,), entry.first.name)
    return found


def _values(predictions: Predictions, metric: Metric) -> NDArray[Any]:
    """What a metric is of: probabilities, or predicted codes."""
    return predictions.probabilities if metric.needs == "probabilities" else predictions.predicted


def _align(
    entries: Sequence[Entry], predictions: Mapping[str, Predictions], split: Split, metric: Metric
) -> Iterator[_Aligned]:
    """The configurations that were scored on this split together with the first one, by their documents.

    Those of documents for which the metric is not defined are left out.
    """
    record = entries[0].first.record
    best, *others = (entry.predictions(split, predictions) for entry in entries)
    by_ids: dict[tuple[str, ...], dict[str, list[Predictions]]] = {}
    for entry, rows in zip(entries[1:], others, strict=True):
        if best and rows:
            by_ids.setdefault(tuple(rows[0].ids), {})[entry.first.name] = rows
    for ids, members in by_ids.items():
        row_of = {identifier: row for row, identifier in enumerate(ids)}
        common = [row for row, identifier in enumerate(best[0].ids) if identifier in row_of]
        if not common:
            continue
        rows_of_others = [row_of[best[0].ids[row]] for row in common]
        aligned = [[_values(each, metric)[common] for each in best]]
        aligned += [[_values(each, metric)[rows_of_others] for each in of] for of in members.values()]
        with suppress(UndefinedMetric):
            sampled = SampledMetric.of(best[0].truth[common], aligned, len(record.labels), metric, record.hierarchy)
            yield _Aligned(sampled, list(members), is_whole=len(common) == len(best[0].ids) == len(ids))
