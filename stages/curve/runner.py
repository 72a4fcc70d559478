"""Which fits make a curve, each of them, and how long the rest takes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from data.errors import BadData, CallError
from data.splits import nested_subsets, stratified_split
from featurestore import CorpusTable, FeatureSource, joined_fingerprint
from heads.core.head import Head
from heads.core.hyperparameters import to_json
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision
from heads.evaluation.score_matrix import align_scores
from heads.registry import STACKING_HEADS
from stages.curve.points import LearningCurves, Point, load_point, save_point
from stages.fitting import runs
from stages.fitting.head_options import ALL, parse_heads
from stages.fitting.plan import configure_head
from stages.fitting.sample_weights import align_weights
from stages.fitting.task import Task, load_task, resolve_layer

VALIDATION = 0.2  # of the training split
FEWEST = 50  # documents: where curves begin, but no later than at an eighth
FOLDER = "curves"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CurvePlan:
    """Which heads, on how many documents, how often.

    sizes: documents to fit on, None among them for all that there are; no sizes are a ladder whose steps double.
    seed: draws the part that is scored, and is the first of the `seeds` that draw subsets and start heads.
    order, weights: as in `stages.fitting.fit_head.CurvePlan`.
    """

    heads: Sequence[Head]
    sizes: Sequence[int | None] = ()
    seeds: int = 5
    seed: int = 0
    layer: int = -1
    skip_unlabelled: bool = False
    order: Sequence[str] = ()
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True)
class CurveProgress:
    """What is fitted next; `done` of `total` counts the documents of all fits. seconds_left: None before it
    can be told."""

    head: str
    size: int
    seed: int
    done: int
    total: int
    seconds_left: float | None


Report = Callable[[CurveProgress], None]


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """ "100,1000,all" as (100, 1000, None). Raises CallError for anything but whole numbers from 2 on and 'all'."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part == ALL or (part.isdecimal() and int(part) >= 2) for part in parts):
        raise CallError(f"--sizes is '{text}': write whole numbers from 2 on, and 'all', as in --sizes 100,1000,all.")
    return tuple(None if part == ALL else int(part) for part in parts)


def curve_heads(names: Sequence[str], settings: Sequence[str] = (), class_weight: str | None = None) -> list[Head]:
    """The unfitted heads of these names, each once. Raises CallError for settings that are not for one head."""
    if ALL in names:
        raise CallError("A curve takes many fits: name the heads that it is for, as in `embedonce curve linear lstm`.")
    for name in STACKING_HEADS.keys() & set(names):
        raise CallError(f"{name} stands on whole runs: a curve has none. Name heads that read features.")
    once = list(dict.fromkeys(names))
    if settings and len(once) > 1:
        raise CallError("--set is for one head: leave it out, or make a curve of each head alone.")
    return [head for name in once for head in parse_heads(name, settings, class_weight)]


def learning_curves(
    store: FeatureSource, table: CorpusTable, plan: CurvePlan, folder: Path, report: Report | None = None
) -> LearningCurves:
    """Fit each head of `plan` on each size with each seed, unless `folder` holds that fit already.

    folder: where runs are. Raises CallError for more documents than there are, BadData where none can be kept aside.
    """
    layers = dict.fromkeys(resolve_layer(head, plan.layer) for head in plan.heads)
    skip, order = plan.skip_unlabelled, plan.order
    read = {layer: load_task(store, table, layer=layer, skip_unlabelled=skip, order=order) for layer in layers}
    found = next(iter(read.values()))
    weight = align_weights(plan.weights, found.train_ids)
    pool, validation = _parted(table.name, found, weight, plan.seed)
    fits = list(_fits(plan, found, pool, weight))
    features: dict[str, Any] = {"features": joined_fingerprint(store.recipes), "documents": found.documents_hash}
    features |= {"order": found.labels} if plan.order else {}
    pace, points = _Pace(fits), []
    for fit in fits:
        (report or (lambda _: None))(pace.before(fit))
        layer = resolve_layer(fit.head, plan.layer)
        identity = fit.identity(features | {"layer": layer}, validation)
        place = folder / FOLDER / f"{fit.head.name}-{fit.size}-{fit.seed}-{identity}.json"
        point = load_point(place) or save_point(place, fit.scored(read[layer], validation))
        pace.after(fit, point.seconds)
        points.append(point)
    return LearningCurves(
        store=store.name,
        corpus=table.name,
        labels=int(np.count_nonzero(found.target.counts)),
        seeds=plan.seeds,
        train_documents=len(pool),
        validation_documents=len(validation),
        points=tuple(points),
        notes=tuple(_notes(found, points, pool, validation)),
    )


