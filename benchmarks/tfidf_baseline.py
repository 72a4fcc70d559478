"""The alternative to an encoder: scikit-learn's TF-IDF of words with a linear SVM, on the raw text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import write_atomically
from data.documents import Corpus
from data.splits import Split, assign_folds
from data.target import Target

FOLDS = 3
GRID = {
    "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
    "linearsvc__C": [1.0, 4.0],
    "linearsvc__class_weight": [None, "balanced"],
}


@dataclass(frozen=True, eq=False)
class TextSplits:
    """A corpus as scikit-learn reads it: texts, object (documents,), and codes of `labels`, int64 (documents,)."""

    train: NDArray[np.object_]
    train_y: NDArray[np.int64]
    test: NDArray[np.object_]
    test_y: NDArray[np.int64]
    test_ids: Sequence[str]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> Self:
        """The splits of a corpus with one label per document."""
        target = Target.from_labels([document.labels or () for document in corpus.documents], "single")
        is_test = np.array([document.split == Split.TEST for document in corpus.documents])
        texts = np.array([document.text for document in corpus.documents], dtype=object)
        ids = [document.id for document in corpus.documents if document.split == Split.TEST]
        return cls(texts[~is_test], target.y[~is_test], texts[is_test], target.y[is_test], ids, target.labels)


def make_baseline() -> Any:
    """The unfitted pipeline of scikit-learn's own examples."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    return make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC(random_state=0))


def fit_tuned_baseline(splits: TextSplits) -> tuple[Any, dict[str, Any]]:
    """The pipeline of GRID with the best macro-F1 in folds of the training documents, and its hyperparameters."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    folds = PredefinedSplit(assign_folds(splits.train_y, splits.train.tolist(), FOLDS, 0))
    search = GridSearchCV(make_baseline(), GRID, scoring="f1_macro", cv=folds).fit(splits.train, splits.train_y)
    return search.best_estimator_, search.best_params_


def predict_test_split(splits: TextSplits, cache: Path) -> dict[str, NDArray[np.int64]]:
    """Codes of the test documents, by the default and by the tuned pipeline; read from the file `cache` if it exists.

    The keys are "defaults" and the selected hyperparameters.
    """
    if not cache.exists():
        tuned, selected = fit_tuned_baseline(splits)
        values = ", ".join(f"{name.partition('__')[2]} {value}" for name, value in sorted(selected.items()))
        models = {"defaults": make_baseline().fit(splits.train, splits.train_y), values: tuned}
        cache.parent.mkdir(parents=True, exist_ok=True)
        codes = {name: model.predict(splits.test).tolist() for name, model in models.items()}
        write_atomically(cache, json.dumps(codes).encode())
    return {name: np.array(predicted) for name, predicted in json.loads(cache.read_text()).items()}
