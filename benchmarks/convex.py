"""Our solver of logistic regressions compared with scikit-learn's L-BFGS, folds included.

    python -m benchmarks.convex [--store STORE [--corpus NAME]] [--documents 50000] [--dims 384] [--labels 20] [--json]

Both fit all documents and five folds on the same float32 features, with balanced class weights and the same C. Ours
reads the features as they are and starts folds from the fit of all documents; scikit-learn's reads standardized float32
features, and has the loosest tolerance of its grid with a loss within 1e-4 (relative) of the optimum, as ours.
Seconds are those of the CPU, without standardizing. Without a store, the features are drawn: labels in correlated
dimensions whose variances fall as a power law, as those of an encoder do, with one label in 20 wrong.
"""

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Topic, at_least, at_most, print_topic
from data.splits import assign_folds
from heads.core.class_weights import loss_weights
from heads.linear_models.logistic import LinearModel
from heads.linear_models.logistic_solver import TOLERANCE, minimize_logistic_loss
from heads.linear_models.standardizer import Standardizer
from stages.fitting.task import load_task
from stages.stores import open_corpus, open_store

C, FOLDS, EXCESS = 0.05, 5, 1e-4
TOLERANCES = (3e-4, 1e-4, 5e-5, 3e-5, 1e-5, 3e-6)  # of scikit-learn


@dataclass(frozen=True)
class Problem:
    """Documents of one fit: features, codes of labels, weights, and the standardizer."""

    features: NDArray[np.float32]
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    standardizer: Standardizer

    @classmethod
    def of(cls, features: NDArray[np.float32], y: NDArray[np.int64]) -> "Problem":
        """The problem that `linear` solves by default."""
        codes = np.unique(y, return_inverse=True)[1].astype(np.int64)
        one = np.ones(len(codes))
        weight = loss_weights(codes, "balanced", list(range(codes.max() + 1)), one)
        return cls(features, codes, weight, Standardizer.fit(features, one))

    def solve(self, tolerance: float, start: LinearModel | None = None) -> LinearModel:
        """Our solution."""
        first = None if start is None else (start.coefficients, start.intercepts)
        options = {"max_iter": 1000, "standardizer": self.standardizer, "start": first, "tolerance": tolerance}
        solution = minimize_logistic_loss(self.features, self.y, self.weight, C, **options)  # type: ignore[arg-type]
        return LinearModel(solution.coefficients, solution.intercepts)

    def standard(self) -> NDArray[np.float32]:
        """Standardized features, float32."""
        return self.standardizer.transform(self.features).astype(np.float32)

    def solve_with_scikit_learn(self, standard: NDArray[np.float32], tolerance: float) -> LinearModel:
        """scikit-learn's solution."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=C, tol=tolerance, max_iter=5000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(standard, self.y, sample_weight=self.weight.astype(np.float32))
        coefficients, intercepts = (each.astype(np.float64) for each in (model.coef_, model.intercept_))
        return LinearModel.from_standardized(coefficients, intercepts, self.standardizer)

    def loss(self, model: LinearModel) -> float:
        """The objective in float64."""
        from scipy.special import logsumexp

        scores = model.scores(self.features)
        penalty = np.square(model.coefficients * self.standardizer.deviation).sum() / (2 * C)
        return float(self.weight @ (logsumexp(scores, axis=1) - scores[np.arange(len(scores)), self.y]) + penalty)


def draw(documents: int, dims: int, labels: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    """Features, labels and folds."""
    rng = np.random.default_rng(0)
    y = rng.choice(labels, documents, p=(lambda share: share / share.sum())(np.arange(1, labels + 1) ** -0.7))
    rotation = np.linalg.qr(rng.standard_normal((dims, dims)))[0] * (np.arange(1, dims + 1) ** -0.5)
    centers = rng.standard_normal((labels, dims)).astype(np.float32)
    features = np.empty((documents, dims), dtype=np.float32)
    for start in range(0, documents, 8192):
        rows = slice(start, start + 8192)
        noise = rng.standard_normal((len(y[rows]), dims)).astype(np.float32)
        features[rows] = (0.7 * centers[y[rows]] + noise) @ rotation.T.astype(np.float32)
    wrong = rng.random(documents) < 0.05
    y[wrong] = rng.integers(0, labels, wrong.sum())
    return features, y, rng.integers(0, FOLDS, documents).astype(np.int32)


def read(store: Path, corpus: str | None) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    """Pooled features of a store's training documents as `linear` reads them, their labels and folds."""
    opened = open_store(store, store.parent)
    task = load_task(opened, open_corpus(opened, corpus))
    features, y = task.train.pooled(("cls", "segments", "max")), task.target.y
    return features, y, assign_folds(y, task.groups.tolist(), FOLDS, 0)


