"""Which fits make a curve, and making them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from data.atomic_write import check_writable
from data.errors import BadData, CallError
from data.ranges import MAX_SEED, MAX_SEEDS, check_whole_number
from data.splits import nested_subsets, stratified_split
from data.text_format import plural
from featurestore import CorpusTable, FeatureSource, joined_fingerprint
from heads.core.head import Head
from heads.registry import STACKING_HEADS
from stages.curve.fits import CurveProgressCallback, Fit, Pace
from stages.curve.points import CurvePoint, LearningCurves, load_point, save_point
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.head_options import ALL, parse_heads
from stages.fitting.plan import configure_head
from stages.fitting.sample_weights import align_weights
from stages.fitting.scored_splits import check_scored_splits, check_unseen_documents
from stages.fitting.task import Task, load_task, resolve_layer

VALIDATION = 0.2  # of the training split
MIN_SIZE = 50  # documents at which curves start, but not above an eighth of them
MIN_STEP = 1.25  # from a default size to the next; closer ones would tell nothing more
FOLDER = "curves"


@dataclass(frozen=True, kw_only=True)
class CurvePlan:
    """Which heads to fit, on how many documents and with how many seeds.

    sizes: numbers of documents to fit on, None for all; without sizes they double from 50 to all, without those whose
        fits would have nearly as many documents as those of the next, as with large groups.
    seed: draws the validation split, and is the first of the `seeds` that draw subsets and start heads.
    validate_on: what is scored: a fifth of the training split ("folds"), or the corpus's validation "split".
    decision: what decisions are for; they are made by the default rule.
    layer, skip_unlabeled, order, scored_level, weights, copies: as in `stages.fitting.plan.FitPlan`.
    """

    heads: Sequence[Head]
    sizes: Sequence[int | None] = ()
    seeds: int = 5
    seed: int = 0
    validate_on: Literal["folds", "split"] = "folds"
    layer: int = -1
    skip_unlabeled: bool = False
    order: Sequence[str] = ()
    scored_level: int | None = None
    decision: DecisionOptions = field(default_factory=DecisionOptions)
    weights: Mapping[str, float] | None = None
    copies: Sequence[CorpusTable] = ()

    def __post_init__(self) -> None:
        """Raise CallError for seeds out of range."""
        check_whole_number("seeds", self.seeds, 1, MAX_SEEDS)
        check_whole_number("seed", self.seed, 0, MAX_SEED - self.seeds + 1)


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """ "100,1000,all" as (100, 1000, None). Raises CallError for anything but whole numbers of at least 2 and 'all'."""
    sizes = [size.strip() for size in text.split(",") if size.strip()]
    if not sizes or not all(size == ALL or (size.isdecimal() and int(size[:99]) >= 2) for size in sizes):
        raise CallError(
            f"--sizes is '{text}': write whole numbers of at least 2, and 'all', as in --sizes 100,1000,all."
        )
    return tuple(None if size == ALL else int(size) for size in sizes)


def parse_curve_heads(
    names: Sequence[str], settings: Sequence[str] = (), class_weight: str | None = None
) -> list[Head]:
    """The unfitted heads of these names, without duplicates.

    Args:
        names: of heads; not "all", and no stacking ensemble.
        settings: hyperparameters of the only head, "key=value" each.
        class_weight: as in `parse_heads`.

    Returns:
        The heads in the order of their names.

    Raises:
        CallError: for other names, and for hyperparameters with more than one head; and what `parse_heads` raises.
    """
    if ALL in names:
        raise CallError("A curve takes many fits: name the heads to fit, as in `embedonce curve linear lstm`.")
    for name in STACKING_HEADS.keys() & set(names):
        raise CallError(f"{name} combines whole runs, which a curve does not have. Name heads that read features.")
    return parse_heads(names, settings, class_weight)


def fit_curves(
    store: FeatureSource,
    table: CorpusTable,
    plan: CurvePlan,
    folder: Path,
    on_progress: CurveProgressCallback | None = None,
) -> LearningCurves:
    """Fit each head on each size with each seed, except for the fits that `folder` has already.

    Args:
        store: the features.
        table: the corpus.
        plan: which heads, sizes and seeds.
        folder: the folder of the runs; the fits are in its folder `curves`.
        on_progress: called before each fit.

    Returns:
        The curves.

    Raises:
        CallError: if a size is larger than the number of documents.
        BadData: if the training split cannot be divided; and what `load_task` raises.
    """
    layers = dict.fromkeys(resolve_layer(head, plan.layer) for head in plan.heads)
    tasks = {
        layer: load_task(
            store,
            table,
            layer=layer,
            skip_unlabeled=plan.skip_unlabeled,
            order=plan.order,
            scored_level=plan.scored_level,
            with_test=False,
            copies=plan.copies,
        )
        for layer in layers
    }
    task = next(iter(tasks.values()))
    weight = align_weights(plan.weights, task.train_ids)
    train, validation = _split_training(table.name, task, weight, plan)
    fits = list(_plan_fits(plan, task, train, weight))
    shared: dict[str, Any] = {"features": joined_fingerprint(store.recipes)}
    shared |= {"order": task.labels} if plan.order else {}
    shared |= plan.decision.identity(task.target)
    shared |= {} if plan.scored_level is None else {"scored_level": plan.scored_level}
    check_writable(folder)
    pace, points = Pace(fits), []
    for fit in fits:
        if on_progress is not None:
            on_progress(pace.progress(fit))
        layer = resolve_layer(fit.head, plan.layer)
        identity = fit.identity(shared | {"layer": layer} | task.input_hashes(fit.head), validation)
        path = folder / FOLDER / f"{fit.head.name}-{fit.size}-{fit.seed}-{identity}.json"
        point = load_point(path) or save_point(path, fit.run(tasks[layer], validation))
        pace.record(fit, point.seconds)
        points.append(point)
    return LearningCurves(
        store=store.name,
        corpus=table.name,
        labels=int(np.count_nonzero(task.target.counts)),
        seeds=plan.seeds,
        train_documents=len(train),
        validation_documents=len(validation),
        points=tuple(points),
        notes=tuple(_notes(plan, task, points, train, validation)),
    )


def _split_training(
    name: str, task: Task, weight: NDArray[np.float64] | None, plan: CurvePlan
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training documents to fit on, without those of weight 0, and to score on, int64.

    Raises BadData if one of the two is empty, or if only one label is left to fit on.
    """
    validation = _validation_rows(name, task, plan)
    is_fitted = np.ones(len(task.train), dtype=bool) if weight is None else weight > 0
    is_fitted[validation] = False
    train = np.flatnonzero(is_fitted)
    if not len(validation):
        raise BadData(
            f"{name}: no validation split can be made, as no label has two training documents that can be separated. "
            "Add documents."
        )
    if task.target.kind != "multilabel" and np.count_nonzero(task.target[train].counts) < 2:
        raise BadData(
            f"{name}: without the validation split, the training documents with a weight above 0 have fewer than two "
            "labels. Add documents, or give more of them a weight."
        )
    return train, validation


