"""Synthetic runs, shaped like real ones: few frequent labels, many rare ones, errors between neighboring labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.metrics import scorecard
from stages.report import RunView

COMPARED = Evidence(
    documents=6532,
    folds=5,
    repeats=3,
    fallback_labels=6,
    comparisons=(
        RuleComparison("argmax", None, 0.7462, 0.7462, 0.0, 0.0, 0.0, selected=True),
        RuleComparison("logit adjustment", "argmax", 0.7791, 0.7724, 0.0329, 0.0262, 0.0081, selected=True),
        RuleComparison(
            "per-label offsets", "logit adjustment", 0.8433, 0.7656, 0.0642, -0.0068, 0.0090, selected=False
        ),
    ),
)
ORDERED = Evidence(
    documents=6532,
    folds=5,
    repeats=3,
    fallback_labels=0,
    comparisons=(
        RuleComparison("argmax", None, 2.41, 2.41, 0.0, 0.0, 0.0, selected=True, metric="mean absolute error", sign=-1),
        RuleComparison(
            "weighted median", "argmax", 1.9, 1.9, 0.5, 0.5, 0.1, selected=True, metric="mean absolute error", sign=-1
        ),
    ),
)
HEADS = ("linear", "lstm", "transformer", "mlp", "lightgbm", "cascade")


def example_run(
    labels: Sequence[str],
    documents: int,
    *,
    head: str = "linear",
    skill: float = 6.0,
    multilabel: bool = False,
    ordinal: bool = False,
    separator: str = "",
    seed: int = 0,
) -> RunView:
    """A run of `head` on synthetic documents, which are the same for every head and skill.

    separator: of the levels of labels that are paths.
    """
    taxonomy = Taxonomy.from_separator(labels, separator) if separator else None
    hierarchy = Hierarchy.of(taxonomy, tuple(labels)) if taxonomy else None
    tried = ORDERED if ordinal else COMPARED
    truth = _truth(len(labels), documents, multilabel, np.random.default_rng(seed))
    noise = np.random.default_rng([seed, len(head)])
    scores = _scores(truth, len(labels), skill, noise)
    probabilities = 1 / (1 + np.exp(-scores)) if multilabel else _softmax(scores)
    plain = probabilities > 0.5 if multilabel else scores.argmax(axis=1)
    tuned = probabilities > 0.4 if multilabel else (scores + _rarity(truth, len(labels))).argmax(axis=1)
    return RunView(
        name=f"{head}-{noise.integers(2**32):08x}",
        head=head,
        store="reuters52--all-MiniLM-L6-v2-1f3a9c0e",
        reads="cls, mean, max",
        rule="logit adjustment",
        parameters=int(noise.integers(10_000, 3_000_000)),
        fit_seconds=float(noise.uniform(0.5, 200)),
        predict_milliseconds=float(noise.uniform(0.01, 3)),
        out_of_fold=replace(
            scorecard(truth, plain, labels, resamples=200, ordinal=ordinal, hierarchy=hierarchy),
            documents=3 * documents,
        ),
        test=scorecard(truth, tuned, labels, resamples=200, ordinal=ordinal, hierarchy=hierarchy),
        labels=tuple(labels),
        truth=truth,
        predicted=tuned,
        probabilities=probabilities.astype(np.float32),
        notes=("Column text was taken for the text.", "14 texts of the test split also stand in the training split."),
        evidence={"rule": {}, "evidence": tried.to_json()},
        hierarchy=hierarchy,
    )


def _truth(labels: int, documents: int, multilabel: bool, random: np.random.Generator) -> NDArray[Any]:
    frequency = random.permutation(1 / np.arange(1, labels + 1) ** 1.1)
    if multilabel:
        return random.random((documents, labels)) < 0.6 * frequency
    return random.choice(labels, size=documents, p=frequency / frequency.sum())


def _scores(truth: NDArray[Any], labels: int, skill: float, noise: np.random.Generator) -> NDArray[np.float64]:
    rows = truth if truth.ndim == 2 else truth[:, None] == np.arange(labels)
    hard = noise.uniform(0.4, 1.3, labels)
    leaning = 0.45 * np.roll(rows, 1, axis=1)
    shift = 0.5 * skill if truth.ndim == 2 else 0.0
    return np.asarray(skill * hard * (rows + leaning) - shift + noise.normal(0, 1.3, rows.shape))


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _rarity(truth: NDArray[Any], labels: int) -> NDArray[np.float64]:
    return np.asarray(-0.05 * np.log(np.bincount(truth, minlength=labels) + 1.0))
