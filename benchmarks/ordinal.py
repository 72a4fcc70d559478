"""What an order brings: the rule, the loss and the weights, on generated documents.

    python -m benchmarks.ordinal

No corpus that comes with embedonce has an order, so the documents are made: a hidden value, 64 numbers that follow it
with noise, and one of five grades, of unequal share, by where the value lies, with noise of its own. Heads and rules
are fitted to 1,500 of them, out of fold where scores choose, and scored on 4,000 others. The mean of five seeds.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.splits import assign_folds
from heads.core.head import Head
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision, tune_decision
from heads.evaluation.score_matrix import align_scores
from heads.registry import make_head

GRADES = ("1", "2", "3", "4", "5")
CUTS = (-1.4, -0.7, 0.2, 1.0)  # 8, 16, 34, 26 and 16 of 100 documents
FITTED, SCORED, FOLDS = 1500, 4000, 5
WAYS = {
    "linear, balanced weights": ("linear", {"class_weight": "balanced"}),
    "linear, no weights": ("linear", {"class_weight": "none"}),
    "mlp, cross entropy": ("mlp", {"class_weight": "none"}),
    "mlp, emd": ("mlp", {"class_weight": "none", "loss": "emd"}),
}


def generated(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors (documents, 64) and grades (documents,), the fitted ones first."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(FITTED + SCORED, 1))
    directions, bends = random.normal(size=(2, 1, 64))
    vectors = np.tanh(hidden * directions + bends) + random.normal(0, 2.0, size=(len(hidden), 64))
    return vectors.astype(np.float32), np.digitize(hidden[:, 0] + random.normal(0, 0.5, len(hidden)), CUTS)


def head(way: str, seed: int) -> Head:
    """The unfitted head of a way."""
    name, settings = WAYS[way]
    made = make_head(name, {**settings, "seed": str(seed)})
    return made.set_params(training__imbalance__order=GRADES) if "loss" in settings else made


def metrics(way: str, seed: int) -> Iterator[tuple[str, ConfusionCounts]]:
    """How argmax and the rule that out-of-fold scores choose decide the documents that are scored."""
    vectors, grade = generated(seed)
    fitted, names = grade[:FITTED], np.array(GRADES, dtype=object)[grade[:FITTED]]
    part, scores = assign_folds(fitted, None, FOLDS, seed), np.zeros((FITTED, len(GRADES)), dtype=np.float32)
    for fold in range(FOLDS):
        own, out = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        one = head(way, seed).fit(vectors[own], names[own])
        scores[out] = align_scores(one.decision_function(vectors[out]), one.classes_, GRADES)
    last = head(way, seed).fit(vectors[:FITTED], names)
    held = align_scores(last.decision_function(vectors[FITTED:]), last.classes_, GRADES)
    decisions = {"argmax": default_decision(scores, fitted), "by macro-F1": tune_decision(scores, fitted, seed=seed)}
    decisions["by the error"] = tune_decision(scores, fitted, seed=seed, ordinal=True)
    for rule, decision in decisions.items():
        yield rule, ConfusionCounts.from_predictions(grade[FITTED:], decision.rule.decide(held), len(GRADES))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print("| head | rule chosen | mean absolute error | quadratic kappa | macro-F1 | accuracy |")
    print("|---|---|--:|--:|--:|--:|")
    for way in WAYS:
        found = [dict(metrics(way, seed)) for seed in range(seeds)]
        for rule in found[0]:
            each = [one[rule] for one in found]
            shown = ("absolute_error", "quadratic_kappa", "macro_f1", "accuracy")
            means = [f"{np.mean([getattr(counts, name) for counts in each]):.3f}" for name in shown]
            print("|", " | ".join([way, rule, *means]), "|", flush=True)


if __name__ == "__main__":
    main()