def _validation_rows(name: str, task: Task, plan: CurvePlan) -> NDArray[np.int64]:
    if plan.validate_on == "split":
        check_scored_splits(name, task, test=False, validation=True)
        return np.flatnonzero(task.is_validation)
    unseen = np.flatnonzero(task.exposure.is_scored)
    check_unseen_documents(task, unseen, 2)
    y, groups = task.target.strata[unseen], task.groups[unseen].tolist()
    return np.asarray(unseen[stratified_split(y, groups, (1 - VALIDATION, VALIDATION), plan.seed) == 1])


def _plan_fits(
    plan: CurvePlan, task: Task, train: NDArray[np.int64], weight: NDArray[np.float64] | None
) -> Iterator[Fit]:
    """All fits, the small ones of every head first, so that early results and the time left include all heads."""
    sizes = _resolve_sizes(plan.sizes, len(train))
    y, groups = task.target[train].strata, task.groups[train].tolist()
    seeds = range(plan.seed, plan.seed + plan.seeds)
    subsets = {seed: nested_subsets(y, groups, sizes, seed) for seed in seeds}
    heads = [configure_head(head, task.target) for head in plan.heads]
    documents = np.mean([[len(rows) for rows in of_seed] for of_seed in subsets.values()], axis=0).tolist()
    for index in range(len(sizes)) if plan.sizes else _spread_sizes(documents):
        for head in heads:
            for seed in seeds:
                rows = train[subsets[seed][index]]
                yield Fit(clone(head).set_params(seed=seed), sizes[index], seed, rows, weight, plan.decision)


def _spread_sizes(documents: Sequence[float]) -> list[int]:
    """The positions of the largest of some ascending numbers of documents, and of those a step below the next."""
    kept = [len(documents) - 1]
    for position in reversed(range(len(documents) - 1)):
        if documents[position] * MIN_STEP <= documents[kept[-1]]:
            kept.append(position)
    return kept[::-1]


def _resolve_sizes(requested: Sequence[int | None], documents: int) -> list[int]:
    if not requested:
        first = max(2, min(MIN_SIZE, documents // 8))
        doubled = [first * 2**step for step in range(documents.bit_length()) if first * 2**step < documents]
        return [*doubled, documents]
    sizes = sorted({documents if size is None else size for size in requested})
    if sizes[-1] > documents:
        raise CallError(
            f"--sizes requests {sizes[-1]:,} documents, and there are {documents:,} to fit on, because the validation "
            "split is a part of the training split. Request fewer, or 'all'."
        )
    return sizes


def _notes(
    plan: CurvePlan,
    task: Task,
    points: Sequence[CurvePoint],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> Iterator[str]:
    scored = f"a validation split of {len(validation):,} of {len(task.train_ids):,} training documents"
    if plan.validate_on == "split":
        scored = f"the validation split of {len(validation):,} documents"
    yield f"Scored on {scored}, with the default decision rule; the test split was not read."
    if task.exposure.unscored:
        yield (
            f"The encoder learned from the labels of {task.exposure.unscored:,} training documents "
            f"({task.exposure.describe_labels()}), however many a head is fitted on; none of them is in the validation "
            "split."
        )
    if zero := len(task.train_ids) - len(train) - len(validation):
        yield f"{plural(zero, 'document')} of weight 0: neither fitted on nor counted as training documents."
    missing = int(np.count_nonzero(task.target.counts) - np.count_nonzero(task.target[validation].counts))
    if missing:
        yield (
            f"{plural(missing, 'label')} without a document in the validation split: counted only if predicted by "
            "mistake."
        )
    if task.copies is not None:
        yield from task.copies.notes
        yield "Numbers of documents do not count copies; each fit has the copies of its documents."
    if any(point.documents > point.size for point in points):
        yield "Groups stay together, so some fits had more documents than requested."
    if any(point.documents == len(train) for point in points):
        yield "Fits on all documents differ between seeds only in how a head is initialized."
