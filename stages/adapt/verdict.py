"""Whether an adapted encoder is worth it: heads on both encoders, on the same documents and folds, and perplexity.

The rule: use the adapted encoder if one head gains macro-F1 by a confidence interval above 0, and none loses by one
below 0. An encoder that is not clearly better is not worth its cost: the original is kept in every other case.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from data.atomic_write import write_atomically
from data.text_format import join_words, plural
from featurestore import CorpusTable, FeatureSource
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision
from heads.evaluation.metrics import MACRO_F1
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric
from heads.registry import make_head
from stages.embed.model_files.saved_encoders import VERDICT_FILE
from stages.fitting.plan import FitPlan, configure_head
from stages.fitting.task import Task, load_task

HEADS = ("linear", "attention")
FOLDS = 5

OnWork = Callable[[float, float, str], None]  # how much is done, of how much, and what is done now


class Choice(StrEnum):
    """Which encoder to use."""

    USE = "use the adapted encoder"
    KEEP = "keep the original"
    UNDECIDED = "undecided: keep the original"


@dataclass(frozen=True, kw_only=True)
class HeadComparison:
    """A head on both encoders. original, adapted: out-of-fold macro-F1. difference: adapted minus original."""

    head: str
    original: float
    adapted: float
    difference: ConfidenceInterval


@dataclass(frozen=True, kw_only=True)
class PerplexityChange:
    """Pseudo-perplexity on documents that were not learned from. ratio: after by before, below 1 if it fell."""

    documents: int
    before: ConfidenceInterval
    after: ConfidenceInterval
    ratio: ConfidenceInterval


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found, and what to do.

    documents: that heads were compared on; 0 if none were compared.
    heads: empty without labels, and if they could not be compared.
    perplexity: None if it was not measured.
    problem: a sentence on why heads could not be compared; "" if they were, or without labels.
    """

    documents: int
    heads: tuple[HeadComparison, ...]
    perplexity: PerplexityChange | None
    problem: str = ""

    @property
    def choice(self) -> Choice:
        """What to do, by the rule above."""
        if any(each.difference.high < 0 for each in self.heads):
            return Choice.KEEP
        return Choice.USE if any(each.difference.low > 0 for each in self.heads) else Choice.UNDECIDED

    @property
    def sentence(self) -> str:
        """What to do, and why."""
        described = {each.head: _describe(each) for each in self.heads}
        losers = [described[each.head] for each in self.heads if each.difference.high < 0]
        winners = [described[each.head] for each in self.heads if each.difference.low > 0]
        if losers:
            return f"Keep the original: {join_words(losers)}."
        if winners:
            rest = [described[each.head] for each in self.heads if each.difference.low <= 0]
            no_loss = f"; {join_words(rest)}" if rest else ""
            return f"Use it: {join_words(winners)}{no_loss}."
        if self.heads:
            return f"Keep the original: no difference is certain ({join_words(list(described.values()))})."
        if self.problem:
            return f"Keep the original: heads could not be compared. {self.problem}"
        return "Keep the original: without labels nothing shows that a head would gain. Perplexity alone does not."

    def sentences(self) -> list[str]:
        """The whole result in words, the decision last."""
        lines = []
        if self.perplexity is not None:
            before, after = (each.value for each in (self.perplexity.before, self.perplexity.after))
            lines.append(
                f"Pseudo-perplexity on {plural(self.perplexity.documents, 'document')} that were not learned from: "
                f"{before:,.1f} before, {after:,.1f} after."
            )
        lines += [
            f"{each.head}: out-of-fold macro-F1 {each.original:.3f} with the original encoder, {each.adapted:.3f} with "
            f"the adapted one, on the same {plural(self.documents, 'document')} and folds."
            for each in self.heads
        ]
        return [*lines, self.sentence]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values, with the decision."""
        return asdict(self) | {"choice": str(self.choice), "sentence": self.sentence}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read the result of `to_json`."""
        heads = [
            HeadComparison(**each | {"difference": ConfidenceInterval(**each["difference"])})
            for each in content["heads"]
        ]
        change = content["perplexity"]
        if change is not None:
            intervals = {name: ConfidenceInterval(**change[name]) for name in ("before", "after", "ratio")}
            change = PerplexityChange(documents=change["documents"], **intervals)
        return cls(
            documents=content["documents"], heads=tuple(heads), perplexity=change, problem=content.get("problem", "")
        )

    def save(self, folder: Path) -> None:
        """Write it into the folder of the adapted encoder. Raises StorageFailed."""
        write_atomically(folder / VERDICT_FILE, (json.dumps(self.to_json(), indent=1) + "\n").encode())


