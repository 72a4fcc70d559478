"""Which run to take: the cheapest one that is not worse than the best by more than a margin.

The measured difference is within the margin, and on other documents it is so more likely than not. More is not asked
for: the best of several runs was chosen by its metric, which is therefore too high rather than too low, so that a run
within the margin loses less than it seems. How certain it is, is in the sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from data.text_format import format_duration
from heads.evaluation.metrics import ConfidenceInterval, Metric
from heads.evaluation.paired import PairedComparison
from heads.evaluation.randomization import ROUNDING
from stages.comparing.entries import Entry
from stages.fitting import runs

__all__ = ["COSTS", "MARGIN", "Choice", "Cost", "choose_run", "entry_cost", "is_as_cheap", "run_cost"]

Cost: TypeAlias = Literal["predict", "fit", "size"]
COSTS: tuple[Cost, ...] = ("predict", "fit", "size")
MARGIN = 0.005
LIKELY = 0.5  # the lowest probability that a run is within the margin on other documents
NOISE = 1.25  # times that differ by less are equal: measured again, they change by as much


@dataclass(frozen=True)
class Choice:
    """The run to take, and the numbers that are the reasons for it.

    Attributes:
        sentence: says which run to take and why.
        run: its name.
        best: the name of the best run by the ranking metric.
        metric: the name of this metric.
        margin: how much worse than the best a cheaper run may be.
        cost: what "cheap" means: milliseconds per predicted document, seconds of the fit, or parameters.
        value: the metric of the run. best_value: that of the best.
        difference: how much better the run is than the best one; None if it is the best.
        not_worse: the probability that the run is not worse than the best by more than the margin.
        run_cost: of the run. best_cost: of the best.
        candidates: the runs within the margin, the cheapest first.
    """

    sentence: str
    run: str
    best: str
    metric: str
    margin: float
    cost: Cost
    value: float
    best_value: float
    difference: ConfidenceInterval | None
    not_worse: float
    run_cost: float
    best_cost: float
    candidates: tuple[str, ...]


def choose_run(
    entries: Sequence[Entry],
    comparisons: Mapping[str, PairedComparison],
    metric: Metric,
    margin: float = MARGIN,
    cost: Cost = "predict",
) -> Choice | None:
    """Choose the cheapest configuration that is not worse than the best by more than the margin.

    Args:
        entries: configurations, the best first.
        comparisons: of the others with the best, by the name of their first run.
        metric: what ranks them.
        margin: in units of the metric.
        cost: what to save.

    Returns:
        The choice, of equally cheap runs the better one (`is_as_cheap`); None if there is nothing to choose from.
    """
    if not comparisons:
        return None
    best, *others = entries
    within = [best, *(each for each in others if _is_within(comparisons.get(each.first.name), margin))]
    cheapest_first = sorted(within, key=lambda entry: entry_cost(entry, cost))  # stable: the better one first
    lowest = entry_cost(cheapest_first[0], cost)
    chosen = next(entry for entry in within if is_as_cheap(entry_cost(entry, cost), lowest, cost))
    comparison = comparisons.get(chosen.first.name)
    choice = Choice(
        sentence="",
        run=chosen.first.name,
        best=best.first.name,
        metric=metric.name,
        margin=margin,
        cost=cost,
        value=metric.sign * chosen.signed_value(metric),
        best_value=metric.sign * best.signed_value(metric),
        difference=comparison.difference if comparison else None,
        not_worse=comparison.not_worse if comparison else 1.0,
        run_cost=entry_cost(chosen, cost),
        best_cost=entry_cost(best, cost),
        candidates=tuple(entry.first.name for entry in cheapest_first),
    )
    return replace(choice, sentence=_describe(choice, entries, chosen, metric))


def _is_within(comparison: PairedComparison | None, margin: float) -> bool:
    """Whether a run is not worse than the best by more than the margin; None if they were not compared."""
    if comparison is None:
        return False
    return comparison.difference.value >= -margin - ROUNDING and comparison.not_worse >= LIKELY


def is_as_cheap(value: float, lowest: float, cost: Cost) -> bool:
    """Whether a cost is not higher than the lowest one; a time is higher if it is so by more than it varies."""
    return value <= lowest * (1.0 if cost == "size" else NOISE)


def entry_cost(entry: Entry, cost: Cost) -> float:
    """The mean cost of the runs of a configuration, in the unit of `Choice.cost`; with that of their base runs."""
    return float(np.mean([run_cost(run, cost) for run in entry.runs]))


def run_cost(run: runs.Run, cost: Cost) -> float:
    """The cost of a run in the unit of `Choice.cost`: with that of its base runs; of its parent if it is decided."""
    record, folder = run.origin.record, run.folder.parent
    if cost == "predict":
        return record.predict_milliseconds  # has those of its base runs
    base_runs = filter(None, (_load(folder / name) for name in record.base_runs))
    alone = record.seconds["fit"] if cost == "fit" else record.parameter_count
    return alone + sum(run_cost(base_run, cost) for base_run in base_runs)


def _two_digits(value: float) -> str:
    """A value with two significant digits, or without decimals from 10 on."""
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}".rstrip(".")


def _load(folder: Path) -> runs.Run | None:
    return runs.load(folder) if (folder / "run.json").is_file() else None


@dataclass(frozen=True)
class _CostWords:
    """How a cost is written: of the cheapest run, an equal one, cheaper ones, one instead of another, and its value."""

    cheapest: str
    equal: str
    cheaper: str
    instead: str
    format: Callable[[float], str]


_WORDS: Mapping[Cost, _CostWords] = {
    "predict": _CostWords(
        "predicts fastest, in {} per document",
        "predicts as fast as any, in {} per document",
        "that predict faster",
        "predicts a document in {} instead of {}",
        lambda milliseconds: f"{_two_digits(milliseconds)} ms",
    ),
    "fit": _CostWords(
        "is fitted fastest, in {}",
        "is fitted as fast as any, in {}",
        "that are fitted faster",
        "is fitted in {} instead of {}",
        lambda seconds: format_duration(seconds) if seconds >= 1 else f"{_two_digits(seconds)} s",
    ),
    "size": _CostWords(
        "has the fewest parameters, {}",
        "has the fewest parameters, {}",
        "with fewer parameters",
        "has {} parameters instead of {}",
        lambda parameters: f"{parameters:,.0f}",
    ),
}


def _describe(choice: Choice, entries: Sequence[Entry], chosen: Entry, metric: Metric) -> str:
    words, best = _WORDS[choice.cost], entries[0].first.record
    ranked = f"{best.ranking_metrics.replace('_', '-')} {metric.name}"
    seeds = f" (or another of its {len(chosen.runs)} seeds)" if len(chosen.runs) > 1 else ""
    take = f"Take {choice.run}{seeds}"
    if choice.run != choice.best:
        saved = words.instead.format(words.format(choice.run_cost), words.format(choice.best_cost))
        encoding = "" if _has_same_encoding(chosen.first.record, best) else " (encoding not counted)"
        return (
            f"{take}: its {ranked} ({choice.value:.3f}) is within {choice.margin:g} of that of the best run, "
            f"{choice.best} ({choice.best_value:.3f}), on other documents with a probability of "
            f"{_percent(choice.not_worse)}, and it {saved}{encoding}."
        )
    several = "configurations" if any(len(entry.runs) > 1 for entry in entries) else "runs"
    its_best = f"it has the best {ranked} of {len(entries)} {several} ({choice.value:.3f})"
    lowest = min(entry_cost(entry, choice.cost) for entry in entries)
    if is_as_cheap(choice.run_cost, lowest, choice.cost):
        cheap = words.cheapest if choice.run_cost <= lowest else words.equal
        return f"{take}: {its_best}, and {cheap.format(words.format(choice.run_cost))}."
    return f"{take}: {its_best}, and none of those {words.cheaper} is likely to be within {choice.margin:g} of it."


def _has_same_encoding(record: runs.Record, other: runs.Record) -> bool:
    """Whether two runs read vectors of the same encoders, or neither of them reads any."""
    needs = [list(each.inputs) != ["token_ids"] for each in (record, other)]
    recipes = [(each.recipe, each.further_recipes) for each in (record, other)]
    return needs[0] == needs[1] and (recipes[0] == recipes[1] or not needs[0])


def _percent(probability: float) -> str:
    """A probability for a reader; a share of resamples is never quite 0 or 1."""
    return (
        "more than 99 %"
        if probability > 0.99
        else "less than 1 %"
        if probability < 0.01
        else f"{probability:.0%}".replace("%", " %")
    )
