"""What ordinal labels gain from the decision rule, the loss and class weights, on generated documents.

    python -m benchmarks.ordinal [--seeds 5]

No corpus that comes with embedonce is ordinal, so the documents are generated: a hidden value determines, with noise,
64 features and one of five grades with unequal shares. Heads are fitted on 1,500 documents, which also select the rule
out of fold, and scored on 4,000 others. Values are means over seeds.
"""

from collections.abc import Iterator

import click
import numpy as np
from numpy.typing import NDArray

from data.splits import assign_folds
from heads.core.head import Head
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision, tune_decision
from heads.evaluation.score_matrix import align_scores
from heads.registry import make_head

GRADES = ("1", "2", "3", "4", "5")
THRESHOLDS = (-1.4, -0.7, 0.2, 1.0)  # shares of 8, 16, 34, 26 and 16 %
FITTED, SCORED, FOLDS = 1500, 4000, 5
METRICS = ("absolute_error", "quadratic_kappa", "macro_f1", "accuracy")
VARIANTS = {
    "linear, balanced weights": ("linear", {"class_weight": "balanced"}),
    "linear, no weights": ("linear", {"class_weight": "none"}),
    "mlp, cross entropy": ("mlp", {"class_weight": "none"}),
    "mlp, emd": ("mlp", {"class_weight": "none", "loss": "emd"}),
}


def generate_documents(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors (documents, 64) and grades (documents,); the first FITTED documents are for fitting."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(FITTED + SCORED, 1))
    slopes, intercepts = rng.normal(size=(2, 1, 64))
    vectors = np.tanh(hidden * slopes + intercepts) + rng.normal(0, 2.0, size=(len(hidden), 64))
    return vectors.astype(np.float32), np.digitize(hidden[:, 0] + rng.normal(0, 0.5, len(hidden)), THRESHOLDS)


def make_variant(variant: str, seed: int) -> Head:
    """The unfitted head of a variant."""
    name, hyperparameters = VARIANTS[variant]
    head = make_head(name, {**hyperparameters, "seed": str(seed)})
    return head.set_params(training__imbalance__order=GRADES) if "loss" in hyperparameters else head


def score_rules(variant: str, seed: int) -> Iterator[tuple[str, ConfusionCounts]]:
    """Argmax and the rules that out-of-fold scores select, with the confusion counts of the scored documents."""
    vectors, grades = generate_documents(seed)
    y, names = grades[:FITTED], np.array(GRADES, dtype=object)[grades[:FITTED]]
    fold_of, out_of_fold = assign_folds(y, None, FOLDS, seed), np.zeros((FITTED, len(GRADES)), dtype=np.float32)
    for fold in range(FOLDS):
        fitted, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        head = make_variant(variant, seed).fit(vectors[fitted], names[fitted])
        out_of_fold[held_out] = align_scores(head.decision_function(vectors[held_out]), head.classes_, GRADES)
    head = make_variant(variant, seed).fit(vectors[:FITTED], names)
    scores = align_scores(head.decision_function(vectors[FITTED:]), head.classes_, GRADES)
    decisions = {
        "argmax": default_decision(out_of_fold, y),
        "by macro-F1": tune_decision(out_of_fold, y, seed=seed),
        "by the error": tune_decision(out_of_fold, y, seed=seed, ordinal=True),
    }
    for name, decision in decisions.items():
        yield name, ConfusionCounts.from_predictions(grades[FITTED:], decision.rule.decide(scores), len(GRADES))


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
def main(seeds: int) -> None:
    """Print a table with one row per head and rule."""
    print("| head | rule selected | mean absolute error | quadratic kappa | macro-F1 | accuracy |")
    print("|---|---|--:|--:|--:|--:|")
    for variant in VARIANTS:
        results = [dict(score_rules(variant, seed)) for seed in range(seeds)]
        for rule in results[0]:
            counts = [result[rule] for result in results]
            means = [f"{np.mean([getattr(each, metric) for each in counts]):.3f}" for metric in METRICS]
            print("|", " | ".join([variant, rule, *means]), "|", flush=True)


if __name__ == "__main__":
    main()
