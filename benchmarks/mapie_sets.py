"""Label sets of MAPIE, run by `benchmarks/label_sets.py` in the environment of the rivals (`benchmarks/rivals.txt`).

    python benchmarks/mapie_sets.py ARRAYS.npz

It reads probabilities, labels and halves, and prints the coverage and the mean size of the sets of each half with the
thresholds of the other as JSON; an empty set counts as one label. It imports nothing of embedonce, which that
environment lacks.
"""

import json
import sys
import warnings
from typing import Any

import numpy as np
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore, LACConformityScore, RAPSConformityScore
from sklearn.base import BaseEstimator, ClassifierMixin

SCORES = {"probability": LACConformityScore, "aps": APSConformityScore, "raps": RAPSConformityScore}


class Stored(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose probabilities are its input."""

    def __init__(self, labels: int = 2) -> None:
        self.labels = labels
        self.classes_ = np.arange(labels)

    def fit(self, X: Any, y: Any) -> "Stored":
        """Nothing to fit."""
        del X, y
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: Any) -> Any:
        """The input."""
        return X

    def predict(self, X: Any) -> Any:
        """The most probable label."""
        return X.argmax(axis=1)


def main(path: str) -> None:
    """Print one JSON object per score and level."""
    with np.load(path) as arrays:
        probabilities, truth, halves = (arrays[name] for name in ("probabilities", "truth", "halves"))
        levels, names = arrays["levels"].tolist(), arrays["scores"].tolist()
    for name in names:
        for level in levels:
            values = [
                _measure(name, level, probabilities, truth, mask, seed)
                for seed, half in enumerate(halves)
                for mask in (half, ~half)
            ]
            coverage, size = np.reshape(values, (-1, 2, 2)).mean(axis=1).T.tolist()
            print(json.dumps({"score": name, "level": level, "coverage": coverage, "size": size}), flush=True)


def _measure(name: str, level: float, probabilities: Any, truth: Any, mask: Any, seed: int) -> tuple[float, float]:
    """The coverage and the mean size of the documents outside `mask`, with the thresholds of those in it."""
    classifier = SplitConformalClassifier(
        Stored(probabilities.shape[1]),
        confidence_level=level,
        conformity_score=SCORES[name](),
        prefit=True,
        random_state=seed,
    )
    counts = np.bincount(truth[mask], minlength=probabilities.shape[1])
    fitted = (
        mask & (counts[truth] > 1) if name == "raps" else mask
    )  # it stratifies, and refuses labels with one document
    classifier.conformalize(probabilities[fitted], truth[fitted])
    parameters = {} if name == "probability" else {"include_last_label": "randomized"}
    _, sets = classifier.predict_set(probabilities[~mask], conformity_score_params=parameters)
    covered = sets[:, :, 0][np.arange(len(sets)), truth[~mask]]
    return float(covered.mean()), float(np.maximum(sets[:, :, 0].sum(axis=1), 1).mean())


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # on labels without documents in a half
    main(sys.argv[1])