def _describe(comparison: HeadComparison) -> str:
    interval = comparison.difference
    change = 100 * interval.value
    verb = "gains" if change >= 0 else "loses"
    return (
        f"{comparison.head} {verb} {abs(change):.1f} points of macro-F1 "
        f"(95 % confidence interval {100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    )


def compare_heads(
    original: FeatureSource, adapted: FeatureSource, table: CorpusTable, seed: int, on_work: OnWork
) -> tuple[int, tuple[HeadComparison, ...]]:
    """Compare heads on two encoders, out of fold, on documents whose labels neither encoder learned from.

    No decision rule is tuned, and the test split is not read.

    Args:
        original: The features of the original encoder.
        adapted: Those of the adapted one; the store says what it learned from.
        table: The corpus.
        seed: Of folds, heads and resamples.
        on_work: Called before each fit.

    Returns:
        The number of documents that are scored, and a comparison for each head.

    Raises:
        BadData: Too few documents can be scored.
        EmbedOnceError: What `load_task` raises.
    """
    tasks = load_both_tasks(original, adapted, table)
    plans = [
        FitPlan(head=make_head(name, {"seed": seed}), folds=FOLDS, seed=seed, test=False).for_task(tasks[1])
        for name in HEADS
    ]
    fits = _FitCounter(on_work, 2 * sum(plan.fold_count for plan in plans))
    comparisons, rows = [], np.zeros(0, dtype=np.int64)
    for plan in plans:
        predictions = []
        for task, encoder in zip(tasks, ("the original encoder", "the adapted encoder"), strict=True):
            activity = f"{plan.head.name} on {encoder}"
            rows, predicted = predict_out_of_fold(task, plan, partial(fits.start, activity))
            predictions.append(predicted)
        comparisons.append(_compare(plan.head.name, tasks[0], rows, predictions, seed))
    return len(rows), tuple(comparisons)


class _FitCounter:
    """Counts fits."""

    def __init__(self, on_work: OnWork, total: int) -> None:
        self._on_work, self._total, self._done = on_work, total, 0

    def start(self, activity: str, fold: int) -> None:
        """Report the next fit."""
        self._on_work(self._done, self._total, f"{activity}, fold {fold + 1}")
        self._done += 1


def load_both_tasks(original: FeatureSource, adapted: FeatureSource, table: CorpusTable) -> tuple[Task, Task]:
    """The same documents with the features of both encoders; what the adapted one saw is never scored with either."""
    before, after = (
        load_task(source, table, skip_unlabeled=True, with_test=False, with_fold_encoders=True)
        for source in (original, adapted)
    )
    exposure = after.exposure.select(np.arange(len(after.train)), before.train)
    return replace(before, exposure=exposure), after


def predict_out_of_fold(
    task: Task, plan: FitPlan, on_fold: Callable[[int], None]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Predict the labels of documents by heads that were not fitted on them.

    Args:
        task: The documents.
        plan: The head and the folds.
        on_fold: Called with the number of each fold.

    Returns:
        The rows that are scored, int64; and their predicted labels, as `default_decision` decides.
    """
    fold_of = plan.assign_folds(task)
    scores = np.full((len(task.train), len(task.labels)), -np.inf, dtype=np.float32)
    for fold in np.unique(fold_of[fold_of >= 0]).tolist():
        on_fold(fold)
        head = configure_head(clone(plan.head), task.target)
        head = task.fit(head, np.flatnonzero(fold_of != fold), fold=fold)
        scores[fold_of == fold] = task.scores(head, np.flatnonzero(fold_of == fold), fold)
    rows = np.flatnonzero(fold_of >= 0)
    return rows, default_decision(scores[rows], task.target.y[rows]).out_of_fold


def _compare(
    head: str, task: Task, rows: NDArray[np.int64], predictions: Sequence[NDArray[Any]], seed: int
) -> HeadComparison:
    truth, labels = task.target.y[rows], len(task.labels)
    original, adapted = (
        float(MACRO_F1.value(ConfusionCounts.from_predictions(truth, each, labels))) for each in predictions
    )
    (difference,) = paired_differences(
        SampledMetric.of(truth, [[each] for each in predictions], labels, MACRO_F1), seed
    )
    return HeadComparison(head=head, original=original, adapted=adapted, difference=difference)
