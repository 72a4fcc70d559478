"""Runs as what a head reads: their scores in the place of features.

A run's scores of the training split are out of fold, and those of the test split are its fitted head's, as its
predictions keep them. A head upon them is fitted, tuned and scored as every other, with the same folds, and so only
runs of the same documents, features, folds and seed go together. What it learns from beside a fold are scores of heads
that were fitted with that fold, so its figures out of fold are a little too good, which the run says of itself. Folds
within folds would mend that, at so many times the cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, FileMissing
from data.splits import Split
from featurestore import Bags, FeatureSource, Recipe, Shard, join_bags, joined_fingerprint
from heads.classifiers.stacking import stack_probabilities
from heads.evaluation.decisions.heldout import HeldOut
from heads.evaluation.score_matrix import align_scores, scores_to_probabilities
from stages.fitting import runs
from stages.fitting.plan import FitPlan
from stages.fitting.task import Task

__all__ = ["build_scorer", "build_stacking_task"]


def build_stacking_task(found: Task, plan: FitPlan, store: FeatureSource, folder: Path) -> Task:
    """The same documents, with the scores of runs in `folder` in the place of features.

    The runs are those that `plan.runs` names, or all that agree with the plan. Raises CallError for one that does not
    agree, naming the difference, and for fewer than two.
    """
    names = sorted({Path(name).name for name in plan.runs})  # as a shell completes them, with the folder before
    known = [runs.load(folder / name) for name in names] or runs.runs_in(folder)
    odd = {run.name: _difference(run, found, plan, store) for run in known}
    for name in names:
        if odd[name]:
            raise CallError(f"{name} cannot be stacked here: {odd[name]}.")
    base_runs = tuple(run for run in known if not odd[run.name])
    if len(base_runs) < 2:
        raise CallError(
            f"stack stands on two runs or more, of the same documents, features, folds ({plan.folds}) and seed "
            f"({plan.seed}): {folder} gives {len(base_runs)}. Fit more first, as in `embedonce fit-head linear`."
        )
    said, multilabel = [run.predictions() for run in base_runs], found.target.kind == "multilabel"
    train, test = (
        stack_probabilities([each.of(split).probabilities for each in said], multilabel=multilabel)
        for split in (Split.TRAIN, Split.TEST)
    )
    notes = (
        f"It stands on {', '.join(run.name for run in base_runs)}: keep them beside it.",
        "Its figures out of fold are a little too good, the more so the fewer documents there are: the scores that it "
        "learned from are of heads that knew the labels of the fold that was left out.",
    )
    return replace(
        found, train=train, held_out=HeldOut(test, found.test_target), base_runs=base_runs, notes=(*found.notes, *notes)
    )


def _difference(run: runs.Run, found: Task, plan: FitPlan, store: FeatureSource) -> str:
    """How a run differs from what is to be stacked, in words; empty where it does not."""
    record = run.record
    if record.base_runs:
        return "it is a stack itself, so name the runs that it stands on"
    if joined_fingerprint(run.recipes) != joined_fingerprint(store.recipes):
        return f"its features are of another recipe ({'; '.join(_differences(run.recipes, store.recipes))})"
    if record.documents_hash != found.documents_hash:
        return f"its documents, labels or splits are not those of the corpus now ({record.corpus} as it was then)"
    if (record.kind, tuple(record.labels)) != (found.target.kind, found.labels):
        return "its labels stand in another order, so give both the same --order, or none"
    if (record.folds, record.seed) != (plan.folds, plan.seed):
        return (
            f"it has {record.folds} folds and seed {record.seed}, where {plan.folds} and {plan.seed} are asked, and "
            "folds must be the same (--folds, --seed)"
        )
    return ""


def _differences(its: Sequence[Recipe], now: Sequence[Recipe]) -> list[str]:
    if len(its) != len(now):
        return [f"number of stores side by side: {len(its)}, not {len(now)}"]
    return [each for one, other in zip(its, now, strict=True) for each in one.differences(other)]


def build_scorer(run: runs.Run) -> Callable[[Sequence[Shard]], NDArray[np.float32]]:
    """What gives a run's scores (documents, labels) of new features, a shard for each store that it reads.

    A stack asks the runs that it stands on first. Raises FileMissing where one of these is gone.
    """
    head, record = run.head(), run.record
    if not record.base_runs:
        return lambda shards: align_scores(
            head.decision_function(_bags(shards, record.layer)), head.classes_, record.labels
        )
    asked, multilabel = [build_scorer(base) for base in _bases(run)], record.kind == "multilabel"

    def scores(shards: Sequence[Shard]) -> NDArray[np.float32]:
        read = stack_probabilities(
            [scores_to_probabilities(score(shards), multilabel=multilabel) for score in asked], multilabel=multilabel
        )
        return align_scores(head.decision_function(read), head.classes_, record.labels)

    return scores


def _bags(shards: Sequence[Shard], layer: int | None) -> Bags:
    return join_bags([shard.bags(layer) for shard in shards])


def _bases(run: runs.Run) -> Sequence[runs.Run]:
    for name in run.record.base_runs:
        if not (run.folder.parent / name).is_dir():
            raise FileMissing(
                f"{run.name} stands on {name}, which is not in {run.folder.parent}. Put it back, or fit it again."
            )
    return [runs.load(run.folder.parent / name) for name in run.record.base_runs]