def timed(solve: Callable[[], LinearModel]) -> tuple[float, LinearModel]:
    """CPU seconds and the solution."""
    start = time.process_time()
    model = solve()
    return time.process_time() - start, model


@dataclass(frozen=True)
class Fit:
    """CPU seconds of our fit that is within EXCESS, of our default fit and of scikit-learn's, and both excesses."""

    bounded: float
    default: float
    reference: float
    excess: float
    reference_excess: float


def measure(problem: Problem, start: LinearModel | None) -> tuple[Fit, LinearModel]:
    """One problem solved by both; and our default solution."""
    bounded, model = timed(lambda: problem.solve(EXCESS, start))
    default, exact = timed(lambda: problem.solve(TOLERANCE, start))
    best, standard = problem.loss(problem.solve(1e-8, exact)), problem.standard()
    for tolerance in TOLERANCES:
        seconds, other = timed(partial(problem.solve_with_scikit_learn, standard, tolerance))
        if problem.loss(other) <= best * (1 + EXCESS):
            break
    return Fit(bounded, default, seconds, problem.loss(model) / best - 1, problem.loss(other) / best - 1), exact


def compare(features: NDArray[np.float32], y: NDArray[np.int64], fold_of: NDArray[np.int32], title: str) -> Topic:
    """The table of the fit of all documents and of the folds, and the claims."""
    fits, whole = [], None
    for fold in [-1, *range(FOLDS)]:
        problem = Problem.of(features[fold_of != fold], y[fold_of != fold])
        is_alike = whole is not None and len(whole.intercepts) == problem.y.max() + 1
        fit, exact = measure(problem, whole if is_alike else None)
        fits.append(fit)
        whole = whole or exact
    names = ["all documents", *(f"without fold {fold + 1}" for fold in range(FOLDS)), "sum, highest excess"]
    seconds = np.array([[fit.bounded, fit.default, fit.reference] for fit in fits])
    excess = np.array([[fit.excess, fit.reference_excess] for fit in fits])
    seconds, excess = np.vstack([seconds, seconds.sum(axis=0)]), np.vstack([excess, excess.max(axis=0)])
    rows = [
        [name, *(f"{value:.2f}" for value in row), *(f"{value:.1e}" for value in losses)]
        for name, row, losses in zip(names, seconds, excess, strict=True)
    ]
    bounded, default, reference = seconds[-1]
    header = ["CPU seconds", "ours, 1e-4", f"ours, default {TOLERANCE:g}", "scikit-learn", "excess of the loss", "its"]
    claims = [
        at_most(f"{title}: excess of our loss, relative", excess[-1, 0], EXCESS),
        at_least(f"{title}: times as fast as scikit-learn, both within {EXCESS:g}", reference / bounded, 10),
        at_least(f"{title}: times as fast with the default tolerance", reference / default, 5),
    ]
    return Topic(f"Logistic regression, {title}", [header, *rows], claims)


@click.command()
@click.option("--store", type=click.Path(path_type=Path, exists=True), help="A feature store.  [random features]")
@click.option("--corpus", help="Name of the corpus, if the store has several.")
@click.option("--documents", default=50_000, show_default=True, help="Number of documents.")
@click.option("--dims", default=384, show_default=True, help="Number of random features.")
@click.option("--labels", default=20, show_default=True, help="Number of labels of random features.")
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(store: Path | None, corpus: str | None, documents: int, dims: int, labels: int, as_json: bool) -> None:
    """Print the table, or with --json one object per claim and line."""
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    features, y, fold_of = draw(documents, dims, labels) if store is None else read(store, corpus)
    rows = np.random.default_rng(0).permutation(len(y))[:documents]
    features, y, fold_of = features[rows], y[rows], fold_of[rows]
    title = f"{len(y):,} documents, {features.shape[1]} features, {len(np.unique(y))} labels"
    print_topic(compare(features, y, fold_of, title), as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
