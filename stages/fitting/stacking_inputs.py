"""Stacking ensemble over runs: the scores of base runs replace the features.

A run's scores of the training split are out-of-fold, and those of the test split are from its fitted head, as stored in
its predictions. A stacking head is fitted, tuned and scored like every other head, with the same folds. So the base
runs must have the same documents, features, folds and seed.

Probabilities are of the scores as they are, without the calibration of the base runs: the head has a weight per run,
which is a temperature, and an offset per label, and the ensemble is calibrated itself. Out of fold on training
documents of Reuters-52, with `linear`, `mlp` and `prototype`, macro-F1 is 0.801 with and without it, accuracy 94.8 with
and 94.9 without, and the log loss of the ensemble 0.181 with and 0.177 without.

The scores that it learns from outside a fold are of heads that were fitted on that fold, so its own out-of-fold metrics
are slightly too high, which a note of the run says. Nested folds would avoid that, at as many times the cost.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, FileMissing
from data.splits import Split
from data.tabular import Tabular
from data.text_format import join_words, plural
from featurestore import Bags, FeatureSource, Recipe, Shard, join_bags, joined_fingerprint
from heads.classifiers.stacking import stack_probabilities
from heads.evaluation.decisions.heldout import HeldOut
from heads.evaluation.score_matrix import align_scores, scores_to_probabilities
from stages.fitting import runs
from stages.fitting.plan import FitPlan
from stages.fitting.task import Task

__all__ = ["build_scorer", "build_stacking_task", "stacking_notes"]


def build_stacking_task(task: Task, plan: FitPlan, store: FeatureSource, folder: Path) -> Task:
    """Replace the features of a task by the scores of runs.

    Args:
        task: the documents with their features.
        plan: names the base runs; if it names none, every run in `folder` that matches the plan is used, as far as it
            was fitted with the copies of `task`, or without copies if this has none. A decided run stands for its
            parent, whose scores these are. The ensemble itself is fitted without copies.
        store: the features.
        folder: the folder of the runs.

    Returns:
        The documents that base runs scored, with these scores.

    Raises:
        CallError: for a named run that does not match the plan, saying how it differs, and for fewer than two runs.
    """
    if plan.validate_on == "split":
        raise CallError(
            f"{plan.head.name} learns from out-of-fold scores, which --validate-on split does not make. Leave it out."
        )
    copies = {} if task.copies is None else task.copies.counts
    named = [runs.load(folder / Path(name).name) for name in plan.base_runs]  # the shell completes their folder
    origins = {run.origin.name: run.origin for run in named}
    left_out: list[str] = []
    candidates = [origins[name] for name in sorted(origins)]
    if not candidates:
        found = runs.runs_in(folder, "predictions", "scores", notify=left_out.append)
        candidates = [run for run in found if run.record.copies == copies and not run.record.parent]
    mismatches = {run.name: _find_mismatch(run, task, plan, store) for run in candidates}
    for name in sorted(origins):
        if mismatches[name]:
            raise CallError(f"{name} cannot be stacked here: {mismatches[name]}.")
    base_runs = tuple(run for run in candidates if not mismatches[run.name])
    if len(base_runs) < 2:
        with_copies = f", fitted with copies of {join_words(list(copies))}" if copies else ""
        sentences = [
            f"A stacking ensemble needs at least two runs with the same documents, features, folds ({plan.fold_count}) "
            f"and seed ({plan.seed}){with_copies}, and {folder} has {len(base_runs)}.",
            f"Fit more first, as in `embedonce fit-head linear tfidf --folds {plan.fold_count} --seed {plan.seed}`.",
            *left_out,
        ]
        raise CallError(" ".join(sentences))
    predictions, multilabel = [run.predictions() for run in base_runs], task.target.kind == "multilabel"

    def stack(split: Split) -> Bags:
        shares = [scores_to_probabilities(rows.of(split).scores, multilabel=multilabel) for rows in predictions]
        return stack_probabilities(shares, multilabel=multilabel)

    held_out = HeldOut(stack(Split.TEST), task.test_target) if plan.test else task.held_out
    scored = task.with_features(np.flatnonzero(task.exposure.is_scored), stack(Split.TRAIN))
    return replace(scored, held_out=held_out, base_runs=base_runs, notes=(*task.notes, *left_out))


def stacking_notes(base_runs: Sequence[runs.Run]) -> list[str]:
    """What a reader must know about a stacking ensemble over these runs; nothing if there are none."""
    if not base_runs:
        return []
    return [
        f"This run depends on {', '.join(run.name for run in base_runs)}: keep them in the same folder.",
        "Its out-of-fold metrics are slightly too high, the more so the fewer documents there are: the base runs' "
        "scores that it was fitted on are of heads that knew the labels of the held-out fold.",
    ]


def _find_mismatch(run: runs.Run, task: Task, plan: FitPlan, store: FeatureSource) -> str:
    """How a run differs from what is stacked, in words; empty if it matches."""
    record = run.record
    if record.base_runs:
        return "it is a stacking ensemble itself, so name its base runs instead"
    if joined_fingerprint(run.recipes) != joined_fingerprint(store.recipes):
        return f"its features have another recipe ({'; '.join(_recipe_differences(run.recipes, store.recipes))})"
    if [training["hash"] for training in record.encoder_trainings] != [each.hash for each in task.exposure.trainings]:
        return "its store says something else about what the encoder learned from"
    if record.documents_hash != task.documents_hash:
        return f"the documents, labels or splits of {record.corpus} have changed since it was fitted"
    if record.scored_level != plan.scored_level:
        return "it was scored at another level of the taxonomy, so use the same --scored-level for both, or none"
    if (record.kind, tuple(record.labels)) != (task.target.kind, task.labels):
        if set(record.labels) != set(task.labels):
            return "its labels are not the same, because the test split was read for only one of them (--no-test)"
        return "its labels have another order, so use the same --order for both, or none"
    if record.validate_on == "split":
        return "it was validated on the validation split, so it has no out-of-fold scores"
    if plan.test and "test" not in record.documents:
        return "it was fitted without the test split, so use --no-test here too"
    if (record.folds, record.seed) != (plan.fold_count, plan.seed):
        return (
            f"it has {plural(record.folds, 'fold')} and seed {record.seed} instead of {plan.fold_count} and "
            f"{plan.seed}; use the same --folds and --seed"
        )
    return ""


def _recipe_differences(recipes: Sequence[Recipe], current: Sequence[Recipe]) -> list[str]:
    if len(recipes) != len(current):
        return [f"{plural(len(recipes), 'store')} instead of {len(current)}"]
    return [text for one, other in zip(recipes, current, strict=True) for text in one.differences(other)]


class Scorer(Protocol):
    """The scores of a run for new documents."""

    def __call__(self, shards: Sequence[Shard], tabular: Tabular | None = None) -> NDArray[np.float32]:
        """Scores, float32 (documents, labels), of features, one shard per store, and of their tabular columns."""


def build_scorer(run: runs.Run) -> Scorer:
    """Make the function that gives a run's scores (documents, labels) of new features, one shard per store.

    A stacking ensemble computes the scores of its base runs first. Raises FileMissing if one of these is gone.
    """
    head, record = run.head(), run.record
    if not record.base_runs:

        def score(shards: Sequence[Shard], tabular: Tabular | None = None) -> NDArray[np.float32]:
            bags = replace(join_bags([shard.bags(record.layer) for shard in shards]), tabular=tabular)
            return align_scores(head.decision_function(bags), head.classes_, record.labels)

        return score
    base_runs, multilabel = _load_base_runs(run), record.kind == "multilabel"
    scorers = [build_scorer(base_run) for base_run in base_runs]

    def score_stacked(shards: Sequence[Shard], tabular: Tabular | None = None) -> NDArray[np.float32]:
        shares = [scores_to_probabilities(scorer(shards, tabular), multilabel=multilabel) for scorer in scorers]
        stacked = stack_probabilities(shares, multilabel=multilabel)
        return align_scores(head.decision_function(stacked), head.classes_, record.labels)

    return score_stacked


def _load_base_runs(run: runs.Run) -> Sequence[runs.Run]:
    for name in run.record.base_runs:
        if not (run.folder.parent / name).is_dir():
            raise FileMissing(
                f"{run.name} needs the run {name}, which is not in {run.folder.parent}. Put it back, or fit it again."
            )
    return [runs.load(run.folder.parent / name) for name in run.record.base_runs]