def _parted(
    name: str, found: Task, weight: NDArray[np.float64] | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training documents to fit on, those that count, and to score on: rows, int64. Raises BadData without either."""
    part = stratified_split(found.target.y, found.groups.tolist(), (1 - VALIDATION, VALIDATION), seed)
    counts = np.ones(len(part), dtype=bool) if weight is None else weight > 0
    pool, validation = np.flatnonzero((part == 0) & counts), np.flatnonzero(part == 1)
    if not len(validation):
        raise BadData(
            f"{name}: no training document can be kept aside to score on, "
            "as no label has two that may be parted. Add documents."
        )
    if found.target.kind != "multilabel" and np.count_nonzero(found.target[pool].counts) < 2:
        raise BadData(
            f"{name}: of the documents that are not kept aside to score on, those that count have not two "
            "labels. Add documents, or give more of them a weight."
        )
    return pool, validation


@dataclass(frozen=True, eq=False)
class _Fit:
    """One head to be fitted on `rows` of the training documents, which count by `weight`, or all alike."""

    head: Head
    size: int
    seed: int
    rows: NDArray[np.int64]
    weight: NDArray[np.float64] | None

    def identity(self, features: dict[str, Any], validation: NDArray[np.int64]) -> str:
        """Eight hex digits that differ where the figures could."""
        return runs.short_hash(
            {"format": FORMAT, "head": self.head.name, "parameters": to_json(self.head)["nested"]}
            | {"fitted": self.rows.tolist(), "scored": validation.tolist()}
            | ({} if self.weight is None else {"weights": self.weight.tolist()})
            | features
        )

    def scored(self, found: Task, validation: NDArray[np.int64]) -> Point:
        """Fit, decide plainly, and count. Labels that the head never saw have scores of -inf, and so are missed."""
        names, y, start = found.target.names[self.rows], found.target.y[validation], time.perf_counter()
        head = clone(self.head).fit(found.train[self.rows], names, self.weight, found.groups[self.rows])
        seconds = time.perf_counter() - start
        scores = align_scores(head.decision_function(found.train[validation]), head.classes_, found.labels)
        ordered = found.target.is_ordinal
        counts = ConfusionCounts.from_predictions(
            y, default_decision(scores, y, ordinal=ordered).out_of_fold, len(found.labels)
        )
        return Point(
            head=self.head.name,
            size=self.size,
            seed=self.seed,
            documents=len(self.rows),
            labels=int(np.count_nonzero(found.target[self.rows].counts)),
            macro_f1=float(counts.macro_f1),
            micro_f1=float(counts.micro_f1),
            accuracy=float(counts.accuracy),
            seconds=round(seconds, 3),
            quadratic_kappa=float(counts.quadratic_kappa) if ordered else None,
        )


def _fits(plan: CurvePlan, found: Task, pool: NDArray[np.int64], weight: NDArray[np.float64] | None) -> Iterator[_Fit]:
    """Every fit, the small ones first: what is seen early, and what time is left by it, holds for all heads."""
    sizes = _sizes(plan.sizes, len(pool))
    y, groups = found.target.y[pool], found.groups[pool].tolist()
    seeds = range(plan.seed, plan.seed + plan.seeds)
    subsets = {seed: nested_subsets(y, groups, sizes, seed) for seed in seeds}
    heads = [configure_head(head, found.target) for head in plan.heads]
    for step, size in enumerate(sizes):
        for head in heads:
            for seed in seeds:
                rows = pool[subsets[seed][step]]
                own = None if weight is None else weight[rows]
                yield _Fit(clone(head).set_params(seed=seed), size, seed, rows, own)


def _sizes(asked: Sequence[int | None], there: int) -> list[int]:
    if not asked:
        first = max(2, min(FEWEST, there // 8))
        steps = [first * 2**step for step in range(there.bit_length()) if first * 2**step < there]
        return [*steps, there]
    sizes = sorted({there if size is None else size for size in asked})
    if sizes[-1] > there:
        raise CallError(
            f"--sizes asks for {sizes[-1]:,} documents, and there are {there:,} to fit on: a part of the training "
            "split is kept aside to score on. Ask for fewer, or for 'all'."
        )
    return sizes


class _Pace:
    """What is done of the work, in documents, and how long the rest takes.

    Fits have a cost of their own beside that of documents, so each head's seconds are a line through its fits so far,
    which says nothing of other sizes before there are two.
    """

    def __init__(self, fits: Sequence[_Fit]) -> None:
        self._left = [(fit.head.name, fit.size) for fit in fits]
        self._done, self._total = 0, sum(len(fit.rows) for fit in fits)
        self._took: dict[str, list[tuple[int, float]]] = {fit.head.name: [] for fit in fits}

    def before(self, fit: _Fit) -> CurveProgress:
        return CurveProgress(fit.head.name, fit.size, fit.seed, self._done, self._total, self._seconds_left())

    def after(self, fit: _Fit, seconds: float) -> None:
        self._left.pop(0)
        self._done += len(fit.rows)
        self._took[fit.head.name].append((fit.size, seconds))

    def _seconds_left(self) -> float | None:
        left = 0.0
        for head, took in self._took.items():
            sizes = [size for name, size in self._left if name == head]
            seen = {size for size, _ in took}
            if len(seen) < 2 and not seen.issuperset(sizes):
                return None
            left += sum(_line(took, sizes))
        return left


def _line(took: Sequence[tuple[int, float]], sizes: Sequence[int]) -> list[float]:
    """Seconds at `sizes` by a line through (size, seconds), neither part of which is below nothing."""
    from scipy.optimize import nnls

    def parts(documents: Sequence[int]) -> NDArray[np.float64]:
        return np.array([(1.0, each) for each in documents]).reshape(-1, 2)

    of_fit = nnls(parts([size for size, _ in took]), np.array([seconds for _, seconds in took]))[0]
    return [float(each) for each in parts(sizes) @ of_fit]


def _notes(
    found: Task, points: Sequence[Point], pool: NDArray[np.int64], validation: NDArray[np.int64]
) -> Iterator[str]:
    yield (
        f"Scored on {len(validation):,} of {len(found.train_ids):,} training documents that no head was fitted "
        "on, by the plain decision; the test split was not read."
    )
    if weightless := len(found.train_ids) - len(pool) - len(validation):
        yield f"{weightless:,} documents of weight 0 are not fitted on, nor counted among those that are."
    unscored = int(np.count_nonzero(found.target.counts) - np.count_nonzero(found.target[validation].counts))
    if unscored:
        yield f"Labels without a document among those count only where they are given wrongly: {unscored} of them."
    if any(point.documents > point.size for point in points):
        yield "Groups are never parted, so that some fits had more documents than asked."
    if any(point.documents == len(pool) for point in points):
        yield "Where all documents are fitted on, seeds differ in how a head starts and in nothing else."
